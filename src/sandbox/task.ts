/**
 * A task as a sandbox host takes it, and how it may end.
 * @module
 */

import type {
  ConsoleText,
  NodeTask,
  PackageTask,
  StreamOutput,
  StreamStep,
  TaskLog,
  TaskResult,
} from "../../workers/protocol.ts";
import type { EgressEvent } from "./egress/mod.ts";
import type { Denial } from "./denials.ts";
import type { TaskUsage } from "./usage_meter.ts";

/** How a host ended. */
export interface HostExit {
  /** Why, for the log and as a metric's label. */
  readonly reason: "killed" | "crashed" | "out_of_memory" | "retired";
  /** Exit code as a shell gives it: 128 + signal when a signal ended it. */
  readonly exitCode: number;
  /** The end of what it wrote to standard error. Untrusted. */
  readonly stderr: string;
}

/** What a task may use, enforced from outside. */
export interface TaskLimits {
  /** Wall time, in milliseconds, counted from when it is the host's turn. */
  readonly timeoutMs: number;
  /** CPU time, in milliseconds. */
  readonly cpuMs: number;
  /** CPU time per wall time, in percent of one core. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  /** Threads that it may have beside those of its host. */
  readonly threads: number;
}

/**
 * Why the server ended a task: a limit by name, or `cancelled`. `denials` means that it did nothing but try what it may
 * not.
 */
export type StopReason = "timeout" | "cpu" | "memory" | "threads" | "scratch" | "denials" | "cancelled";

/** What was used of a limit, in the limit's own unit: milliseconds, bytes, or threads. */
export interface Excess {
  readonly limit: number;
  readonly used: number;
  /** Whether the task ended before, since it was told that the limit is near. */
  readonly obeyed?: boolean;
}

/** How a task ended, as the server sees it. */
export type TaskEnd =
  | {
    readonly kind: "result";
    readonly result: TaskResult;
    /** Its wall time is measured by our own worker, or from outside where that runs user code. */
    readonly usage: TaskUsage;
    readonly denials: readonly Denial[];
  }
  | {
    readonly kind: "stopped";
    readonly reason: StopReason;
    readonly excess: Excess;
    readonly usage: TaskUsage;
    readonly denials: readonly Denial[];
  }
  /** It waited behind a task that takes long, and may go elsewhere. */
  | { readonly kind: "returned" }
  /** The host died under it; `started` is false when the host had not begun it. */
  | {
    readonly kind: "lost";
    readonly started: boolean;
    readonly exit: HostExit;
    /** As last observed; nothing where it had not been started. */
    readonly usage: TaskUsage | undefined;
    readonly denials: readonly Denial[];
  };

/** A task that goes on with a stream, as its host runs it. */
export interface StepMessage extends StreamStep {
  readonly maxOutputBytes: number;
}

/** A task that a host is to run. */
export interface HostTask {
  readonly message: NodeTask | PackageTask | StepMessage;
  readonly limits: TaskLimits;
  /** Of a task that opens a stream: who hears of it. */
  readonly stream?: StreamSink;
  /** Called once, when it has ended. @param sandboxId the host that it ended on */
  onEnd(end: TaskEnd, sandboxId: string): void;
  /** Called when its host is done with a task that was returned before: until then it held its place there. */
  onReleased?(): void;
  onLog(log: TaskLog): void;
  /** Called when its package has passed every check, in a way that would pass them again. Its host says so. */
  onValidated?(): void;
  /** Called for what user code writes; built-in nodes write nothing. */
  onConsole?(text: ConsoleText): void;
  /** Called for connections that user code makes, or is refused. */
  onEgress?(event: EgressEvent): void;
}

/** Who hears of a stream on a host. */
export interface StreamSink {
  /** The task that opened it has ended well; called after its `onEnd`. */
  onOpened(stream: PlacedStream): void;
  /** It gave an output, which is a view on a larger buffer. */
  onOutput(output: StreamOutput): void;
  /** User code wrote something since it was opened. */
  onConsole(text: ConsoleText): void;
  /** Its host is gone, or was stopped for what user code did between its steps. Steps under way have been told before. */
  onLost(end: Extract<TaskEnd, { kind: "lost" | "stopped" }>): void;
}

/** What a stream is asked to do next. */
export interface StreamTask extends Omit<StreamStep, "streamId"> {
  readonly limits: TaskLimits;
  /** Called once, when it has ended; all outputs of it have come before. */
  onEnd(end: TaskEnd): void;
}

/** An open stream on a host. Whoever was given it closes it. */
export interface PlacedStream {
  /** The host that it lives on. */
  readonly sandboxId: string;
  /** CPU time of user code between its steps, and of cleaning up, in milliseconds. */
  readonly backgroundCpuMs: number;
  /**
   * Runs a step after those before it.
   * @returns a function that gives it up, and with it the stream, which can only be closed then
   */
  run(step: StreamTask): () => void;
  /** Lets user code send so many more bytes of outputs. */
  grant(bytes: number): void;
  /** Has it clean up; resolves when its host has nothing of it any more. */
  close(): Promise<void>;
}

/** Whether a task is one of a built-in node: alone, or to open a stream. */
export function isNodeTask(message: HostTask["message"]): message is NodeTask {
  return "nodeType" in message;
}

/** Whether a task goes on with a stream. */
export function isStep(message: HostTask["message"]): message is StepMessage {
  return "streamId" in message;
}
