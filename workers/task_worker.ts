/**
 * Entry of the Web Worker that runs one task of user code, and nothing after it: its sandbox host is thrown away.
 *
 * The order is what keeps the user's code from speaking for us: `harden.ts` captures and locks first, then this glue
 * and the codecs load, the package is validated, its files are written by the host, and only then is its entry module
 * imported, by us and never as the worker's main module.
 *
 * @module
 */

import {
  exposeGrants,
  inspect,
  isPermissionDenial,
  nowMs,
  onMessage,
  onUncaught,
  post,
  unremovedGlobals,
  workingDirectory,
  writeFiles,
} from "./harden.ts";
import { BoundedOutput } from "./bounded_output.ts";
import { probeTask } from "./probe.ts";
import {
  decodeJsonPayload,
  decodePackageTask,
  decodeSoftLimit,
  encodeConsole,
  encodeJsonFrame,
  encodeResult,
  type Frame,
  FrameKind,
  type FramePieces,
  joinPieces,
  splitFrames,
  type TaskOutcome,
} from "./protocol.ts";
import { runPackage, UserFailure } from "./run_package.ts";
import { TaskError } from "./task_error.ts";
import { concealStacks, describeFailure, describeUserFailure } from "./traceback.ts";
import { userConsole } from "./user_console.ts";
import { warmUp } from "./warm_up.ts";

const soft = new AbortController();
let taskId: number | undefined;
let output: BoundedOutput | undefined;
let startedAt = 0;
let ended = false;

onMessage((bytes) => {
  for (const frame of splitFrames(bytes)) receive(frame);
});
onUncaught((error) => end(undefined, new UserFailure(error)));
concealStacks();
globalThis.console = userConsole(inspect, (stream, text) => output?.write(stream, text), nowMs);
send(encodeJsonFrame(FrameKind.Ready, 0, { nodes: [] }));

function receive(frame: Frame): void {
  switch (frame.kind) {
    case FrameKind.Package:
      // One task to a worker: a second one could meet what the first has left behind.
      if (taskId === undefined) void run(frame);
      break;
    case FrameKind.SoftLimit: {
      const { reason, leftMs } = decodeSoftLimit(frame.payload);
      soft.abort(new DOMException(`${reason}: ${leftMs} ms are left`, "TimeoutError"));
      break;
    }
    case FrameKind.Cancel:
      soft.abort(new DOMException("The caller went away", "AbortError"));
      break;
    case FrameKind.WarmUp:
      if (taskId === undefined) void warmUp();
      break;
    case FrameKind.Probe:
      void probeTask(decodeJsonPayload(frame.payload), unremovedGlobals).then((outcomes) =>
        send(encodeJsonFrame(FrameKind.ProbeReport, 0, outcomes))
      );
      break;
  }
}

async function run(frame: Frame): Promise<void> {
  taskId = frame.taskId;
  startedAt = nowMs();
  try {
    const task = decodePackageTask(frame.payload);
    output = new BoundedOutput(
      task.maxConsoleBytes,
      (stream, text) => send(encodeConsole(frame.taskId, { stream, text })),
      nowMs,
    );
    const context = { signal: soft.signal, writeFiles, exposeGrants, workingDirectory: workingDirectory() };
    end(await runPackage(task, context), undefined);
  } catch (error) {
    end(undefined, error);
  }
}

/** The first end counts: timers and rejections of the user's go on after it. */
function end(result: Uint8Array | undefined, error: unknown): void {
  if (ended || taskId === undefined) return;
  ended = true;
  output?.flush();
  const runMicros = Math.max(0, (nowMs() - startedAt) * 1_000);
  if (result !== undefined) {
    send(encodeResult(taskId, { outcome: "OK", runMicros, message: "", traceback: "", output: result }));
    return;
  }
  send(encodeResult(taskId, { outcome: outcomeOf(error), runMicros, ...describe(error), output: new Uint8Array() }));
}

function outcomeOf(error: unknown): TaskOutcome {
  if (error instanceof TaskError) return error.code;
  return error instanceof UserFailure && isPermissionDenial(error.thrown) ? "SECURITY_VIOLATION" : "TASK_FAILED";
}

/** Message and traceback; what was thrown may run the user's code while it is looked at, and throw again. */
function describe(error: unknown): { message: string; traceback: string } {
  try {
    return error instanceof UserFailure ? describeUserFailure(error.thrown) : describeFailure(error);
  } catch {
    return { message: "The task threw a value that cannot be shown", traceback: "" };
  }
}

function send(pieces: FramePieces): void {
  const [first, second] = pieces;
  const bytes = joinPieces(pieces, first.length + (second?.length ?? 0));
  post(bytes.length === bytes.buffer.byteLength ? bytes as Uint8Array<ArrayBuffer> : bytes.slice());
}
