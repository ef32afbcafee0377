/**
 * Runs one task of user code, or one stream or session of it, and nothing after it: its sandbox host is thrown away.
 * What is the same for every language: frames, console, the first end that counts.
 *
 * @module
 */

import { inspect, isPermissionDenial, nowMs, onMessage, onUncaught, post, unremovedGlobals } from "./harden.ts";
import { BoundedOutput } from "./bounded_output.ts";
import { probeTask } from "./probe.ts";
import {
  decodeCredit,
  decodeJsonPayload,
  decodePackageTask,
  decodeSoftLimit,
  decodeStep,
  encodeConsole,
  encodeJsonFrame,
  encodeOutput,
  encodeResult,
  type Frame,
  FrameKind,
  type FramePieces,
  joinPieces,
  type PackageStreamOptions,
  type PackageTask,
  type ProbeOutcome,
  splitFrames,
  type StreamOutput,
  type StreamStep,
  type TaskOutcome,
} from "./protocol.ts";
import { TaskError } from "./task_error.ts";
import { concealStacks, describeFailure, describeUserFailure } from "./traceback.ts";
import { type ConsoleStream, userConsole } from "./user_console.ts";
import { RaisedFailure, UserFailure } from "./user_failure.ts";

/** What the service offers to the run of a task. */
export interface TaskServices {
  /** Aborts when the caller goes away, or when most of the time is used. */
  readonly signal: AbortSignal;
  /** Monotonic time in milliseconds. */
  nowMs(): number;
}

/** What it offers to a stream besides. */
export interface StreamServices extends TaskServices {
  /** Sends an output. */
  give(output: StreamOutput): void;
}

/** User code that stays: opened once, then asked for one thing after the other. */
export interface TaskStream {
  /** More outputs are welcome. */
  grant(bytes: number): void;
  /**
   * Goes on.
   * @returns the encoded result of a call, nothing otherwise
   * @throws {TaskError} for what is wrong with the input, the method or an output
   * @throws {UserFailure | RaisedFailure} for whatever the user's code throws
   */
  step(step: StreamStep): Promise<Uint8Array>;
}

/** What runs code of one language. Its methods reject as those of {@linkcode TaskStream} do. */
export interface TaskRuntime {
  /** @returns the encoded output */
  run(task: PackageTask, services: TaskServices): Promise<Uint8Array>;
  open(task: PackageTask, options: PackageStreamOptions, services: StreamServices): Promise<TaskStream>;
  /** Does what makes the task faster that comes. Never fails. @param isIdle whether none has come yet */
  warmUp(isIdle: () => boolean): Promise<void>;
  /** Tries what must be impossible where code of its language runs, if that is not the worker's own. */
  probe?(targets: unknown): readonly ProbeOutcome[];
}

/** User code may put its own in its place. */
const { setTimeout: startTimer } = globalThis;

const soft = new AbortController();
let taskId: number | undefined;
let output: BoundedOutput | undefined;
let startedAt = 0;
let ended = false;
let stream: TaskStream | undefined;
/** Steps of the stream, one after the other. */
let steps: Promise<void> = Promise.resolve();
/** What was thrown where no step waits for it: the next one fails with it. */
let uncaught: UserFailure | undefined;
/** Bytes that each step may write. */
let maxConsoleBytes = 0;
/** Ends the step that runs. */
let endStep: ((error: unknown) => void) | undefined;

/** Says that the worker is ready, and takes its one task. To be called once. */
export function serveTask(runtime: TaskRuntime): void {
  onMessage((bytes) => {
    for (const frame of splitFrames(bytes)) receive(frame, runtime);
  });
  onUncaught((error) => onUserFailure(new UserFailure(error)));
  concealStacks();
  globalThis.console = userConsole(inspect, writeOutput, nowMs);
  send(encodeJsonFrame(FrameKind.Ready, 0, { nodes: [] }));
}

/** Text that user code writes; what comes before its task is dropped. */
export function writeOutput(to: ConsoleStream, text: string): void {
  output?.write(to, text);
}

function receive(frame: Frame, runtime: TaskRuntime): void {
  switch (frame.kind) {
    case FrameKind.Package:
      // One task to a worker: a second one could meet what the first has left behind.
      if (taskId === undefined) void run(frame, runtime);
      break;
    case FrameKind.OpenPackage:
      if (taskId === undefined) void open(frame, runtime);
      break;
    case FrameKind.Step:
      steps = steps.then(() => step(frame));
      break;
    case FrameKind.Credit:
      stream?.grant(decodeCredit(frame.payload));
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
      if (taskId === undefined) void runtime.warmUp(() => taskId === undefined);
      break;
    case FrameKind.Probe:
      void probe(decodeJsonPayload(frame.payload), runtime).then((outcomes) =>
        send(encodeJsonFrame(FrameKind.ProbeReport, 0, outcomes))
      );
      break;
  }
}

async function probe(targets: unknown, runtime: TaskRuntime): Promise<ProbeOutcome[]> {
  const outcomes = await probeTask(targets, unremovedGlobals);
  try {
    outcomes.push(...runtime.probe?.(targets) ?? []);
  } catch (error) {
    // What cannot be tried has not been refused.
    const detail = describeFailure(error).message.slice(0, 100);
    outcomes.push({ place: "interpreter", attempt: "try anything", leaked: true, detail });
  }
  return outcomes;
}

async function run(frame: Frame, runtime: TaskRuntime): Promise<void> {
  taskId = frame.taskId;
  startedAt = nowMs();
  try {
    const task = decodePackageTask(frame.payload);
    writeConsole(frame.taskId, task.maxConsoleBytes);
    end(await runtime.run(task, { signal: soft.signal, nowMs }), undefined);
  } catch (error) {
    end(undefined, error);
  }
}

function writeConsole(id: number, maxBytes: number): void {
  output = new BoundedOutput(maxBytes, (stream, text) => send(encodeConsole(id, { stream, text })), {
    nowMs,
    later: (callback, afterMs) => void startTimer(callback, afterMs),
  });
}

/** The first end counts: timers and rejections of the user's go on after it. */
function end(result: Uint8Array | undefined, error: unknown): void {
  if (ended || taskId === undefined) return;
  ended = true;
  answer(taskId, startedAt, result, error);
}

function answer(id: number, since: number, result: Uint8Array | undefined, error: unknown): void {
  output?.flush();
  const runMicros = Math.max(0, (nowMs() - since) * 1_000);
  if (result !== undefined) {
    send(encodeResult(id, { outcome: "OK", runMicros, message: "", traceback: "", output: result }));
    return;
  }
  send(encodeResult(id, { outcome: outcomeOf(error), runMicros, ...describe(error), output: new Uint8Array() }));
}

/** What opens a stream is a task that ends when there is an object; its id names the stream. */
async function open(frame: Frame, runtime: TaskRuntime): Promise<void> {
  const streamId = frame.taskId;
  taskId = streamId;
  startedAt = nowMs();
  try {
    const task = decodePackageTask(frame.payload);
    const { stream: options } = task.options;
    if (options === undefined) {
      throw new TaskError("INVALID_TASK", "Cannot open stream: the package is none of a stream");
    }
    writeConsole(streamId, task.maxConsoleBytes);
    const opened = await runtime.open(task, options, {
      signal: soft.signal,
      nowMs,
      give: (given) => {
        // What was written before an output is read before it.
        output?.flush();
        send(encodeOutput(streamId, given));
      },
    });
    if (ended) return;
    stream = opened;
    maxConsoleBytes = task.maxConsoleBytes;
    end(new Uint8Array(), undefined);
  } catch (error) {
    end(undefined, error);
  }
}

/** One step; it ends when the user's code is done with it, or when that throws where nobody awaits it. */
async function step(frame: Frame): Promise<void> {
  const since = nowMs();
  const thrown = Promise.withResolvers<never>();
  endStep = thrown.reject;
  if (uncaught !== undefined) thrown.reject(uncaught);
  uncaught = undefined;
  try {
    if (stream === undefined) throw new TaskError("CANCELLED", "Cannot go on with stream: it is not open");
    const result = await Promise.race([stream.step(decodeStep(frame.payload)), thrown.promise]);
    answer(frame.taskId, since, result, undefined);
  } catch (error) {
    answer(frame.taskId, since, undefined, error);
  } finally {
    endStep = undefined;
    // What a step may write is bounded step by step.
    if (taskId !== undefined) writeConsole(taskId, maxConsoleBytes);
  }
}

/** Outside of what is awaited: it fails the task, or the step that runs, or the next one. */
function onUserFailure(error: UserFailure): void {
  if (stream === undefined) end(undefined, error);
  else if (endStep === undefined) uncaught ??= error;
  else endStep(error);
}

function outcomeOf(error: unknown): TaskOutcome {
  if (error instanceof TaskError) return error.code;
  return error instanceof UserFailure && isPermissionDenial(error.thrown) ? "SECURITY_VIOLATION" : "TASK_FAILED";
}

/** Message and traceback; what was thrown may run the user's code while it is looked at, and throw again. */
function describe(error: unknown): { message: string; traceback: string } {
  try {
    if (error instanceof RaisedFailure) return { message: error.message, traceback: error.traceback };
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
