/**
 * The messages between server and sandbox, without either.
 * @module
 */

import assert from "node:assert/strict";
import { concat, u } from "../../support/zip_writer.ts";
import {
  decodeConsole,
  decodeCredit,
  decodeJsonPayload,
  decodeLog,
  decodeOutput,
  decodePackageTask,
  decodeResult,
  decodeSoftLimit,
  decodeStep,
  decodeTask,
  encodeConsole,
  encodeCredit,
  encodeFrame,
  encodeHello,
  encodeJsonFrame,
  encodeLog,
  encodeOutput,
  encodePackageTask,
  encodeResult,
  encodeSoftLimit,
  encodeStep,
  encodeTask,
  type Frame,
  FRAME_HEADER_BYTES,
  FrameKind,
  type FramePieces,
  FrameReader,
  MAX_LOG_LINE_LENGTH,
  MAX_MESSAGE_LENGTH,
  MAX_TRACEBACK_LENGTH,
  ProtocolError,
  splitFrames,
  STEP_ACTIONS,
  TASK_OUTCOMES,
} from "../../../workers/protocol.ts";
import { pureTarget, type Target } from "../engine.ts";
import { ODD_TEXTS } from "../json_values.ts";
import { EDGES, mutate } from "../mutate.ts";
import { Random } from "../random.ts";

const MAX_FRAME_BYTES = 1_000_000;

/** Any text, too long for its place now and then. */
function text(random: Random): string {
  if (random.chance(0.05)) return random.pick(["x", "é", "世"]).repeat(random.pick([2_000, 8_192, 32_768, 40_000]) + 1);
  return random.chance(0.3) ? random.pick(ODD_TEXTS) : `t${random.below(1_000)}`;
}

function tail(random: Random): Uint8Array {
  return new Uint8Array(random.chance(0.03) ? random.below(700_000) : random.skewed(500)).fill(random.below(256));
}

/** A message of any kind, as an honest sender writes it. */
export function anyFrame(random: Random, taskId: number): Uint8Array {
  const amount = random.chance(0.1) ? random.pick([-1, NaN, Infinity, 2 ** 60]) : random.below(1_000_000);
  const limits = { memoryLimitBytes: amount, maxOutputBytes: 5, input: tail(random), format: text(random) };
  const config = new Map(Array.from({ length: random.skewed(8) }, () => [text(random), text(random)] as const));
  const kinds: readonly (() => FramePieces)[] = [
    () => encodeTask(taskId, { ...limits, nodeType: text(random), config }, random.pick(NODE_KINDS)),
    () =>
      encodePackageTask(
        taskId,
        { ...limits, ...PACKAGE, layers: [tail(random), tail(random)], codePackage: tail(random) },
        random.pick(PACKAGE_KINDS),
      ),
    () =>
      encodeStep(taskId, {
        streamId: random.pick(EDGES),
        action: random.pick(STEP_ACTIONS),
        format: text(random),
        method: text(random),
        input: tail(random),
      }),
    () => encodeCredit(taskId, amount),
    () => encodeOutput(taskId, { runMicros: amount, output: tail(random) }),
    () =>
      encodeResult(taskId, {
        outcome: random.pick(TASK_OUTCOMES),
        runMicros: amount,
        message: text(random),
        traceback: text(random),
        output: tail(random),
      }),
    () => encodeLog(taskId, { level: "info", message: text(random) }),
    () => encodeConsole(taskId, { stream: "stderr", text: text(random) }),
    () => encodeSoftLimit(taskId, { reason: text(random), leftMs: amount }),
    () => encodeJsonFrame(FrameKind.ProbeReport, taskId, [text(random)]),
    () => encodeHello(random.bytes(32)),
    () => encodeFrame(FrameKind.Cancel, taskId, tail(random)),
  ];
  return concat(...random.pick(kinds)());
}

const NODE_KINDS = [FrameKind.Task, FrameKind.Open] as const;
const PACKAGE_KINDS = [FrameKind.Package, FrameKind.OpenPackage] as const;

const OPTIONS = {
  entryPoint: "main.ts",
  dependencies: [],
  maxPackageBytes: 1,
  maxUnpackedBytes: 1,
  maxFiles: 1,
  blockedImports: [],
  validated: false,
  environment: {},
  stream: { mode: "stream", config: { k: "1" }, creditBytes: 1 },
} as const;

const PACKAGE = { maxConsoleBytes: 9, options: OPTIONS };

/** A stream of frames: cut anywhere, it gives what it gives in one piece. */
export const frames: Target = pureTarget({
  name: "frames",
  description: "frames between server and sandbox",
  iterations: 6_000,
  reaches: ["frames", "broken stream", "refused message"],
  generate(random) {
    const all = Array.from({ length: random.skewed(6) + 1 }, () => anyFrame(random, random.pick(EDGES)));
    const stream = concat(...all);
    const damaged = random.chance(0.6) ? mutate(stream, random, { maxSteps: 2 }) : stream;
    // The first bytes choose how the stream is cut.
    return concat(u(4, random.below(2 ** 31)), random.chance(0.1) ? random.bytes(random.below(60)) : damaged);
  },
  run(input) {
    const cuts = new Random(new DataView(input.buffer, input.byteOffset).getUint32(0, true));
    const stream = input.subarray(4);
    const received = receive(stream, cuts);
    const whole = concat(...received.frames.map(({ bytes }) => bytes));
    assert.deepEqual(whole, stream.subarray(0, whole.length), "frames are the stream");
    assert.deepEqual(splitFrames(whole).map(same), received.frames.map(same));
    const left = stream.subarray(whole.length);
    // What the reader refuses may be whole, and longer than it allows.
    if (left.length > 0 && !received.isBroken) assert.throws(() => splitFrames(left), ProtocolError);
    const outcomes = received.frames.map(decode);
    if (received.isBroken) return "broken stream";
    return outcomes.includes(false) ? "refused message" : "frames";
  },
});

function same({ kind, taskId, payload }: Frame): unknown[] {
  return [kind, taskId, payload];
}

/** Reads a stream in pieces; each frame is copied when it comes, since its buffer goes on being used. */
function receive(stream: Uint8Array, random: Random): { readonly frames: Frame[]; readonly isBroken: boolean } {
  const reader = new FrameReader(() => MAX_FRAME_BYTES);
  const frames: Frame[] = [];
  try {
    for (let at = 0; at < stream.length;) {
      const buffer = reader.nextBuffer();
      assert(buffer.length > 0, "there is always room");
      assert(buffer.byteLength <= MAX_FRAME_BYTES + 4, "no more room than the longest frame needs");
      const count = Math.min(buffer.length, stream.length - at, 1 + random.skewed(random.pick([20, 300_000])));
      buffer.set(stream.subarray(at, at + count));
      at += count;
      for (const frame of reader.advance(count)) frames.push(...splitFrames(frame.bytes.slice()));
    }
    return { frames, isBroken: false };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { frames, isBroken: true };
  }
}

/** Decodes a frame's payload as its kind says. @returns whether it could be read */
function decode({ kind, taskId, payload }: Frame): boolean {
  try {
    switch (kind) {
      case FrameKind.Task:
      case FrameKind.Open:
        assertStays(decodeTask, (task) => encodeTask(taskId, task), payload);
        break;
      case FrameKind.Result: {
        const result = assertStays(decodeResult, (result) => encodeResult(taskId, result), payload);
        assert(result.message.length <= MAX_MESSAGE_LENGTH && result.traceback.length <= MAX_TRACEBACK_LENGTH);
        break;
      }
      case FrameKind.Log: {
        const log = assertStays(decodeLog, (log) => encodeLog(taskId, log), payload);
        assert(log.message.length <= MAX_LOG_LINE_LENGTH);
        break;
      }
      case FrameKind.Console:
        assertStays(decodeConsole, (text) => encodeConsole(taskId, text), payload);
        break;
      case FrameKind.SoftLimit:
        assertStays(decodeSoftLimit, (limit) => encodeSoftLimit(taskId, limit), payload);
        break;
      case FrameKind.Package:
      case FrameKind.OpenPackage:
        assertStays(decodePackageTask, (task) => encodePackageTask(taskId, task), payload);
        break;
      case FrameKind.Step: {
        const step = assertStays(decodeStep, (step) => encodeStep(taskId, step), payload);
        assert(STEP_ACTIONS.includes(step.action));
        break;
      }
      case FrameKind.Credit:
        assertStays(decodeCredit, (bytes) => encodeCredit(taskId, bytes), payload);
        break;
      case FrameKind.Output:
        assertStays(decodeOutput, (output) => encodeOutput(taskId, output), payload);
        break;
      default:
        decodeJsonPayload(payload);
    }
    return true;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return false;
  }
}

/** What was read is read again from what is written of it. */
function assertStays<T>(decode: (payload: Uint8Array) => T, encode: (value: T) => FramePieces, payload: Uint8Array): T {
  const value = decode(payload);
  const again = decode(concat(...encode(value)).subarray(FRAME_HEADER_BYTES));
  assert.deepEqual(again, value);
  return value;
}
