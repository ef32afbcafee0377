/**
 * A task as a sandbox host takes it, and how it may end.
 * @module
 */

import type { ConsoleText, NodeTask, PackageTask, TaskLog, TaskResult } from "../../workers/protocol.ts";
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

/** A task that a host is to run. */
export interface HostTask {
  readonly message: NodeTask | PackageTask;
  readonly limits: TaskLimits;
  /** Called once, when it has ended. @param sandboxId the host that it ended on */
  onEnd(end: TaskEnd, sandboxId: string): void;
  onLog(log: TaskLog): void;
  /** Called for what user code writes; built-in nodes write nothing. */
  onConsole?(text: ConsoleText): void;
  /** Called for connections that user code makes, or is refused. */
  onEgress?(event: EgressEvent): void;
}

/** Whether a task is one of a built-in node. */
export function isNodeTask(message: NodeTask | PackageTask): message is NodeTask {
  return "nodeType" in message;
}
