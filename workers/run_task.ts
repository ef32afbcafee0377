/**
 * Runs one task: decode, node, encode, and what it took.
 * @module
 */

import { boundedLog } from "./bounded_log.ts";
import type { Cancellation } from "./cancellation.ts";
import { codecFor } from "./codecs/mod.ts";
import { nowMs } from "./harden.ts";
import { executeNode } from "./nodes/instantiate.ts";
import { findNode } from "./nodes/mod.ts";
import { decodeTask, encodeLog, encodeResult, FrameKind } from "./protocol.ts";
import type { Frame, FramePieces, TaskOutcome } from "./protocol.ts";
import type { NodeStreams } from "./node_streams.ts";
import { TaskError } from "./task_error.ts";
import { describeFailure } from "./traceback.ts";

/** What tasks of a worker have in common. */
export interface TaskEnvironment {
  readonly streams: NodeStreams;
  /** Sends a frame of a task's log at once. */
  readonly sendNow: (pieces: FramePieces) => void;
}

const NOTHING = new Uint8Array();

/** Runs the task of a frame and gives the frame of its result; never rejects. */
export async function runTask(
  frame: Frame,
  cancellation: Cancellation,
  { streams, sendNow }: TaskEnvironment,
): Promise<FramePieces> {
  const startedAt = nowMs();
  const runMicros = () => Math.max(0, (nowMs() - startedAt) * 1_000);
  try {
    let output: Uint8Array = NOTHING;
    if (frame.kind === FrameKind.Open) await streams.open(frame, cancellation);
    else if (frame.kind === FrameKind.Step) await streams.step(frame, cancellation);
    else output = await execute(frame, cancellation.signal, sendNow);
    return encodeResult(frame.taskId, { outcome: "OK", runMicros: runMicros(), message: "", traceback: "", output });
  } catch (error) {
    const { message, traceback } = describeFailure(error);
    const outcome = cancellation.isCancelled ? "CANCELLED" : outcomeOf(error);
    return encodeResult(frame.taskId, {
      outcome,
      runMicros: runMicros(),
      message,
      traceback,
      output: NOTHING,
    });
  }
}

async function execute(frame: Frame, signal: AbortSignal, send: (pieces: FramePieces) => void): Promise<Uint8Array> {
  if (signal.aborted) throw new TaskError("CANCELLED", "Cannot run task: it was cancelled before it started");
  const task = decodeTask(frame.payload);
  const definition = findNode(task.nodeType);
  const codec = codecFor(task.format);
  const limits = { memoryLimitBytes: task.memoryLimitBytes, maxOutputBytes: task.maxOutputBytes };
  const input = codec.decode(task.input, limits);
  const output = await executeNode(definition, task.config, input, {
    memoryLimitBytes: task.memoryLimitBytes,
    signal,
    warn: boundedLog((message) => send(encodeLog(frame.taskId, { level: "warning", message }))),
  });
  return codec.encode(output, limits);
}

function outcomeOf(error: unknown): TaskOutcome {
  if (error instanceof TaskError) return error.code;
  return "TASK_FAILED";
}
