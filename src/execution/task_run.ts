/**
 * One execution on its way: waiting, placed, and what it came to.
 * @module
 */

import { type ExecutionMetrics, ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import type { ConsoleText, NodeTask, PackageTask, TaskLog, TaskOutcome, TaskResult } from "../../workers/protocol.ts";
import { taskLogger } from "../logging/mod.ts";
import type { EgressEvent } from "../sandbox/egress/mod.ts";
import type { Denial } from "../sandbox/denials.ts";
import { type Excess, type HostTask, isNodeTask, type StopReason, type TaskEnd } from "../sandbox/task.ts";
import type { TaskUsage } from "../sandbox/usage_meter.ts";
import type { AdmissionQueue, Waiter } from "./admission.ts";
import type { AuditEvent } from "./audit.ts";
import type { ExecutionLimits } from "./limits.ts";
import { MEGABYTE } from "../units.ts";

/** A shorter name says nothing by being in a message. */
const LEAST_TARGET_LENGTH = 4;
/** Room for the line in which the worker says that output is cut off. */
const TRUNCATION_NOTE_LENGTH = 100;
/** Hosts that may die before they come to a task that waits on them. */
const MAX_LOSSES = 5;

/** What an execution came to. */
export interface ExecutionReport {
  readonly taskId: string;
  readonly status: ExecutionStatus;
  /** Why it did not succeed; `UNSPECIFIED` when it did. */
  readonly failureReason: FailureReason;
  /** Empty unless the status is SUCCESS. */
  readonly output: Uint8Array;
  readonly errorMessage: string;
  readonly errorTraceback: string;
  /** What user code wrote to its console, bounded; empty for built-in nodes. */
  readonly stdout: string;
  readonly stderr: string;
  readonly metrics: ExecutionMetrics;
}

/** A task to be run, and where. */
export interface RunOptions {
  readonly taskId: string;
  /** Whose it is. */
  readonly caller: string;
  /** What it is called in messages, `Node execution` say. */
  readonly subject: string;
  /** Fields that each of its log lines has. */
  readonly logFields: Readonly<Record<string, unknown>>;
  readonly message: NodeTask | PackageTask;
  readonly limits: ExecutionLimits;
  /** How often it may be started again after a host died under it: pure nodes once, user code never. */
  readonly maxRestarts: number;
  /** Gives it to a sandbox, or gives `undefined` when none is free. */
  readonly tryPlace: (task: HostTask) => (() => void) | undefined;
  readonly queue: AdmissionQueue;
  /** Writes down what the task was denied or ended for. */
  readonly audit: (event: Pick<AuditEvent, "event" | "rule" | "target">) => void;
}

/** Outcomes of the worker as statuses of the contract. */
const OUTCOME_STATUS = {
  OK: ExecutionStatus.SUCCESS,
  INVALID_TASK: ExecutionStatus.ERROR,
  TASK_FAILED: ExecutionStatus.ERROR,
  SECURITY_VIOLATION: ExecutionStatus.SECURITY_VIOLATION,
  RESOURCE_LIMIT: ExecutionStatus.RESOURCE_LIMIT,
  CANCELLED: ExecutionStatus.CANCELLED,
} as const satisfies Record<TaskOutcome, ExecutionStatus>;

const STOP_STATUS = {
  timeout: ExecutionStatus.TIMEOUT,
  cancelled: ExecutionStatus.CANCELLED,
  memory: ExecutionStatus.RESOURCE_LIMIT,
  cpu: ExecutionStatus.RESOURCE_LIMIT,
  threads: ExecutionStatus.RESOURCE_LIMIT,
  scratch: ExecutionStatus.RESOURCE_LIMIT,
  denials: ExecutionStatus.SECURITY_VIOLATION,
} as const satisfies Record<StopReason, ExecutionStatus>;

const OUTCOME_REASON = {
  OK: FailureReason.UNSPECIFIED,
  INVALID_TASK: FailureReason.INVALID_TASK,
  TASK_FAILED: FailureReason.EXCEPTION,
  SECURITY_VIOLATION: FailureReason.SECURITY_VIOLATION,
  RESOURCE_LIMIT: FailureReason.RESULT_LIMIT,
  CANCELLED: FailureReason.CANCELLED,
} as const satisfies Record<TaskOutcome, FailureReason>;

const STOP_REASON = {
  timeout: FailureReason.TIME_LIMIT,
  cancelled: FailureReason.CANCELLED,
  memory: FailureReason.MEMORY_LIMIT,
  cpu: FailureReason.CPU_LIMIT,
  threads: FailureReason.THREAD_LIMIT,
  scratch: FailureReason.SCRATCH_LIMIT,
  denials: FailureReason.SECURITY_VIOLATION,
} as const satisfies Record<StopReason, FailureReason>;

/** Where an execution is. */
type RunState =
  | { readonly kind: "new" }
  | { readonly kind: "queued"; readonly leave: () => void }
  | { readonly kind: "placed"; readonly abandon: () => void; readonly since: number }
  | { readonly kind: "ended" };

/** How an execution ended, before it is put into the contract's words. */
interface RunEnd {
  readonly status: ExecutionStatus;
  readonly failureReason: FailureReason;
  readonly output?: Uint8Array;
  readonly errorMessage?: string;
  readonly errorTraceback?: string;
  readonly exitCode?: number;
}

/** One execution, over as many hosts as it takes. */
export class TaskRun {
  readonly report = Promise.withResolvers<ExecutionReport>();
  readonly #options: RunOptions;
  readonly #startTimestamp = Date.now();
  readonly #admittedAt = performance.now();
  #state: RunState = { kind: "new" };
  #losses = 0;
  #startedLosses = 0;
  #sandboxId = "";
  #signal: AbortSignal | undefined;
  #stdout = "";
  #stderr = "";
  durationMs = 0;
  queueMs = 0;
  /** What it used on the host that it ended on; `undefined` where it did not get to run, or was cancelled. */
  usage: TaskUsage | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#waiter = this.#makeWaiter();
  }

  /** Ends it before it starts. */
  refuse(errorMessage: string): void {
    this.#end({
      status: ExecutionStatus.RESOURCE_LIMIT,
      failureReason: FailureReason.INPUT_LIMIT,
      errorMessage,
    });
  }

  /** @throws {ServiceError} `QUEUE_FULL` */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    if (signal.aborted) return this.#cancel();
    // Those who wait were here first.
    if (this.#options.queue.length > 0 || !this.#tryPlace()) {
      this.#state = { kind: "queued", leave: this.#options.queue.enter(this.#waiter) };
    }
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  readonly #onAbort = () => this.#cancel();

  readonly #waiter: Waiter;

  #makeWaiter(): Waiter {
    const { message, caller } = this.#options;
    return {
      caller,
      bytes: message.input.length + (isNodeTask(message) ? 0 : message.codePackage.length),
      tryStart: () => this.#tryPlace(),
      shed: (error) => this.fail(error),
    };
  }

  /** Ends it without a report, wherever it is. */
  fail(error: unknown): void {
    if (this.#state.kind === "ended") return;
    this.#withdraw();
    this.#leave();
    this.report.reject(error);
  }

  /** Takes it out of the queue, or from its host. */
  #withdraw(): void {
    if (this.#state.kind === "queued") this.#state.leave();
    if (this.#state.kind === "placed") {
      this.#state.abandon();
      this.durationMs = performance.now() - this.#state.since;
    }
  }

  #tryPlace(): boolean {
    const { message, limits, tryPlace } = this.#options;
    const abandon = tryPlace({
      message,
      limits,
      onEnd: (end, sandboxId) => this.#onEnd(end, sandboxId),
      onLog: (log) => this.#log(log),
      onConsole: (text) => this.#collect(text),
      onEgress: (event) => this.#auditEgress(event),
    });
    if (abandon === undefined) return false;
    this.#state = { kind: "placed", abandon, since: performance.now() };
    return true;
  }

  #onEnd(end: TaskEnd, sandboxId: string): void {
    if (end.kind !== "returned") this.#auditDenials(end.denials);
    if (this.#state.kind === "ended") return;
    this.#sandboxId = sandboxId;
    switch (end.kind) {
      case "result": {
        const { output, message, traceback } = end.result;
        const outcome = isDenied(end.result, end.denials) ? "SECURITY_VIOLATION" : end.result.outcome;
        this.#use(end.usage);
        if (outcome === "SECURITY_VIOLATION") {
          this.#options.audit({ event: "code_refused", rule: "security violation", target: message });
        }
        return this.#end({
          status: OUTCOME_STATUS[outcome],
          failureReason: OUTCOME_REASON[outcome],
          output,
          errorMessage: message,
          errorTraceback: traceback,
          exitCode: outcome === "OK" ? 0 : 1,
        });
      }
      case "stopped": {
        this.#use(end.usage);
        const errorMessage = stopMessage(this.#options.subject, end.reason, end.excess);
        if (end.reason !== "cancelled") {
          this.#options.audit({ event: "task_killed", rule: end.reason, target: errorMessage });
        }
        return this.#end({
          status: STOP_STATUS[end.reason],
          failureReason: STOP_REASON[end.reason],
          errorMessage,
          exitCode: 137,
        });
      }
      case "returned":
        return this.#placeAgain();
      case "lost":
        return this.#onLost(end, sandboxId);
    }
  }

  #use(usage: TaskUsage): void {
    this.usage = usage;
    this.durationMs = usage.wallMs;
  }

  #auditEgress(event: EgressEvent): void {
    const { audit } = this.#options;
    switch (event.kind) {
      case "connected":
        return audit({
          event: "connection",
          rule: `network.hosts ${event.rule}`,
          target: `${event.target} at ${event.address}`,
        });
      case "refused": {
        const addresses = event.addresses === undefined ? "" : ` (${event.addresses.join(", ")})`;
        return audit({ event: "connection_refused", rule: event.reason, target: `${event.target}${addresses}` });
      }
      case "suppressed":
        return audit({ event: "connection_refused", rule: "many", target: `${event.count} more connections` });
      case "failed":
        // The policy had nothing against it.
        return;
    }
  }

  #auditDenials(denials: readonly Denial[]): void {
    for (const { permission, target, count } of denials) {
      const times = count === 1 ? "" : ` (${count} times)`;
      this.#options.audit({ event: "access_denied", rule: `permission ${permission}`, target: `${target}${times}` });
    }
  }

  /** A task that its host had not begun goes elsewhere; one that ran does so only where it may be started again. */
  #onLost({ started, exit, usage }: Extract<TaskEnd, { kind: "lost" }>, sandboxId: string): void {
    this.#losses++;
    if (started) this.#startedLosses++;
    // What a task used before its host died under it is used, too.
    if (usage !== undefined) this.#use(usage);
    if (started && exit.reason === "out_of_memory") {
      return this.#end({
        status: ExecutionStatus.RESOURCE_LIMIT,
        failureReason: FailureReason.MEMORY_LIMIT,
        errorMessage: `${this.#options.subject} stopped: its sandbox ran out of memory, the limit is ${
          megabytes(this.#options.limits.memoryBytes)
        } MB (options.memory_limit_mb)`,
        exitCode: exit.exitCode,
      });
    }
    if (this.#startedLosses > this.#options.maxRestarts || this.#losses > MAX_LOSSES || exit.reason === "retired") {
      return this.#end({
        status: ExecutionStatus.ERROR,
        failureReason: FailureReason.CRASH,
        errorMessage:
          `${this.#options.subject} failed: its sandbox host "${sandboxId}" ended with exit code ${exit.exitCode}`,
        exitCode: exit.exitCode,
      });
    }
    this.#placeAgain();
  }

  /** Goes to another host, or waits for one ahead of all that were not admitted before. */
  #placeAgain(): void {
    if (this.#tryPlace()) return;
    try {
      this.#state = { kind: "queued", leave: this.#options.queue.reenter(this.#waiter) };
    } catch (error) {
      this.fail(error);
    }
  }

  #cancel(): void {
    this.#withdraw();
    this.#end({
      status: ExecutionStatus.CANCELLED,
      failureReason: FailureReason.CANCELLED,
      errorMessage: `${this.#options.subject} cancelled: the caller went away`,
    });
  }

  #leave(): void {
    this.#state = { kind: "ended" };
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  #end(end: RunEnd): void {
    if (this.#state.kind === "ended") return;
    this.#leave();
    const totalMs = performance.now() - this.#admittedAt;
    this.queueMs = Math.max(0, totalMs - this.durationMs);
    const output = end.output ?? new Uint8Array();
    const durationMs = Math.round(this.durationMs);
    this.report.resolve({
      taskId: this.#options.taskId,
      status: end.status,
      failureReason: end.failureReason,
      stdout: this.#stdout,
      stderr: this.#stderr,
      output,
      errorMessage: end.errorMessage ?? "",
      errorTraceback: end.errorTraceback ?? "",
      metrics: {
        startTimestamp: this.#startTimestamp,
        endTimestamp: this.#startTimestamp + Math.round(totalMs),
        durationMs,
        cpuTimeMs: Math.round(this.usage?.cpuMs ?? 0),
        memoryPeakMb: megabytes(this.usage?.memoryPeakBytes ?? 0),
        memoryAverageMb: megabytes(this.usage?.memoryAverageBytes ?? 0),
        inputSizeBytes: this.#options.message.input.length,
        outputSizeBytes: output.length,
        exitCode: end.exitCode ?? 0,
        sandboxId: this.#sandboxId,
        queueTimeMs: Math.round(this.queueMs),
      },
    });
  }

  /** The worker bounds what it sends; that it does is checked here, since it is not believed. */
  #collect({ stream, text }: ConsoleText): void {
    const { message } = this.#options;
    const limit = "maxConsoleBytes" in message ? message.maxConsoleBytes : 0;
    const left = limit + TRUNCATION_NOTE_LENGTH - this.#stdout.length - this.#stderr.length;
    const kept = text.slice(0, Math.max(0, left));
    if (stream === "stdout") this.#stdout += kept;
    else this.#stderr += kept;
    const logger = taskLogger(this.#options.taskId, this.#options.logFields);
    if (kept !== "" && logger.isEnabledFor("debug")) logger.debug("{stream}: {text}", { stream, text: kept });
  }

  #log({ level, message }: TaskLog): void {
    const logger = taskLogger(this.#options.taskId, this.#options.logFields);
    if (level === "warning") logger.warn("{message}", { message });
    else logger.info("{message}", { message });
  }
}

/** Whether user code ended because of a denied permission: its message names what Deno's own audit has as denied. */
function isDenied({ outcome, message }: TaskResult, denials: readonly Denial[]): boolean {
  return outcome === "TASK_FAILED" &&
    denials.some(({ target }) => target.length >= LEAST_TARGET_LENGTH && message.includes(target));
}

/** Which limit ended a task, its value, and what was used. */
function stopMessage(subject: string, reason: StopReason, { limit, used }: Excess): string {
  switch (reason) {
    case "timeout":
      return `${subject} timed out: it ran ${seconds(used)} s, the limit is ${
        seconds(limit)
      } s (options.timeout_seconds)`;
    case "cpu":
      return `${subject} stopped: it used ${seconds(used)} s of CPU time, the limit is ${
        seconds(limit)
      } s (options.cpu_time_seconds)`;
    case "memory":
      return `${subject} stopped: it used ${megabytes(used)} MB of memory, the limit is ${
        megabytes(limit)
      } MB (options.memory_limit_mb)`;
    case "threads":
      return `${subject} stopped: it had ${used} threads, the limit is ${limit} (the policy's ceilings.threads)`;
    case "scratch": {
      const amount = Number.isFinite(used) ? `${megabytes(used)} MB` : "too many files";
      return `${subject} stopped: it wrote ${amount} to its scratch folder, the limit is ${
        megabytes(limit)
      } MB (the policy's filesystem.scratchMb)`;
    }
    case "denials":
      return `${subject} stopped: it did not cease to ask for what it may not have`;
    case "cancelled":
      return `${subject} cancelled: the caller went away`;
  }
}

function megabytes(bytes: number): number {
  return Math.ceil(bytes / MEGABYTE);
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(ms % 1_000 === 0 ? 0 : 2);
}
