/**
 * A sandbox host that behaves as a test tells it to: the program behind {@linkcode fakeJail}.
 *
 * As `honest` it does what a task's node type says: `Echo` answers with the input, `Hang` never comes back,
 * `Exit` ends the process, `AnswerAndExit` does both in this order, `OutOfMemory` dies as V8 does, `Ignore` leaves the
 * task unanswered but goes on, `Allocate` takes ever more memory in buffers outside the heap. Any other behaviour breaks the protocol in the way of its name.
 *
 * @module
 */

import {
  decodeTask,
  encodeFrame,
  encodeHello,
  encodeJsonFrame,
  encodeLog,
  encodeResult,
  type Frame,
  FrameKind,
  type FramePieces,
  FrameReader,
  joinPieces,
  type TaskResult,
} from "../../workers/protocol.ts";

/** Breaks the protocol before the host is ready. */
const AT_START: Readonly<Record<string, (connection: Deno.Conn, token: Uint8Array) => Promise<void>>> = {
  async "wrong token"(connection, token) {
    await write(connection, encodeHello(token.map((byte) => byte ^ 1)), ready());
  },
  async "token cut short"(connection, token) {
    await write(connection, encodeHello(token.subarray(1)), ready());
  },
  async "other version"(connection, token) {
    await write(connection, encodeFrame(FrameKind.Hello, 0, Uint8Array.of(99, ...token)), ready());
  },
  async "garbage"(connection) {
    await write(connection, [new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")]);
  },
  async "endless garbage"(connection) {
    while (true) await write(connection, [new Uint8Array(65_536)]);
  },
  async "frame of 4 GB"(connection) {
    await write(connection, [Uint8Array.of(255, 255, 255, 255, 64)]);
  },
  async "ready before hello"(connection, token) {
    await write(connection, ready(), encodeHello(token));
  },
  async "silence"() {},
  async "silence after hello"(connection, token) {
    await write(connection, encodeHello(token));
  },
  async "hang-up"(connection, token) {
    await write(connection, encodeHello(token));
    connection.close();
  },
  async "early exit"() {
    await Deno.stderr.write(new TextEncoder().encode("the last words"));
    Deno.exit(3);
  },
  async "worker that ends"(connection, token) {
    await write(connection, encodeHello(token), encodeFrame(FrameKind.Fatal, 0, new TextEncoder().encode("no module")));
  },
  async "nodes that are no JSON"(connection, token) {
    await write(connection, encodeHello(token), encodeFrame(FrameKind.Ready, 0, Uint8Array.of(0x7b)));
  },
  async "nodes of the wrong shape"(connection, token) {
    await write(connection, encodeHello(token), encodeJsonFrame(FrameKind.Ready, 0, { nodes: [{ nodeType: 1 }] }));
  },
};

/** Breaks the protocol when the first task comes. */
const AT_TASK: Readonly<Record<string, (connection: Deno.Conn, taskId: number) => Promise<void>>> = {
  async "result of an unknown task"(connection, taskId) {
    await write(connection, result(taskId + 1_000));
  },
  async "result out of turn"(connection, taskId) {
    await write(connection, result(taskId + 1));
  },
  async "result twice"(connection, taskId) {
    await write(connection, result(taskId), result(taskId));
  },
  async "package validated twice"(connection, taskId) {
    await write(connection, encodeFrame(FrameKind.Validated, taskId), encodeFrame(FrameKind.Validated, taskId));
  },
  async "outcome that does not exist"(connection, taskId) {
    await write(connection, encodeFrame(FrameKind.Result, taskId, new Uint8Array(40).fill(0x7f)));
  },
  async "result cut short"(connection, taskId) {
    await write(connection, encodeFrame(FrameKind.Result, taskId, new Uint8Array(3)));
  },
  async "result frame of 4 GB"(connection) {
    await write(connection, [Uint8Array.of(255, 255, 255, 255, 66)]);
  },
  async "endless result"(connection) {
    await write(connection, [Uint8Array.of(0, 0, 0, 0x7f, 66)]);
    while (true) await write(connection, [new Uint8Array(65_536)]);
  },
  async "output above its limit"(connection, taskId) {
    await write(connection, result(taskId, { output: new Uint8Array(1_001) }));
  },
  async "output with a failure"(connection, taskId) {
    await write(connection, result(taskId, { outcome: "TASK_FAILED", output: new Uint8Array(1) }));
  },
  async "message without an end"(connection, taskId) {
    await write(connection, result(taskId, { outcome: "TASK_FAILED", message: "x".repeat(100_000) }));
  },
  async "log without an end"(connection, taskId) {
    while (true) await write(connection, encodeLog(taskId, { level: "info", message: "again" }));
  },
  async "log line without an end"(connection, taskId) {
    await write(connection, encodeLog(taskId, { level: "info", message: "x".repeat(100_000) }));
  },
  async "text that is not UTF-8"(connection, taskId) {
    await write(connection, encodeFrame(FrameKind.Log, taskId, Uint8Array.of(0, 1, 0, 0, 0, 0xff)));
  },
  async "frame of unknown kind"(connection) {
    await write(connection, [Uint8Array.of(5, 0, 0, 0, 200, 0, 0, 0, 0)]);
  },
  async "second hello"(connection) {
    await write(connection, encodeHello(new Uint8Array(32)));
  },
  async "unasked probe report"(connection) {
    await write(connection, encodeJsonFrame(FrameKind.ProbeReport, 0, []));
  },
  async "end of its worker"(connection) {
    await write(connection, encodeFrame(FrameKind.Fatal, 0, new TextEncoder().encode("boom")));
  },
};

/** Ways to misbehave before a host is ready. */
export const START_FAULTS: readonly string[] = Object.keys(AT_START);
/** Ways to misbehave with a task. */
export const TASK_FAULTS: readonly string[] = Object.keys(AT_TASK);

/** Names of nodes of a host that is honest. */
export const FAKE_NODES: readonly string[] = [
  "Echo",
  "Hang",
  "Exit",
  "AnswerAndExit",
  "OutOfMemory",
  "Ignore",
  "Allocate",
];

if (import.meta.main) await main(Deno.args[0] ?? "honest");

async function main(behaviour: string): Promise<void> {
  const { socketPath, token } = JSON.parse(await new Response(Deno.stdin.readable).text());
  if (behaviour === "no connection") return await forever();
  const connection = await Deno.connect({ transport: "unix", path: socketPath });
  const secret = Uint8Array.fromHex(token);
  const atStart = AT_START[behaviour];
  if (atStart !== undefined) {
    await atStart(connection, secret);
    return await forever();
  }
  await write(connection, encodeHello(secret), ready());
  const reader = new FrameReader(() => 2 ** 31);
  while (true) {
    const count = await connection.read(reader.nextBuffer());
    if (count === null) Deno.exit(0);
    for (const frame of reader.advance(count)) await handle(frame, connection, behaviour);
  }
}

async function handle(frame: Frame, connection: Deno.Conn, behaviour: string): Promise<void> {
  if (frame.kind === FrameKind.Probe) {
    const report = (place: string) =>
      encodeJsonFrame(FrameKind.ProbeReport, 0, [
        { place, attempt: "read file", leaked: behaviour === "leaks", detail: "canary" },
      ]);
    if (behaviour === "probes nothing") {
      const nothing = encodeJsonFrame(FrameKind.ProbeReport, 0, []);
      return await write(connection, nothing, nothing);
    }
    return await write(connection, report("host"), report("task"));
  }
  if (frame.kind !== FrameKind.Task) return;
  const atTask = AT_TASK[behaviour];
  if (atTask !== undefined) return await atTask(connection, frame.taskId);
  const { nodeType, input } = decodeTask(frame.payload);
  switch (nodeType) {
    case "Hang":
      return hang();
    case "Exit":
      return Deno.exit(5);
    case "AnswerAndExit":
      await write(connection, result(frame.taskId, { output: input.slice() }));
      return Deno.exit(5);
    case "OutOfMemory":
      await Deno.stderr.write(new TextEncoder().encode("Fatal JavaScript out of memory: Reached heap limit"));
      return Deno.exit(133);
    case "Ignore":
      return;
    case "Allocate":
      return allocate();
    default:
      await write(connection, result(frame.taskId, { output: input.slice() }));
  }
}

function ready(): FramePieces {
  return encodeJsonFrame(FrameKind.Ready, 0, {
    nodes: FAKE_NODES.map((nodeType) => ({
      nodeType,
      category: "fake",
      description: "A node of a test",
      streaming: false,
      parameters: [],
    })),
  });
}

function result(taskId: number, parts: Partial<TaskResult> = {}): FramePieces {
  return encodeResult(taskId, {
    outcome: "OK",
    runMicros: 5,
    message: "",
    traceback: "",
    output: new Uint8Array(),
    ...parts,
  });
}

async function write(connection: Deno.Conn, ...frames: readonly FramePieces[]): Promise<void> {
  const pieces = frames.flat();
  const bytes = joinPieces(pieces, pieces.reduce((sum, { length }) => sum + length, 0));
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Computes without an end and without a break. */
function hang(): never {
  while (true);
}

function allocate(): never {
  const kept: Uint8Array[] = [];
  while (true) kept.push(new Uint8Array(256 * 1024).fill(1));
}

/** Keeps the process alive. */
async function forever(): Promise<never> {
  setInterval(() => {}, 60_000);
  return await new Promise(() => {});
}
