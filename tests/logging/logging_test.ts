import assert from "node:assert/strict";
import { LoggingOptions } from "../../src/config/mod.ts";
import { ServiceError } from "../../src/errors.ts";
import { LineWriter } from "../../src/logging/line_writer.ts";
import { clip, escapeControls, serviceLogger, startLogging, taskLogger } from "../../src/logging/mod.ts";

/** Collects what is written. */
class FakeOutput {
  text = "";
  writes = 0;

  write(bytes: Uint8Array): Promise<number> {
    this.writes++;
    this.text += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }
}

/** What is written while `log` runs, as lines. */
async function linesOf(options: unknown, log: () => void, isTerminal = false): Promise<string[]> {
  const output = new FakeOutput();
  {
    await using _logging = await startLogging(LoggingOptions.parse(options), { isTerminal, colors: false, output });
    log();
  }
  assert(output.text === "" || output.text.endsWith("\n"));
  return output.text.split("\n").slice(0, -1);
}

Deno.test("startLogging() writes JSON lines where nobody looks", async () => {
  const [line = "", ...rest] = await linesOf({}, () => {
    taskLogger("t-1", { node_type: "Echo" }).info("Finished {status}", {
      status: "ok",
      count: 3n,
      bytes: new Uint8Array(9),
    });
  });
  assert.deepEqual(rest, []);
  const { time, ...fields } = JSON.parse(line);
  assert.match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(fields, {
    level: "INFO",
    category: "rexec.execution.task",
    message: "Finished ok",
    task_id: "t-1",
    node_type: "Echo",
    status: "ok",
    count: "3",
    bytes: "[9 bytes]",
  });
});

Deno.test("startLogging() writes pretty lines on a terminal", async () => {
  const [line = "", ...rest] = await linesOf({}, () => {
    taskLogger("t-1").warn("Slow {what}", { what: "disk", text: "two words" });
  }, true);
  assert.deepEqual(rest, []);
  assert.match(line, /^[\d:.]{12} +WARNING +rexec\.execution\.task +Slow disk task_id=t-1 what=disk text="two words"$/);
});

const HOSTILE = "a\n2026-01-01 FATAL rexec forged\r\x1b[2J\x9b31m\u2028\u202e";

for (const format of ["pretty", "json"]) {
  Deno.test(`startLogging() keeps hostile text on its ${format} line`, async () => {
    const lines = await linesOf({ format }, () => {
      serviceLogger("rpc").info(`Got ${HOSTILE} {value}`, { value: HOSTILE, list: [HOSTILE], [HOSTILE]: 1 });
      serviceLogger(HOSTILE).info("x");
    });
    assert.equal(lines.length, 2);
    // deno-lint-ignore no-control-regex -- they are what must not be there
    for (const line of lines) assert.doesNotMatch(line, /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
    if (format === "json") assert.equal(JSON.parse(lines[0] ?? "").value, HOSTILE);
  });

  Deno.test(`startLogging() keeps secrets out of ${format} lines`, async () => {
    const lines = await linesOf({ format, redact: { fields: ["Iban"], patterns: ["cust-\\d+"] } }, () => {
      const logger = serviceLogger("rpc");
      logger.info("Call {auth_token}", { auth_token: "S3CRET1", authorization: ["S3CRET2"], iban: "S3CRET3" });
      logger.info("Nested", { headers: { password: "S3CRET4", list: [{ api_key: "S3CRET5" }] } });
      logger.info("Header was Bearer S3CRET6789 and {text}", {
        text: "url?api_key=S3CRET7&x=1 rxt_0123456789ab_S3CRET8901",
      });
      logger.info("Customer", { id: "cust-53" });
      const cause = new Error('cannot read {"password": "S3CRET8"}');
      logger.error("Failed: {error}", {
        error: new ServiceError("INTERNAL", "no", { cause, details: { token: "S3CRET9" } }),
      });
    });
    assert(lines.length >= 5);
    assert.doesNotMatch(lines.join("\n"), /S3CRET|cust-53/);
    assert.match(lines[0] ?? "", /Call \(redacted\)/);
  });
}

Deno.test("startLogging() unfolds errors with code, stack and causes", async () => {
  const error = new ServiceError("SANDBOX_LOST", "host died", {
    cause: new Error("exit 137"),
    details: { host: "h1" },
  });
  const [line = ""] = await linesOf({}, () => serviceLogger("sandbox").error("Lost: {error}", { error }));
  const { message, error: plain } = JSON.parse(line);
  assert.equal(message, "Lost: ServiceError: host died");
  assert.equal(plain.code, "SANDBOX_LOST");
  assert.deepEqual(plain.details, { host: "h1" });
  assert.match(plain.stack, /logging_test\.ts/);
  assert.equal(plain.cause.message, "exit 137");
  const pretty = await linesOf({ format: "pretty" }, () => serviceLogger("sandbox").error("Lost", { error }));
  assert(pretty.slice(1).every((line) => line.startsWith("    ")));
  assert(pretty.includes("    caused by Error: exit 137"));
});

Deno.test("startLogging() writes values that have no JSON", async () => {
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;
  const hostile = {
    toJSON() {
      throw new Error("no");
    },
  };
  const [line = ""] = await linesOf({}, () => serviceLogger().info("x", { circular, hostile, time: "mine" }));
  const fields = JSON.parse(line);
  assert.match(fields.circular, /Circular/);
  assert.equal(fields.message, "x");
  assert.deepEqual(fields.properties, { time: "mine" });
});

Deno.test("startLogging() holds to levels, of single categories too", async () => {
  const log = () => {
    serviceLogger("rpc").info("rpc-info");
    serviceLogger("rpc", "calls").warn("calls-warn");
    serviceLogger("sandbox", "pool").debug("pool-debug");
    serviceLogger("other").debug("other-debug");
    serviceLogger("other").fatal("other-fatal");
  };
  const messages = async (options: unknown) => (await linesOf(options, log)).map((line) => JSON.parse(line).message);
  assert.deepEqual(await messages({}), ["rpc-info", "calls-warn", "other-fatal"]);
  assert.deepEqual(
    await messages({ levels: { sandbox: "DEBUG", rpc: "ERROR", "rpc.calls": "INFO", other: "OFF" } }),
    ["calls-warn", "pool-debug"],
  );
  assert.deepEqual(await messages({ level: "OFF" }), []);
});

Deno.test("serviceLogger() is silent, and says so, before logging starts and after it ended", async () => {
  const logger = serviceLogger("rpc");
  await linesOf({}, () => assert(logger.isEnabledFor("info") && !logger.isEnabledFor("debug")));
  assert(!logger.isEnabledFor("fatal"));
});

Deno.test("startLogging() writes JSON into a file too, and rotates it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/rexec.log`;
    const lines = await linesOf({ format: "pretty", file: { path, maxBytes: 4_096, maxFiles: 2 } }, () => {
      for (let i = 0; i < 100; i++) serviceLogger().info("Line {i}", { i, token: "S3CRET", text: "x".repeat(200) });
    });
    assert.equal(lines.length, 100);
    const text = await Deno.readTextFile(path);
    assert.doesNotMatch(text, /S3CRET/);
    assert.equal(JSON.parse(text.trimEnd().split("\n").at(-1) ?? "").i, 99);
    const names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
    assert(names.length > 1 && names.length <= 3, names.join());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("startLogging() names the setting when the log file cannot be opened", async () => {
  const options = LoggingOptions.parse({ file: { path: "/none/rexec.log" } });
  await assert.rejects(startLogging(options, { isTerminal: false }), (error) => {
    assert(error instanceof ServiceError && error.code === "CONFIG_INVALID");
    assert.match(error.message, /Cannot open log file "\/none\/rexec\.log" \(logging\.file\.path, LOG_FILE\)/);
    return true;
  });
});

Deno.test("LineWriter drops what does not fit, says so, and writes the rest at once", async () => {
  const output = new FakeOutput();
  {
    await using writer = new LineWriter(output, { maxBufferedChars: 10, noteDropped: (count) => `dropped ${count}\n` });
    for (let i = 0; i < 7; i++) writer.write(`line${i}`);
    assert.equal(output.writes, 0);
  }
  assert.equal(output.text, "line0line1dropped 5\n");
  assert.equal(output.writes, 1);
});

Deno.test("LineWriter writes on after a short write, and outlives an output that fails", async () => {
  const short = new FakeOutput();
  const write = short.write.bind(short);
  short.write = (bytes) => write(bytes.subarray(0, 2));
  let failures = 0;
  const failing = {
    write: () => {
      failures++;
      return Promise.reject(new Error("EPIPE"));
    },
  };
  for (const output of [short, failing]) {
    await using writer = new LineWriter(output, { maxBufferedChars: 10, noteDropped: () => "" });
    writer.write("hello\n");
  }
  assert.equal(short.text, "hello\n");
  assert.equal(failures, 1);
});

Deno.test("escapeControls() leaves ordinary text of any language alone", () => {
  const text = "Größe 大きさ — 🎉 a\\b";
  assert.equal(escapeControls(text), text);
  assert.equal(escapeControls("\t\x00"), "\\t\\u0000");
});

Deno.test("clip() tells how much is missing", () => {
  assert.equal(clip("abcdef", 6), "abcdef");
  assert.equal(clip("abcdefg", 3), "abc… (4 more)");
});
