/**
 * One execution on its way: waiting, placed, and what it came to.
 * @module
 */

import { type ExecutionMetrics, ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import type { ConsoleText, NodeTask, PackageTask, TaskLog } from "../../workers/protocol.ts";
import { ServiceError } from "../errors.ts";
import { taskLogger } from "../logging/mod.ts";
import { type HostTask, isNodeTask, type StreamSink, type TaskEnd } from "../sandbox/task.ts";
import type { TaskUsage } from "../sandbox/usage_meter.ts";
import type { AdmissionQueue, Waiter } from "./admission.ts";
import type { ExecutionLimits } from "./limits.ts";
import {
  auditDenials,
  auditEgress,
  megabytes,
  type TaskAudit,
  type Verdict,
  type VerdictContext,
  verdictOnLoss,
  verdictOnObstacle,
  verdictOnResult,
  verdictOnStop,
} from "./verdict.ts";

/** Room for the line in which the worker says that output is cut off. */
const TRUNCATION_NOTE_LENGTH = 100;
/** Hosts that may die before they come to a task that waits on them. */
const MAX_LOSSES = 5;

/** Is told what user code writes to its console. */
export type ConsoleListener = (text: ConsoleText) => void;

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
  /** Packages that were installed for it, `numpy==2.1.0` say. */
  readonly installed: readonly string[];
  readonly metrics: ExecutionMetrics;
}

/** What a task that had to be prepared is run with. */
export interface Preparation {
  readonly message: PackageTask;
  readonly installed: readonly string[];
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
  /** Makes the message that is run in the end; its time is part of the task's. @throws {ServiceError} why it cannot run */
  readonly prepare?: ((signal: AbortSignal) => Promise<Preparation>) | undefined;
  /** How often it may be started again after a host died under it: pure nodes once, user code never. */
  readonly maxRestarts: number;
  /** Gives it to a sandbox, or gives `undefined` when none is free. @throws {ServiceError} when there is none at all */
  readonly tryPlace: (task: HostTask) => (() => void) | undefined;
  readonly queue: AdmissionQueue;
  readonly audit: TaskAudit;
  /** Is told when its package has passed every check. */
  readonly onValidated?: (() => void) | undefined;
  /** Is told what it writes to its console, as much as the report will have of it. */
  readonly onConsole?: ConsoleListener | undefined;
  /** Of a task that opens a stream: who hears of it. */
  readonly stream?: StreamSink;
}

/** Where an execution is. */
type RunState =
  | { readonly kind: "new" }
  | { readonly kind: "preparing"; readonly abort: () => void; readonly since: number }
  | { readonly kind: "queued"; readonly leave: () => void }
  | { readonly kind: "placed"; readonly abandon: () => void; readonly since: number }
  | { readonly kind: "ended" };

/** One execution, over as many hosts as it takes. */
export class TaskRun {
  readonly report = Promise.withResolvers<ExecutionReport>();
  readonly #options: RunOptions;
  readonly #context: VerdictContext;
  readonly #startTimestamp = Date.now();
  readonly #admittedAt = performance.now();
  #state: RunState = { kind: "new" };
  #losses = 0;
  #startedLosses = 0;
  #sandboxId = "";
  #signal: AbortSignal | undefined;
  #stdout = "";
  #stderr = "";
  #message: NodeTask | PackageTask;
  #installed: readonly string[] = [];
  #preparedMs = 0;
  durationMs = 0;
  queueMs = 0;
  /** What it used on the host that it ended on; `undefined` where it did not get to run, or was cancelled. */
  usage: TaskUsage | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#message = options.message;
    this.#context = { subject: options.subject, memoryBytes: options.limits.memoryBytes };
    this.#waiter = this.#makeWaiter();
  }

  /** Ends it before it starts. */
  refuse(verdict: Verdict): void {
    this.#end(verdict);
  }

  /** @throws {ServiceError} `QUEUE_FULL` */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    if (signal.aborted) return this.#cancel();
    const { prepare } = this.#options;
    if (prepare === undefined) this.#admit();
    else void this.#prepare(prepare);
    if (this.#state.kind !== "ended") signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** @throws {ServiceError} `QUEUE_FULL` */
  #admit(): void {
    // Those who wait were here first.
    if (this.#options.queue.length > 0 || !this.#tryPlace()) {
      this.#state = { kind: "queued", leave: this.#options.queue.enter(this.#waiter) };
    }
  }

  async #prepare(prepare: (signal: AbortSignal) => Promise<Preparation>): Promise<void> {
    const { limits, audit } = this.#options;
    const since = performance.now();
    const abort = new AbortController();
    this.#state = { kind: "preparing", abort: () => abort.abort(), since };
    const timer = setTimeout(() => {
      const used = performance.now() - since;
      this.#withdraw();
      this.#end(verdictOnStop({ reason: "timeout", excess: { limit: limits.timeoutMs, used } }, this.#context, audit));
    }, limits.timeoutMs);
    try {
      const { message, installed } = await prepare(abort.signal);
      if (this.#isOver) return;
      this.#message = message;
      this.#installed = installed;
      this.#preparedMs = Math.floor(performance.now() - since);
      this.#admit();
    } catch (error) {
      this.#onObstacle(error);
    } finally {
      clearTimeout(timer);
    }
  }

  get #isOver(): boolean {
    return this.#state.kind === "ended";
  }

  /** It cannot get to a sandbox. */
  #onObstacle(error: unknown): void {
    const verdict = error instanceof ServiceError ? verdictOnObstacle(error) : undefined;
    if (verdict === undefined) return this.fail(error);
    if (this.#isOver) return;
    this.#withdraw();
    this.#end(verdict);
  }

  readonly #onAbort = () => this.#cancel();

  readonly #waiter: Waiter;

  #makeWaiter(): Waiter {
    const bytesOf = (message: NodeTask | PackageTask) => {
      const parts = isNodeTask(message) ? [] : [message.codePackage, ...message.layers];
      return parts.reduce((sum, { length }) => sum + length, message.input.length);
    };
    const currentBytes = () => bytesOf(this.#message);
    return {
      caller: this.#options.caller,
      get bytes() {
        return currentBytes();
      },
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
    if (this.#state.kind === "preparing") {
      this.#state.abort();
      this.#preparedMs = performance.now() - this.#state.since;
    }
    if (this.#state.kind === "queued") this.#state.leave();
    if (this.#state.kind === "placed") {
      this.#state.abandon();
      this.durationMs = performance.now() - this.#state.since;
    }
  }

  #tryPlace(): boolean {
    const { limits, stream, tryPlace, onValidated } = this.#options;
    const task: HostTask = {
      message: this.#message,
      // What is left of its time.
      limits: this.#preparedMs === 0
        ? limits
        : { ...limits, timeoutMs: Math.max(1, limits.timeoutMs - this.#preparedMs) },
      ...(stream === undefined ? {} : { stream }),
      ...(onValidated === undefined ? {} : { onValidated }),
      onEnd: (end, sandboxId) => this.#onEnd(end, sandboxId),
      onLog: (log) => this.#log(log),
      onConsole: (text) => this.#collect(text),
      onEgress: (event) => auditEgress(event, this.#options.audit),
    };
    let abandon: (() => void) | undefined;
    try {
      abandon = tryPlace(task);
    } catch (error) {
      this.#onObstacle(error);
      return true;
    }
    if (abandon === undefined) return false;
    this.#state = { kind: "placed", abandon, since: performance.now() };
    return true;
  }

  #onEnd(end: TaskEnd, sandboxId: string): void {
    if (end.kind !== "returned") auditDenials(end.denials, this.#options.audit);
    if (this.#state.kind === "ended") return;
    this.#sandboxId = sandboxId;
    switch (end.kind) {
      case "result":
        this.#use(end.usage);
        return this.#end(verdictOnResult(end, this.#options.audit));
      case "stopped":
        this.#use(end.usage);
        return this.#end(verdictOnStop(this.#withPreparation(end), this.#context, this.#options.audit));
      case "returned":
        return this.#placeAgain();
      case "lost":
        return this.#onLost(end, sandboxId);
    }
  }

  /** Its host knows only of the time that was left. */
  #withPreparation({ reason, excess }: Extract<TaskEnd, { kind: "stopped" }>): Parameters<typeof verdictOnStop>[0] {
    if (reason !== "timeout") return { reason, excess };
    return {
      reason,
      excess: { ...excess, limit: this.#options.limits.timeoutMs, used: this.#preparedMs + excess.used },
    };
  }

  #use(usage: TaskUsage): void {
    this.usage = usage;
    this.durationMs = usage.wallMs;
  }

  /** A task that its host had not begun goes elsewhere; one that ran does so only where it may be started again. */
  #onLost({ started, exit, usage }: Extract<TaskEnd, { kind: "lost" }>, sandboxId: string): void {
    this.#losses++;
    if (started) this.#startedLosses++;
    // What a task used before its host died under it is used, too.
    if (usage !== undefined) this.#use(usage);
    const isFinal = started && exit.reason === "out_of_memory" || exit.reason === "retired" ||
      this.#startedLosses > this.#options.maxRestarts || this.#losses > MAX_LOSSES;
    if (isFinal) return this.#end(verdictOnLoss(exit, { started, sandboxId }, this.#context));
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

  #end(end: Verdict): void {
    if (this.#state.kind === "ended") return;
    this.#leave();
    const totalMs = performance.now() - this.#admittedAt;
    this.durationMs += this.#preparedMs;
    this.queueMs = Math.max(0, totalMs - this.durationMs);
    const output = end.output ?? new Uint8Array();
    const durationMs = Math.round(this.durationMs);
    this.report.resolve({
      taskId: this.#options.taskId,
      status: end.status,
      failureReason: end.failureReason,
      stdout: this.#stdout,
      stderr: this.#stderr,
      installed: this.#installed,
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
        inputSizeBytes: this.#message.input.length,
        outputSizeBytes: output.length,
        exitCode: end.exitCode ?? 0,
        sandboxId: this.#sandboxId,
        queueTimeMs: Math.round(this.queueMs),
      },
    });
  }

  /** The worker bounds what it sends; that it does is checked here, since it is not believed. */
  #collect({ stream, text }: ConsoleText): void {
    const message = this.#message;
    const limit = "maxConsoleBytes" in message ? message.maxConsoleBytes : 0;
    const left = limit + TRUNCATION_NOTE_LENGTH - this.#stdout.length - this.#stderr.length;
    const kept = text.slice(0, Math.max(0, left));
    if (stream === "stdout") this.#stdout += kept;
    else this.#stderr += kept;
    if (kept === "") return;
    // What comes after the report is nobody's any more.
    if (!this.#isOver) this.#options.onConsole?.({ stream, text: kept });
    const logger = taskLogger(this.#options.taskId, this.#options.logFields);
    if (logger.isEnabledFor("debug")) logger.debug("{stream}: {text}", { stream, text: kept });
  }

  #log({ level, message }: TaskLog): void {
    const logger = taskLogger(this.#options.taskId, this.#options.logFields);
    if (level === "warning") logger.warn("{message}", { message });
    else logger.info("{message}", { message });
  }
}
