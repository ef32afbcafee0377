/**
 * Runs one task: decode, node, encode, and what it took.
 * @module
 */

import { codecFor } from "./codecs/mod.ts";
import { nowMs } from "./harden.ts";
import { executeNode } from "./nodes/instantiate.ts";
import { findNode } from "./nodes/mod.ts";
import { decodeTask, encodeLog, encodeResult, MAX_LOG_LINE_LENGTH, MAX_LOG_LINES } from "./protocol.ts";
import type { Frame, FramePieces, TaskOutcome } from "./protocol.ts";
import { TaskError } from "./task_error.ts";
import { describeFailure } from "./traceback.ts";

/**
 * Runs the task of a frame and gives the frame of its result; never rejects.
 * @param signal aborts when the server cancels the task
 * @param send sends a frame of the task's log at once
 */
export async function runTask(
  frame: Frame,
  signal: AbortSignal,
  send: (pieces: FramePieces) => void,
): Promise<FramePieces> {
  const startedAt = nowMs();
  const runMicros = () => Math.max(0, (nowMs() - startedAt) * 1_000);
  try {
    const output = await execute(frame, signal, send);
    return encodeResult(frame.taskId, { outcome: "OK", runMicros: runMicros(), message: "", traceback: "", output });
  } catch (error) {
    const { message, traceback } = describeFailure(error);
    const outcome = signal.aborted ? "CANCELLED" : outcomeOf(error);
    return encodeResult(frame.taskId, {
      outcome,
      runMicros: runMicros(),
      message,
      traceback,
      output: new Uint8Array(),
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

function boundedLog(write: (message: string) => void): (message: string) => void {
  let lines = 0;
  return (message) => {
    lines++;
    if (lines < MAX_LOG_LINES) write(message.slice(0, MAX_LOG_LINE_LENGTH));
    else if (lines === MAX_LOG_LINES) write(`Further lines of this task are dropped: ${MAX_LOG_LINES} were written`);
  };
}

function outcomeOf(error: unknown): TaskOutcome {
  if (error instanceof TaskError) return error.code;
  return "TASK_FAILED";
}
