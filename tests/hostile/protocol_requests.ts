/**
 * The corpus' requests (`req-…`), mapped to this contract: its `language` is the runtime of a manifest, its `code` the
 * package, its `config` that of a node, its `requirements` the dependencies. Its rows in Python are sent as packages of
 * Python.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  ExecuteCustomTaskRequest,
  ExecuteObjectMethodRequest,
  RemoteExecutionServiceClient,
} from "../../protos/generated/execution.ts";
import { ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { connect, unary } from "../support/client.ts";
import { until } from "../support/processes.ts";
import { concat, writeZip } from "../support/zip_writer.ts";
import { status as callStatus } from "@grpc/grpc-js";
import { varint } from "./protocol_bodies.ts";
import { leaveTask } from "./protocol_connections.ts";
import { encodeTask, type Outcome, type ProtocolCases, type Target } from "./target.ts";

const OK = "export default async function (input) { return 1; }";
const BUSY = "export default async function () { for (;;); }";
/** An honest module of Python. */
export const PYTHON = "def main(input): return 1";
const MILLION = 1_000_000;
const LANGUAGES = ["bash", "../python", "typescript\0", "__proto__", "constructor", "hasOwnProperty", "TYPESCRIPT "];
const ENTRIES = ["__proto__", "constructor", "toString", "hasOwnProperty", "then", "default.constructor"].concat(
  ["x;throw 1//", "x'];import('node:fs')//", "a".repeat(MILLION), "a\0", "__class__", "__builtins__"],
  ["main.__globals__", "exec", "\u202emain", "x\n"],
);
const ODD_INPUTS = ["NaN", "1e999", "-0", '{"a":1,"a":2}', '{"__proto__":{"polluted":1}}', '"\\ud800"'].concat(
  ["9007199254740993", "\ufeff1", "[1,]", "{'a':1}", "1".repeat(MILLION), "", " ", "undefined", '"\\u0000"'],
);
const SHADOWS = ['"); throw 1; //', "'''\nimport os\n'''", "`${globalThis.x=1}`", "\u2028\u2029", "\\", "*/"].concat(
  ["//# sourceMappingURL=file:///etc/passwd", "{x}", "%s%n"],
);
const SOURCES = ["", "\ufeff", "// x", `/*${"x".repeat(20 * MILLION)}*/`, "a\0b", "#!/bin/sh\nid", "<html>"];
const GUESSES = ["1", "2", "00000000-0000-0000-0000-000000000000", "*", "%", "../", ""];

export const REQUESTS: ProtocolCases = {
  "req-empty": { attack: async (target) => [await target.sendTask(new Uint8Array())] },
  "req-language": {
    // No runtime at all is what most packages have: it is inferred.
    attack: (target) =>
      each(
        [...LANGUAGES, "", "a".repeat(10 * MILLION)],
        (runtime) => target.task({ code: withRuntime(runtime) }, `runtime ${show(runtime)}`),
      ),
    instead: { status: "RESOURCE_LIMIT", why: "a manifest of 10 MB is over the limit of manifests" },
  },
  "req-entry": {
    // No entry point, or a blank one, means the default export.
    attack: (target) =>
      each(
        [OK, pythonPackage(PYTHON)].flatMap((code) => ENTRIES.map((entryPoint) => ({ code, entryPoint }))),
        (task) => target.task(task, `entry point ${show(task.entryPoint)}`),
      ),
    instead: { status: "RESOURCE_LIMIT", why: "an entry point of 1 MB is over the limit of texts" },
  },
  "req-timeout": {
    attack: (target) =>
      each([0n, -1n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)], async (timeout) => {
        const outcome = await target.sendTask(withTimeout(BUSY, timeout), `timeout ${timeout}`);
        return { ...outcome, faults: outcome.statuses.includes("SUCCESS") ? ["it ended"] : [] };
      }),
    instead: { status: "PERMISSION_DENIED", why: "more than the policy's ceiling is refused, and the ceiling named" },
  },
  // Ids of executions are the service's own. The one path that a request names takes their place.
  "req-taskid": {
    attack: (target) =>
      each(
        ["../../../tmp/sandbox-test-slip", "", "a/b", "a\0", "__proto__", "a".repeat(MILLION)],
        (path) =>
          target.task({ code: OK, options: ExecutionOptions.fromPartial({ workingDirectory: path }) }, show(path)),
      ),
  },
  "req-map-huge": {
    async attack(target) {
      const entries = Object.fromEntries(Array.from({ length: 300_000 }, (_, index) => [`k${index}`, ""]));
      const longName = { ["k".repeat(MILLION)]: "" };
      const node = { nodeType: "PassThroughNode", serializationFormat: "json", inputData: new Uint8Array([0x31]) };
      return [
        await target.node({ ...node, config: entries }, "config"),
        await target.node({ ...node, config: longName }, "config with a long name"),
        ...await each(
          [entries, longName],
          (environment) =>
            target.task({ code: OK, options: ExecutionOptions.fromPartial({ environment }) }, "environment"),
        ),
      ];
    },
  },
  "req-input-deep": {
    async attack(target) {
      const input = "[".repeat(100_000) + "]".repeat(100_000);
      const inputData = new TextEncoder().encode(input);
      return [
        await target.task({ code: OK, input }),
        await target.node({ nodeType: "PassThroughNode", serializationFormat: "json", inputData }),
      ];
    },
  },
  "req-input-odd": {
    attack: (target) =>
      each(ODD_INPUTS, async (input) => {
        const code = "export default async function (i) { return [typeof i, ({}).polluted ?? null]; }";
        const outcome = await target.task({ code, input }, `input ${show(input)}`);
        return { ...outcome, faults: isClean(outcome) ? [] : [`its result is ${JSON.stringify(outcome.result)}`] };
      }),
    instead: { status: "RESOURCE_LIMIT", why: "an integer of a million digits is over the limit of digits" },
  },
  "req-input-shadow": {
    attack: (target) =>
      each(SHADOWS, async (text) => {
        const code = "export default async function (i) { return i; }";
        const outcome = await target.task({ code, input: JSON.stringify(text) }, `input ${show(text)}`);
        return {
          ...outcome,
          faults: outcome.result === text ? [] : [`its result is ${JSON.stringify(outcome.result)}`],
        };
      }),
  },
  "req-code-size": {
    attack: (target) =>
      each([...SOURCES, ...SOURCES.map(pythonPackage)], (code) => target.task({ code }, `source ${show(code)}`)),
  },
  "req-both": {
    // What begins as a zip is one, and nothing else is: a package has one reading.
    attack: (target) => {
      const empty = concat(new TextEncoder().encode("PK\x05\x06"), new Uint8Array(18));
      const other = writeZip([{ name: "main.ts", data: "export default () => 2;" }]);
      const source = new TextEncoder().encode(`${OK}\n//`);
      return each([empty, concat(source, other), concat(other, source)], async (code) => {
        const outcome = await target.task({ code }, `package of ${code.length} bytes`);
        return { ...outcome, faults: outcome.statuses.includes("SUCCESS") ? ["it has two readings"] : [] };
      });
    },
  },
  "req-cancel": {
    async attack(target) {
      const client = connect(RemoteExecutionServiceClient, target.server.address);
      try {
        const request = ExecuteCustomTaskRequest.decode(withTimeout(BUSY, 60n));
        const call = unary(client, client.executeCustomTask, request);
        await untilTasksRun(target, 1);
        call.cancel();
        const answer = await call.answer;
        await untilTasksRun(target, 0);
        const name = answer.ok ? "OK" : callStatus[answer.code] ?? "";
        await leaveTask(target.port, withTimeout(BUSY, 60n), () => untilTasksRun(target, 1));
        await untilTasksRun(target, 0);
        return [{ what: "cancelled", statuses: [name], text: answer.ok ? "" : answer.details }];
      } finally {
        client.close();
      }
    },
  },
  // Sessions are what has ids.
  "req-status-guess": {
    async attack(target) {
      const client = connect(RemoteExecutionServiceClient, target.server.address);
      try {
        const outcomes = await each(GUESSES, async (sessionId): Promise<Outcome> => {
          const request = ExecuteObjectMethodRequest.fromPartial({
            objectSpecifier: { $case: "sessionId", value: sessionId },
            serializationFormat: "json",
            methodName: "run",
            methodArgsData: new TextEncoder().encode("[]"),
          });
          const answer = await unary(client, client.executeObjectMethod, request).answer;
          const text = answer.ok ? answer.response.errorMessage : answer.details;
          const name = answer.ok ? ExecutionStatus[answer.response.status] : callStatus[answer.code];
          return { what: show(sessionId), statuses: [name ?? ""], text };
        });
        const texts = new Set(outcomes.map(({ what, text }) => text.replaceAll(what, "<id>")));
        return outcomes.map((outcome) => ({ ...outcome, faults: texts.size > 1 ? ["they can be told apart"] : [] }));
      } finally {
        client.close();
      }
    },
    instead: { status: "ERROR", why: "the contract has sessions that are not found answered with ERROR" },
  },
  "req-dup-id-parallel": {
    attack: (target) => Promise.all(Array.from({ length: 20 }, () => target.task({ code: OK }).then(expecting(1)))),
  },
  "req-answers-swapped": {
    attack: (target) =>
      Promise.all(Array.from({ length: 100 }, (_, index) => {
        const code =
          "export default async function (i) { await new Promise((r) => setTimeout(r, 100 - i)); return i; }";
        return target.task({ code, input: String(index) }).then(expecting(index));
      })),
  },
  "req-requirements": {
    attack(target) {
      const url = `http://127.0.0.1:${target.forbiddenPort}`;
      const requirements = [`${url}/x.whl`, `--index-url=${url}`, "-r /etc/passwd", "git+ssh://x", "../../x.whl"];
      requirements.push("numpy; rm", "a".repeat(MILLION));
      return each(
        [OK, pythonPackage(PYTHON)].flatMap((code) => requirements.map((one) => ({ code, one }))),
        (row) => target.task({ code: row.code, dependencies: [row.one] }, `requirement ${show(row.one)}`),
      );
    },
    instead: { status: "RESOURCE_LIMIT", why: "a requirement of 1 MB is over the limit of texts" },
  },
};

/** One after the other, so that memory is that of one. */
async function each<Row>(rows: readonly Row[], attack: (row: Row) => Promise<Outcome>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const row of rows) outcomes.push(await attack(row));
  return outcomes;
}

function expecting(result: unknown): (outcome: Outcome) => Outcome {
  return (outcome) => ({ ...outcome, faults: outcome.result === result ? [] : [`${outcome.result} is not ${result}`] });
}

function isClean({ result, statuses }: Outcome): boolean {
  return !statuses.includes("SUCCESS") || (Array.isArray(result) && result[1] === null);
}

/** A code package of one module of Python. */
export function pythonPackage(source: string): Uint8Array {
  const manifest = JSON.stringify({ version: "1.0", type: "code_package", runtime: "python" });
  return writeZip([{ name: "manifest.json", data: manifest }, { name: "code/main.py", data: source }]);
}

function withRuntime(runtime: string): Uint8Array {
  const manifest = JSON.stringify({ version: "1.0", type: "code_package", runtime });
  return writeZip([{ name: "manifest.json", data: manifest }, { name: "code/main.ts", data: OK }]);
}

/** `options.timeout_seconds` as any varint, also one that no int32 holds. Fields may stand anywhere in a message. */
function withTimeout(code: string, timeout: bigint): Uint8Array {
  const OPTIONS = 6 << 3 | 2;
  const TIMEOUT_SECONDS = 1 << 3;
  const options = concat(Uint8Array.of(TIMEOUT_SECONDS), varint(timeout));
  return concat(encodeTask({ code }), Uint8Array.of(OPTIONS, options.length), options);
}

/** Waits until so many sandboxes run user code. */
async function untilTasksRun({ server }: Target, count: number): Promise<void> {
  await until(`${count} tasks run`, async () => {
    const busy = /^rexec_hosts\{state="task_busy"\} (\d+)$/m.exec(await server.metrics())?.[1];
    assert(busy !== undefined);
    return Number(busy) === count;
  });
}

function show(value: string | Uint8Array): string {
  if (typeof value !== "string") return `of ${value.length} bytes`;
  return value.length > 60 ? `of ${value.length} characters` : JSON.stringify(value);
}
