import assert from "node:assert/strict";
import {
  decodeCredit,
  decodeJsonPayload,
  decodeLog,
  decodeOutput,
  decodePackageTask,
  decodeResult,
  decodeStep,
  decodeTask,
  encodeCredit,
  encodeFrame,
  encodeHello,
  encodeJsonFrame,
  encodeLog,
  encodeOutput,
  encodePackageTask,
  encodeResult,
  encodeStep,
  encodeTask,
  type Frame,
  FRAME_HEADER_BYTES,
  FrameKind,
  type FramePieces,
  FrameReader,
  FrameWriter,
  joinPieces,
  MAX_LOG_LINE_LENGTH,
  MAX_MESSAGE_LENGTH,
  MAX_TRACEBACK_LENGTH,
  type NodeTask,
  type PackageTask,
  PROTOCOL_VERSION,
  ProtocolError,
  splitFrames,
  STEP_ACTIONS,
  type StreamStep,
  TASK_OUTCOMES,
  type TaskResult,
} from "../../workers/protocol.ts";
import { seededRandom } from "../support/random.ts";

const BLOCK_BYTES = 512 * 1024;
const LONGEST = 64 * 1024 * 1024;

function toBytes(...frames: readonly FramePieces[]): Uint8Array {
  const pieces = frames.flat();
  // A copy of one's own, so that no test sees what it must not: the encoder's buffer.
  return joinPieces(pieces, pieces.reduce((sum, { length }) => sum + length, 0)).slice();
}

/** A frame with a payload that tells every byte's place. */
function patterned(payloadBytes: number, taskId = 1): FramePieces {
  return encodeFrame(FrameKind.Result, taskId, Uint8Array.from({ length: payloadBytes }, (_, at) => at % 251));
}

/** Feeds a stream to a reader in chunks of the given sizes, repeated; each frame is copied when it comes. */
function read(stream: Uint8Array, chunkBytes: (index: number) => number, maxFrameBytes = LONGEST): Frame[] {
  const reader = new FrameReader(() => maxFrameBytes);
  const frames: Frame[] = [];
  for (let at = 0, index = 0; at < stream.length; index++) {
    const buffer = reader.nextBuffer();
    assert(buffer.length > 0, "the reader offers no room");
    const count = Math.min(buffer.length, chunkBytes(index), stream.length - at);
    buffer.set(stream.subarray(at, at + count));
    at += count;
    frames.push(...reader.advance(count));
  }
  return frames;
}

function assertFrames(frames: readonly Frame[], stream: Uint8Array): void {
  assert.deepEqual(toBytes(...frames.map(({ bytes }): FramePieces => [bytes])), stream);
}

Deno.test("FrameReader gives whole frames wherever the stream is split", () => {
  const stream = toBytes(
    encodeFrame(FrameKind.Cancel, 0xffff_ffff),
    patterned(1, 2),
    encodeHello(new Uint8Array(32)),
    patterned(300, 3),
    encodeFrame(FrameKind.Cancel, 0),
  );
  for (let split = 1; split < stream.length; split++) {
    const frames = read(stream, (index) => index === 0 ? split : stream.length);
    assert.deepEqual(frames.map(({ kind }) => kind), [2, 66, 64, 66, 2]);
    assert.deepEqual(frames.map(({ taskId }) => taskId), [0xffff_ffff, 2, 0, 3, 0]);
    assert.deepEqual(frames.map(({ payload }) => payload.length), [0, 1, 33, 300, 0]);
    assertFrames(frames, stream);
  }
  assertFrames(read(stream, () => 1), stream);
});

// Around the reader's block, above all a frame that ends where its block does.
for (const around of [224 * 1024, BLOCK_BYTES / 2, BLOCK_BYTES, 2 * BLOCK_BYTES, 8 * BLOCK_BYTES]) {
  for (const off of [-FRAME_HEADER_BYTES - 1, -FRAME_HEADER_BYTES, -1, 0, 1]) {
    Deno.test(`FrameReader reads on after frames with ${around + off} bytes of payload`, () => {
      const stream = toBytes(patterned(around + off), patterned(around + off, 2), patterned(3, 3));
      assertFrames(read(stream, () => LONGEST), stream);
      assertFrames(read(stream, () => 65_536), stream);
      assertFrames(read(stream, (index) => index % 2 === 0 ? 5 : 40_000), stream);
    });
  }
}

Deno.test("FrameReader reads on when small frames fill its block to the last byte", () => {
  const stream = toBytes(...Array.from({ length: 6 }, (_, id) => patterned(BLOCK_BYTES / 2 - FRAME_HEADER_BYTES, id)));
  assertFrames(read(stream, () => LONGEST), stream);
});

Deno.test("FrameReader reads on when its block was transferred with the frame that fills it", () => {
  const reader = new FrameReader(() => LONGEST);
  const stream = toBytes(patterned(3 * BLOCK_BYTES - FRAME_HEADER_BYTES));
  let frame: Frame | undefined;
  for (let at = 0; frame === undefined;) {
    const buffer = reader.nextBuffer();
    const count = Math.min(buffer.length, stream.length - at);
    buffer.set(stream.subarray(at, at + count));
    at += count;
    frame = reader.advance(count)[0];
  }
  assert.equal(frame.bytes.length, frame.bytes.buffer.byteLength);
  structuredClone(frame.bytes, { transfer: [frame.bytes.buffer as ArrayBuffer] }); // made by the reader, never shared

  const small = toBytes(patterned(10));
  reader.nextBuffer().set(small);
  assertFrames(reader.advance(small.length), small);
});

Deno.test("FrameReader gives frames of random sizes in random chunks", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 20; round++) {
    const sizes = Array.from({ length: 30 }, () => Math.floor(random() ** 4 * 400_000));
    const stream = toBytes(...sizes.map((size, id) => patterned(size, id)));
    assertFrames(read(stream, () => 1 + Math.floor(random() ** 3 * 200_000)), stream);
  }
});

Deno.test("FrameReader accepts a frame of exactly the longest length, and refuses one byte more before it has come", () => {
  const stream = toBytes(patterned(100));
  assertFrames(read(stream, () => 1, stream.length - 4), stream);
  const head = stream.subarray(0, 4);
  assert.throws(() => read(head, () => 4, stream.length - 5), {
    name: "ProtocolError",
    message: "Cannot read frame: its length is 105, allowed up to 104",
  });
});

for (const length of [0, 1, 4, 0x7fff_ffff, 0xffff_ffff]) {
  Deno.test(`FrameReader refuses a frame that says it is ${length} bytes long`, () => {
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, length, true);
    assert.throws(() => read(head, () => 4), ProtocolError);
    assert.throws(() => splitFrames(toBytes([head], encodeFrame(FrameKind.Cancel, 1))), ProtocolError);
  });
}

Deno.test("FrameReader asks for the longest length anew with each frame", () => {
  let longest = 1_000;
  const reader = new FrameReader(() => longest);
  const stream = toBytes(patterned(500));
  reader.nextBuffer().set(stream);
  assert.equal(reader.advance(stream.length).length, 1);
  longest = 100;
  reader.nextBuffer().set(stream);
  assert.throws(() => reader.advance(stream.length), ProtocolError);
});

const TASKS: readonly [name: string, task: NodeTask][] = [
  ["no config and no input", {
    nodeType: "",
    format: "",
    config: new Map(),
    memoryLimitBytes: 0,
    maxOutputBytes: 0,
    input: new Uint8Array(),
  }],
  ["texts of every width", {
    nodeType: "Node 💥 ÿ \0",
    format: "json",
    config: new Map([["", ""], ["ключ", "值"], ["__proto__", "x"]]),
    memoryLimitBytes: 2 ** 53 - 1,
    maxOutputBytes: 1.5,
    input: Uint8Array.of(0, 255),
  }],
  ["a long input", {
    nodeType: "N",
    format: "raw",
    config: new Map([["a", "b".repeat(100_000)]]),
    memoryLimitBytes: 1,
    maxOutputBytes: 2,
    input: new Uint8Array(1_000_000).fill(9),
  }],
  ["an input at the length from which it is kept apart", {
    nodeType: "N",
    format: "raw",
    config: new Map(),
    memoryLimitBytes: 1,
    maxOutputBytes: 2,
    input: new Uint8Array(32 * 1024).fill(9),
  }],
];

for (const [name, task] of TASKS) {
  Deno.test(`decodeTask() gives what encodeTask() took: ${name}`, () => {
    const [frame] = splitFrames(toBytes(encodeTask(0xffff_ffff, task)));
    assert.deepEqual([frame?.kind, frame?.taskId], [FrameKind.Task, 0xffff_ffff]);
    assert.deepEqual(decodeTask(frame!.payload), task);
  });
}

for (const outcome of TASK_OUTCOMES) {
  for (const outputBytes of [0, 1, 32 * 1024 - 1, 32 * 1024, 1_000_000]) {
    Deno.test(`decodeResult() gives what encodeResult() took: ${outcome} with ${outputBytes} bytes`, () => {
      const result: TaskResult = {
        outcome,
        runMicros: 12.5,
        message: "what went wrong ✗",
        traceback: "here\nthere",
        output: new Uint8Array(outputBytes).fill(3),
      };
      const [frame] = splitFrames(toBytes(encodeResult(3, result)));
      assert.equal(frame?.kind, FrameKind.Result);
      assert.deepEqual(decodeResult(frame!.payload), result);
    });
  }
}

for (const [name, task] of TASKS) {
  Deno.test(`decodeTask() gives what encodeTask() took to open a stream: ${name}`, () => {
    const [frame] = splitFrames(toBytes(encodeTask(7, task, FrameKind.Open)));
    assert.deepEqual([frame?.kind, frame?.taskId], [FrameKind.Open, 7]);
    assert.deepEqual(decodeTask(frame!.payload), task);
  });
}

const PACKAGE_TASK: PackageTask = {
  format: "pickle",
  memoryLimitBytes: 1,
  maxOutputBytes: 2,
  maxConsoleBytes: 3,
  options: {
    entryPoint: "main.ts:Näme",
    dependencies: ["npm:a@1"],
    maxPackageBytes: 4,
    maxUnpackedBytes: 5,
    maxFiles: 6,
    blockedImports: ["fs"],
    validated: true,
    environment: { A: "b" },
    stream: { mode: "object", config: { "": "[1]", k: "'v'" }, creditBytes: 7 },
  },
  input: new Uint8Array(),
  layers: [new Uint8Array(3).fill(9), new Uint8Array(1)],
  codePackage: new Uint8Array(40_000).fill(8),
};

for (const kind of [FrameKind.Package, FrameKind.OpenPackage] as const) {
  Deno.test(`decodePackageTask() gives what encodePackageTask() took: kind ${kind}`, () => {
    const [frame] = splitFrames(toBytes(encodePackageTask(9, PACKAGE_TASK, kind)));
    assert.deepEqual([frame?.kind, frame?.taskId], [kind, 9]);
    assert.deepEqual(decodePackageTask(frame!.payload), PACKAGE_TASK);
  });
}

for (const action of STEP_ACTIONS) {
  for (const inputBytes of [0, 1, 32 * 1024 - 1, 32 * 1024, 1_000_000]) {
    Deno.test(`decodeStep() gives what encodeStep() took: ${action} with ${inputBytes} bytes`, () => {
      const step: StreamStep = {
        streamId: 0xffff_ffff,
        action,
        format: "json",
        method: "größe",
        input: new Uint8Array(inputBytes).fill(6),
      };
      const [frame] = splitFrames(toBytes(encodeStep(0xffff_fffe, step)));
      assert.deepEqual([frame?.kind, frame?.taskId], [FrameKind.Step, 0xffff_fffe]);
      assert.deepEqual(decodeStep(frame!.payload), step);
    });
  }
}

for (const bytes of [0, 1, 2 ** 53 - 1]) {
  Deno.test(`decodeCredit() gives what encodeCredit() took: ${bytes} bytes`, () => {
    const [frame] = splitFrames(toBytes(encodeCredit(5, bytes)));
    assert.deepEqual([frame?.kind, frame?.taskId], [FrameKind.Credit, 5]);
    assert.equal(decodeCredit(frame!.payload), bytes);
  });
}

for (const outputBytes of [0, 1, 32 * 1024 - 1, 32 * 1024, 1_000_000]) {
  Deno.test(`decodeOutput() gives what encodeOutput() took: ${outputBytes} bytes`, () => {
    const output = { runMicros: 0.25, output: new Uint8Array(outputBytes).fill(4) };
    const [frame] = splitFrames(toBytes(encodeOutput(0xffff_ffff, output)));
    assert.deepEqual([frame?.kind, frame?.taskId], [FrameKind.Output, 0xffff_ffff]);
    assert.deepEqual(decodeOutput(frame!.payload), output);
  });
}

Deno.test("decodeStep() refuses an action that there is not", () => {
  const step = { streamId: 1, action: "close", format: "", method: "", input: new Uint8Array() } as const;
  const payload = toBytes(encodeStep(2, step)).subarray(FRAME_HEADER_BYTES);
  payload[4] = STEP_ACTIONS.length;
  assert.throws(() => decodeStep(payload), {
    name: "ProtocolError",
    message: "Cannot read message: unknown action of a stream",
  });
});

for (const level of ["info", "warning"] as const) {
  Deno.test(`decodeLog() gives what encodeLog() took: ${level}`, () => {
    const [frame] = splitFrames(toBytes(encodeLog(9, { level, message: "späte Zeile" })));
    assert.deepEqual([frame?.kind, frame?.taskId], [FrameKind.Log, 9]);
    assert.deepEqual(decodeLog(frame!.payload), { level, message: "späte Zeile" });
  });
}

Deno.test("encodeHello() and encodeJsonFrame() write what the other side reads", () => {
  const token = crypto.getRandomValues(new Uint8Array(32));
  const [hello, ready] = splitFrames(
    toBytes(encodeHello(token), encodeJsonFrame(FrameKind.Ready, 0, { nodes: ["é"] })),
  );
  assert.deepEqual([...hello!.payload], [PROTOCOL_VERSION, ...token]);
  assert.deepEqual(decodeJsonPayload(ready!.payload), { nodes: ["é"] });
});

Deno.test("decoders refuse a text that has more characters than its sender writes, whatever they are", () => {
  const result = {
    outcome: "TASK_FAILED",
    runMicros: 1,
    message: "",
    traceback: "",
    output: new Uint8Array(),
  } as const;
  for (const character of ["x", "世"]) {
    const long = (length: number) => character.repeat(length);
    const payload = (pieces: FramePieces) => toBytes(pieces).subarray(FRAME_HEADER_BYTES);
    const log = (length: number) => payload(encodeLog(1, { level: "info", message: long(length) }));
    const message = (length: number) => payload(encodeResult(1, { ...result, message: long(length) }));
    const traceback = (length: number) => payload(encodeResult(1, { ...result, traceback: long(length) }));
    assert.equal(decodeLog(log(MAX_LOG_LINE_LENGTH)).message.length, MAX_LOG_LINE_LENGTH);
    assert.throws(() => decodeLog(log(MAX_LOG_LINE_LENGTH + 1)), ProtocolError);
    assert.equal(decodeResult(message(MAX_MESSAGE_LENGTH)).message.length, MAX_MESSAGE_LENGTH);
    assert.throws(() => decodeResult(message(MAX_MESSAGE_LENGTH + 1)), ProtocolError);
    assert.equal(decodeResult(traceback(MAX_TRACEBACK_LENGTH)).traceback.length, MAX_TRACEBACK_LENGTH);
    assert.throws(() => decodeResult(traceback(MAX_TRACEBACK_LENGTH + 1)), ProtocolError);
  }
});

const BROKEN_JSON: readonly [name: string, payload: Uint8Array][] = [
  ["nothing", new Uint8Array()],
  ["half of it", new TextEncoder().encode('{"nodes": [')],
  ["text that is not UTF-8", Uint8Array.of(0x22, 0xff, 0x22)],
];

for (const [name, payload] of BROKEN_JSON) {
  Deno.test(`decodeJsonPayload() refuses ${name}`, () => {
    assert.throws(() => decodeJsonPayload(payload), ProtocolError);
  });
}

Deno.test("decoders refuse every message that is cut short, but for its last field, which is as long as it is", () => {
  const task = toBytes(encodeTask(1, { ...TASKS[1]![1], input: new Uint8Array() })).subarray(FRAME_HEADER_BYTES);
  for (let end = 0; end < task.length; end++) {
    assert.throws(() => decodeTask(task.subarray(0, end)), ProtocolError, `at ${end}`);
  }
  const result = toBytes(
    encodeResult(1, { outcome: "OK", runMicros: 1, message: "m", traceback: "t", output: new Uint8Array() }),
  ).subarray(FRAME_HEADER_BYTES);
  for (let end = 0; end < result.length; end++) {
    assert.throws(() => decodeResult(result.subarray(0, end)), ProtocolError, `at ${end}`);
  }
  const nothing = new Uint8Array();
  const payload = (pieces: FramePieces) => toBytes(pieces).subarray(FRAME_HEADER_BYTES);
  const others: readonly [decode: (payload: Uint8Array) => unknown, whole: Uint8Array][] = [
    [decodePackageTask, payload(encodePackageTask(1, { ...PACKAGE_TASK, codePackage: nothing }))],
    [decodeStep, payload(encodeStep(1, { streamId: 2, action: "call", format: "f", method: "m", input: nothing }))],
    [decodeCredit, payload(encodeCredit(1, 2))],
    [decodeOutput, payload(encodeOutput(1, { runMicros: 2, output: nothing }))],
  ];
  for (const [decode, whole] of others) {
    decode(whole);
    for (let end = 0; end < whole.length; end++) {
      assert.throws(() => decode(whole.subarray(0, end)), ProtocolError, `${decode.name} at ${end}`);
    }
  }
});

for (const amount of [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
  Deno.test(`decoders refuse an amount of ${amount}`, () => {
    const result = { outcome: "OK", runMicros: amount, message: "", traceback: "", output: new Uint8Array() } as const;
    assert.throws(
      () => decodeResult(toBytes(encodeResult(1, result)).subarray(FRAME_HEADER_BYTES)),
      /amount is/,
    );
    const output = { runMicros: amount, output: new Uint8Array() };
    assert.throws(() => decodeOutput(toBytes(encodeOutput(1, output)).subarray(FRAME_HEADER_BYTES)), /amount is/);
    assert.throws(() => decodeCredit(toBytes(encodeCredit(1, amount)).subarray(FRAME_HEADER_BYTES)), /amount is/);
  });
}

/** A stream whose writes end when the test says so. */
class HandDrivenStream {
  readonly written: Uint8Array[] = [];
  readonly #pending: { bytes: Uint8Array; answer: PromiseWithResolvers<number> }[] = [];
  #arrived = Promise.withResolvers<void>();

  readonly write = (bytes: Uint8Array): Promise<number> => {
    const answer = Promise.withResolvers<number>();
    this.#pending.push({ bytes, answer });
    this.#arrived.resolve();
    return answer.promise;
  };

  get pending(): number {
    return this.#pending.length;
  }

  /** The bytes of the next write, once there is one. */
  async next(): Promise<Uint8Array> {
    while (this.#pending.length === 0) {
      this.#arrived = Promise.withResolvers();
      await this.#arrived.promise;
    }
    return this.#pending[0]!.bytes;
  }

  /** Takes some or all of the next write. */
  async take(count?: number): Promise<void> {
    const bytes = await this.next();
    const taken = count ?? bytes.length;
    this.written.push(bytes.slice(0, taken));
    this.#pending.shift()!.answer.resolve(taken);
  }

  async fail(error: Error): Promise<void> {
    await this.next();
    this.#pending.shift()!.answer.reject(error);
  }
}

function startWriter() {
  const stream = new HandDrivenStream();
  const errors: unknown[] = [];
  return { stream, errors, writer: new FrameWriter(stream.write, (error) => errors.push(error)) };
}

Deno.test("FrameWriter writes in order, and what came during a write in the next one", async () => {
  const { stream, writer, errors } = startWriter();
  writer.send([Uint8Array.of(1), Uint8Array.of(2)]);
  writer.send([Uint8Array.of(3)]);
  assert.deepEqual([...await stream.next()], [1, 2, 3]);
  writer.send([Uint8Array.of(4)]);
  writer.send([Uint8Array.of(5)]);
  assert.equal(stream.pending, 1);
  await stream.take();
  assert.deepEqual([...await stream.next()], [4, 5]);
  await stream.take();
  await writer.flushed();
  assert.deepEqual([writer.bufferedBytes, errors.length], [0, 0]);
});

Deno.test("FrameWriter holds a frame until the next one takes it along", async () => {
  const { stream, writer } = startWriter();
  writer.hold([Uint8Array.of(1), Uint8Array.of(2)]);
  writer.hold([Uint8Array.of(3)]);
  await writer.flushed();
  assert.equal(stream.pending, 0);
  writer.send([Uint8Array.of(4)]);
  writer.hold([Uint8Array.of(5)]);
  assert.deepEqual([...await stream.next()], [1, 2, 3, 4]);
  await stream.take();
  await writer.flushed();
  assert.deepEqual([writer.bufferedBytes, stream.pending], [0, 0]);
  writer.send([Uint8Array.of(6)]);
  assert.deepEqual([...await stream.next()], [5, 6]);
  await stream.take();
});

Deno.test("FrameWriter goes on where a write took only a part", async () => {
  const { stream, writer } = startWriter();
  writer.send([Uint8Array.of(1, 2, 3, 4, 5)]);
  await stream.take(2);
  await stream.take(1);
  assert.deepEqual([...await stream.next()], [4, 5]);
  assert.equal(writer.bufferedBytes, 5);
  await stream.take();
  await writer.flushed();
  assert.deepEqual(stream.written.flatMap((bytes) => [...bytes]), [1, 2, 3, 4, 5]);
  assert.equal(writer.bufferedBytes, 0);
});

Deno.test("FrameWriter writes a long piece without copying it together with others", async () => {
  const { stream, writer } = startWriter();
  const long = new Uint8Array(300_000);
  writer.send([Uint8Array.of(1)]);
  writer.send([long]);
  writer.send([Uint8Array.of(2)]);
  assert.equal((await stream.next()).length, 1);
  await stream.take();
  assert.equal(await stream.next(), long);
  await stream.take();
  assert.deepEqual([...await stream.next()], [2]);
  await stream.take();
  await writer.flushed();
});

Deno.test("FrameWriter reports a failed write once and drops what follows", async () => {
  const { stream, writer, errors } = startWriter();
  writer.send([Uint8Array.of(1)]);
  await stream.next();
  writer.send([Uint8Array.of(2)]);
  await stream.fail(new Error("broken pipe"));
  await writer.flushed();
  writer.send([Uint8Array.of(3)]);
  await writer.flushed();
  assert.deepEqual(errors, [new Error("broken pipe")]);
  assert.deepEqual([stream.pending, writer.bufferedBytes], [0, 0]);
});

Deno.test("FrameWriter.flushed() resolves when all is written, and at once when nothing waits", async () => {
  const { stream, writer } = startWriter();
  await writer.flushed();
  let flushed = false;
  writer.send([Uint8Array.of(1)]);
  const done = writer.flushed().then(() => flushed = true);
  await stream.next();
  writer.send([Uint8Array.of(2)]);
  await stream.take();
  await stream.next();
  assert.equal(flushed, false);
  await stream.take();
  await done;
});
