/**
 * Executes tasks: admits them, places them on sandboxes, and says what they came to.
 * @module
 */

import { ExecutionStatus } from "../../protos/generated/types.ts";
import type { ExecutionMetrics, ExecutionOptions } from "../../protos/generated/types.ts";
import { MAX_TASK_TEXT_BYTES, type TaskLog, type TaskOutcome, taskTextBytes } from "../../workers/protocol.ts";
import type { ExecutionSectionOptions, PolicyOptions } from "../config/schema.ts";
import { ServiceError } from "../errors.ts";
import { taskLogger } from "../logging/mod.ts";
import type { HostProcess, NodeDescription, StopReason, TaskEnd } from "../sandbox/host_process.ts";
import type { HostPool } from "../sandbox/host_pool.ts";
import { AdmissionQueue } from "./admission.ts";
import { ANONYMOUS, Callers } from "./callers.ts";
import { type ExecutionLimits, resolveLimits } from "./limits.ts";

const MEGABYTE = 1024 * 1024;
/** Hosts that a task may see die before it is blamed: it was running on one of them at most once before. */
const MAX_STARTED_LOSSES = 1;
/** Hosts that may die before they come to a task that waits on them. */
const MAX_LOSSES = 5;

/** A request to run a node. */
export interface NodeExecution {
  readonly nodeType: string;
  readonly config: ReadonlyMap<string, string>;
  readonly input: Uint8Array;
  readonly format: string;
  readonly options: ExecutionOptions | undefined;
}

/** What an execution came to. */
export interface ExecutionReport {
  readonly taskId: string;
  readonly status: ExecutionStatus;
  /** Empty unless the status is SUCCESS. */
  readonly output: Uint8Array;
  readonly errorMessage: string;
  readonly errorTraceback: string;
  readonly metrics: ExecutionMetrics;
}

/** Who counts executions. */
export interface ExecutionObserver {
  /**
   * @param nodeType one that exists, or `unknown`
   * @param caller whose it was
   */
  executionEnded(
    nodeType: string,
    status: ExecutionStatus,
    durationMs: number,
    queueMs: number,
    caller: string,
  ): void;
}

/** Sums over all executions since the start. */
export interface ExecutionTotals {
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly averageDurationMs: number;
  readonly peakMemoryBytes: number;
}

/** What an executor needs. */
export interface ExecutorOptions {
  readonly execution: ExecutionSectionOptions;
  readonly policy: PolicyOptions;
  readonly observer: ExecutionObserver;
  /** Starts the pool; the executor owns it from then on. */
  readonly startPool: (onCapacity: () => void) => Promise<HostPool>;
}

/** Executes tasks. Owned by the composition root. */
export class Executor implements AsyncDisposable {
  /** Who may do how much. */
  readonly callers: Callers;
  readonly #options: ExecutorOptions;
  readonly #queue: AdmissionQueue;
  readonly #pool: HostPool;
  readonly #maxInputBytes: number;
  readonly #nodeTypes: ReadonlySet<string>;
  readonly #idPrefix = crypto.randomUUID().slice(0, 8);
  #nextId = 1;
  readonly #runs = new Set<NodeRun>();
  #draining: { readonly idle: PromiseWithResolvers<void> } | undefined;
  #totals = { total: 0, succeeded: 0, failed: 0, durationMs: 0, peakMemoryBytes: 0 };

  private constructor(options: ExecutorOptions, queue: AdmissionQueue, pool: HostPool) {
    this.#options = options;
    this.callers = new Callers({ policy: options.policy, defaults: options.execution.defaults });
    this.#queue = queue;
    this.#pool = pool;
    this.#maxInputBytes = options.execution.maxInputMb * MEGABYTE;
    this.#nodeTypes = new Set(pool.nodes.map(({ nodeType }) => nodeType));
  }

  /** Starts the pool and waits until it is warm. @throws {ServiceError} when a sandbox cannot start */
  static async start(options: ExecutorOptions): Promise<Executor> {
    const queue = new AdmissionQueue(options.execution);
    const pool = await options.startPool(() => queue.pump());
    return new Executor(options, queue, pool);
  }

  /** The nodes that can be asked for. */
  get nodes(): readonly NodeDescription[] {
    return this.#pool.nodes;
  }

  /** Executions that wait for a sandbox. */
  get queueLength(): number {
    return this.#queue.length;
  }

  /** Executions that wait or run. */
  get activeCount(): number {
    return this.#runs.size;
  }

  /** Sandbox hosts by what they do. */
  get load(): HostPool["load"] {
    return this.#pool.load;
  }

  /** Processes of the sandboxes, for accounting. */
  get hosts(): readonly HostProcess[] {
    return this.#pool.hosts;
  }

  /** Sums over all executions since the start. */
  get totals(): ExecutionTotals {
    const { total, succeeded, failed, durationMs, peakMemoryBytes } = this.#totals;
    return { total, succeeded, failed, peakMemoryBytes, averageDurationMs: total === 0 ? 0 : durationMs / total };
  }

  /**
   * Runs a node on one input.
   *
   * @param signal aborts when the caller goes away; the execution then ends CANCELLED and its sandbox is freed
   * @param caller whose policy and quotas hold
   * @returns what it came to, failures of the task included
   * @throws {ServiceError} `DRAINING`, `QUEUE_FULL`, `RATE_LIMITED`, or what {@linkcode resolveLimits} throws: the call was
   * not admitted
   */
  executeNode(
    request: NodeExecution,
    { signal, caller = ANONYMOUS }: { signal: AbortSignal; caller?: string },
  ): Promise<ExecutionReport> {
    if (this.#draining !== undefined) {
      throw new ServiceError("DRAINING", "Cannot admit execution: the service is shutting down");
    }
    const limits = resolveLimits(request.options, this.callers.termsFor(caller));
    const lease = this.callers.admitTask(caller);
    const taskId = `${this.#idPrefix}-${this.#nextId++}`;
    const run = new NodeRun(taskId, request, limits, { pool: this.#pool, queue: this.#queue, caller });
    const textBytes = taskTextBytes(request);
    if (textBytes > MAX_TASK_TEXT_BYTES) {
      run.refuse(
        `Cannot run task: its node type, format and config may need ${textBytes} bytes, allowed are ${MAX_TASK_TEXT_BYTES}`,
      );
    } else if (request.input.length > this.#maxInputBytes) {
      run.refuse(
        `Cannot run task: its input has ${request.input.length} bytes, execution.maxInputMb allows ${this.#maxInputBytes}`,
      );
    } else {
      try {
        run.start(signal);
      } catch (error) {
        lease.end(0);
        throw error;
      }
    }
    this.#runs.add(run);
    return run.report.promise.finally(() => {
      lease.end(run.cpuMs ?? run.durationMs);
      this.#release(run);
    }).then((report) => {
      this.#account(request.nodeType, report, run, caller);
      return report;
    });
  }

  /**
   * Admits no more and waits for what runs.
   *
   * @param signal aborts when the grace period is over; what still runs then fails with `DRAINING`, and is killed with
   * the pool
   * @returns how many executions were lost
   */
  async drain(signal: AbortSignal): Promise<number> {
    const idle = Promise.withResolvers<void>();
    this.#draining = { idle };
    if (this.#runs.size === 0) idle.resolve();
    const giveUp = () => idle.resolve();
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp);
    await idle.promise;
    signal.removeEventListener("abort", giveUp);
    const lost = [...this.#runs];
    for (const run of lost) {
      run.fail(new ServiceError("DRAINING", "Cannot finish execution: the service is shutting down"));
    }
    return lost.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#queue[Symbol.dispose]();
    await this.#pool[Symbol.asyncDispose]();
  }

  #release(run: NodeRun): void {
    this.#runs.delete(run);
    if (this.#runs.size === 0) this.#draining?.idle.resolve();
  }

  #account(nodeType: string, report: ExecutionReport, run: NodeRun, caller: string): void {
    const totals = this.#totals;
    totals.total++;
    if (report.status === ExecutionStatus.SUCCESS) totals.succeeded++;
    else totals.failed++;
    totals.durationMs += run.durationMs;
    totals.peakMemoryBytes = Math.max(totals.peakMemoryBytes, run.memoryPeakBytes);
    const label = this.#nodeTypes.has(nodeType) ? nodeType : "unknown";
    this.#options.observer.executionEnded(label, report.status, run.durationMs, run.queueMs, caller);
  }
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
} as const satisfies Record<StopReason, ExecutionStatus>;

/** Where an execution is. */
type RunState =
  | { readonly kind: "new" }
  | { readonly kind: "queued"; readonly leave: () => void }
  | { readonly kind: "placed"; readonly abandon: () => void; readonly since: number }
  | { readonly kind: "ended" };

/** How an execution ended, before it is put into the contract's words. */
interface RunEnd {
  readonly status: ExecutionStatus;
  readonly output?: Uint8Array;
  readonly errorMessage?: string;
  readonly errorTraceback?: string;
  readonly exitCode?: number;
  readonly cpuMs?: number;
}

/** One execution of a node, over as many hosts as it takes. */
class NodeRun {
  readonly report = Promise.withResolvers<ExecutionReport>();
  readonly #taskId: string;
  readonly #request: NodeExecution;
  readonly #limits: ExecutionLimits;
  readonly #pool: HostPool;
  readonly #queue: AdmissionQueue;
  readonly #caller: string;
  readonly #startTimestamp = Date.now();
  readonly #admittedAt = performance.now();
  #state: RunState = { kind: "new" };
  #losses = 0;
  #startedLosses = 0;
  #sandboxId = "";
  #signal: AbortSignal | undefined;
  durationMs = 0;
  queueMs = 0;
  memoryPeakBytes = 0;
  /** `undefined` where it was not measured: the task was cancelled, or its host died. */
  cpuMs: number | undefined;

  constructor(
    taskId: string,
    request: NodeExecution,
    limits: ExecutionLimits,
    { pool, queue, caller }: { pool: HostPool; queue: AdmissionQueue; caller: string },
  ) {
    this.#taskId = taskId;
    this.#request = request;
    this.#limits = limits;
    this.#pool = pool;
    this.#queue = queue;
    this.#caller = caller;
  }

  /** Ends it before it starts. */
  refuse(errorMessage: string): void {
    this.#end({ status: ExecutionStatus.RESOURCE_LIMIT, errorMessage });
  }

  /** @throws {ServiceError} `QUEUE_FULL` */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    if (signal.aborted) return this.#cancel();
    // Those who wait were here first.
    if (this.#queue.length > 0 || !this.#tryPlace()) {
      this.#state = { kind: "queued", leave: this.#queue.enter(this.#waiter) };
    }
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  readonly #onAbort = () => this.#cancel();

  readonly #waiter = {
    tryStart: () => this.#tryPlace(),
    shed: (error: ServiceError) => this.fail(error),
  };

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
    const { nodeType, format, config, input } = this.#request;
    const { memoryBytes, outputBytes, timeoutMs } = this.#limits;
    const message = {
      nodeType,
      format,
      config,
      memoryLimitBytes: memoryBytes,
      maxOutputBytes: outputBytes,
      input,
    };
    const abandon = this.#pool.tryRun({
      message,
      timeoutMs,
      onEnd: (end, host) => this.#onEnd(end, host),
      onLog: (log) => this.#log(log),
    }, nodeType);
    if (abandon === undefined) return false;
    this.#state = { kind: "placed", abandon, since: performance.now() };
    return true;
  }

  #onEnd(end: TaskEnd, host: HostProcess): void {
    if (this.#state.kind === "ended") return;
    this.#sandboxId = host.id;
    switch (end.kind) {
      case "result": {
        const { outcome, output, message, traceback, runMicros } = end.result;
        this.durationMs = runMicros / 1_000;
        this.memoryPeakBytes = end.memoryPeakBytes;
        return this.#end({
          status: OUTCOME_STATUS[outcome],
          output,
          errorMessage: message,
          errorTraceback: traceback,
          cpuMs: end.cpuMs,
          exitCode: outcome === "OK" ? 0 : 1,
        });
      }
      case "stopped":
        this.durationMs = end.wallMs;
        this.memoryPeakBytes = end.memoryPeakBytes;
        return this.#end({
          status: STOP_STATUS[end.reason],
          errorMessage: this.#stopMessage(end.reason),
          cpuMs: end.cpuMs,
          exitCode: 137,
        });
      case "lost":
        return this.#onLost(end, host);
    }
  }

  #stopMessage(reason: StopReason): string {
    switch (reason) {
      case "timeout":
        return `Node execution timed out: it ran ${seconds(this.durationMs)} s, the limit is ${
          seconds(this.#limits.timeoutMs)
        } s (options.timeout_seconds)`;
      case "memory":
        return `Node execution stopped: it used ${megabytes(this.memoryPeakBytes)} MB of memory, the limit is ${
          megabytes(this.#limits.memoryBytes)
        } MB (options.memory_limit_mb)`;
      case "cancelled":
        return "Node execution cancelled: the caller went away";
    }
  }

  /** Nodes are pure: one that lost its host runs again elsewhere, once if it may have been the cause. */
  #onLost({ started, exit }: Extract<TaskEnd, { kind: "lost" }>, host: HostProcess): void {
    this.#losses++;
    if (started) this.#startedLosses++;
    if (started && exit.reason === "out_of_memory") {
      return this.#end({
        status: ExecutionStatus.RESOURCE_LIMIT,
        errorMessage: `Node execution stopped: its sandbox ran out of memory, the limit is ${
          megabytes(this.#limits.memoryBytes)
        } MB (options.memory_limit_mb)`,
        exitCode: exit.exitCode,
      });
    }
    if (this.#startedLosses > MAX_STARTED_LOSSES || this.#losses > MAX_LOSSES || exit.reason === "retired") {
      return this.#end({
        status: ExecutionStatus.ERROR,
        errorMessage: `Node execution failed: its sandbox host "${host.id}" ended with exit code ${exit.exitCode}`,
        exitCode: exit.exitCode,
      });
    }
    if (this.#tryPlace()) return;
    try {
      this.#state = { kind: "queued", leave: this.#queue.reenter(this.#waiter) };
    } catch (error) {
      this.fail(error);
    }
  }

  #cancel(): void {
    this.#withdraw();
    this.#end({
      status: ExecutionStatus.CANCELLED,
      errorMessage: "Node execution cancelled: the caller went away",
    });
  }

  #leave(): void {
    this.#state = { kind: "ended" };
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  #end(end: RunEnd): void {
    if (this.#state.kind === "ended") return;
    this.#leave();
    this.cpuMs = end.cpuMs;
    const totalMs = performance.now() - this.#admittedAt;
    this.queueMs = Math.max(0, totalMs - this.durationMs);
    const output = end.output ?? new Uint8Array();
    const durationMs = Math.round(this.durationMs);
    this.report.resolve({
      taskId: this.#taskId,
      status: end.status,
      output,
      errorMessage: end.errorMessage ?? "",
      errorTraceback: end.errorTraceback ?? "",
      metrics: {
        startTimestamp: this.#startTimestamp,
        endTimestamp: this.#startTimestamp + Math.round(totalMs),
        durationMs,
        cpuTimeMs: Math.round(end.cpuMs ?? 0),
        memoryPeakMb: megabytes(this.memoryPeakBytes),
        memoryAverageMb: megabytes(this.memoryPeakBytes),
        inputSizeBytes: this.#request.input.length,
        outputSizeBytes: output.length,
        exitCode: end.exitCode ?? 0,
        sandboxId: this.#sandboxId,
      },
    });
  }

  #log({ level, message }: TaskLog): void {
    const logger = taskLogger(this.#taskId, { node_type: this.#request.nodeType, caller: this.#caller });
    if (level === "warning") logger.warn("{message}", { message });
    else logger.info("{message}", { message });
  }
}

function megabytes(bytes: number): number {
  return Math.ceil(bytes / MEGABYTE);
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(ms % 1_000 === 0 ? 0 : 2);
}
