/**
 * Executes tasks: admits them, places them on sandboxes, and says what they came to.
 * @module
 */

import { ExecutionStatus } from "../../protos/generated/types.ts";
import type { ExecutionOptions } from "../../protos/generated/types.ts";
import { MAX_TASK_TEXT_BYTES, taskTextBytes } from "../../workers/protocol.ts";
import type { ExecutionSectionOptions, PolicyOptions } from "../config/schema.ts";
import { ServiceError } from "../errors.ts";
import type { Grants } from "../sandbox/grants.ts";
import type { HostProcess, NodeDescription } from "../sandbox/host_process.ts";
import type { HostPool } from "../sandbox/host_pool.ts";
import type { TaskHostPool } from "../sandbox/task_host_pool.ts";
import { AdmissionQueue } from "./admission.ts";
import { audit, type AuditEvent, type AuditEventName } from "./audit.ts";
import { ANONYMOUS, Callers, type TaskLease } from "./callers.ts";
import { refuseUngranted, resolveGrants } from "./grants.ts";
import { resolveLimits } from "./limits.ts";
import { type ExecutionReport, TaskRun } from "./task_run.ts";
import { MEGABYTE } from "../units.ts";

export type { ExecutionReport } from "./task_run.ts";

/** A request to run a node. */
export interface NodeExecution {
  readonly nodeType: string;
  readonly config: ReadonlyMap<string, string>;
  readonly input: Uint8Array;
  readonly format: string;
  readonly options: ExecutionOptions | undefined;
}

/** A request to run user code. */
export interface CustomTaskExecution {
  readonly codePackage: Uint8Array;
  readonly entryPoint: string;
  readonly input: Uint8Array;
  readonly format: string;
  readonly dependencies: readonly string[];
  readonly options: ExecutionOptions | undefined;
}

/** Name by which executions of user code are counted and logged. */
export const CUSTOM_TASK = "custom";

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
  /** Something was refused, denied or ended by force. */
  audited(event: AuditEventName): void;
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
  /** Starts the pool of user code; the executor owns it likewise. */
  readonly startTaskPool: (queue: TaskQueue) => Promise<TaskHostPool>;
}

/** The queue in front of the pool of user code, as the pool sees it. */
export interface TaskQueue {
  readonly length: () => number;
  readonly onCapacity: () => void;
}

/** Whose an execution is, and until when it is wanted. */
export interface ExecutionContext {
  /** Aborts when the caller goes away; the execution then ends CANCELLED and its sandbox is freed. */
  readonly signal: AbortSignal;
  /** Whose policy and quotas hold; {@linkcode ANONYMOUS} when absent. */
  readonly caller?: string;
}

/** A pool and the queue in front of it. */
interface Lane<Pool> {
  readonly queue: AdmissionQueue;
  readonly pool: Pool;
}

/** Executes tasks. Owned by the composition root. */
export class Executor implements AsyncDisposable {
  /** Who may do how much. */
  readonly callers: Callers;
  readonly #options: ExecutorOptions;
  /** Built-in nodes and user code wait apart: neither holds up the other. */
  readonly #nodes: Lane<HostPool>;
  readonly #tasks: Lane<TaskHostPool>;
  readonly #maxInputBytes: number;
  readonly #nodeTypes: ReadonlySet<string>;
  readonly #idPrefix = crypto.randomUUID().slice(0, 8);
  #nextId = 1;
  readonly #runs = new Set<TaskRun>();
  #draining: { readonly idle: PromiseWithResolvers<void> } | undefined;
  #totals = { total: 0, succeeded: 0, failed: 0, durationMs: 0, peakMemoryBytes: 0 };

  private constructor(options: ExecutorOptions, nodes: Lane<HostPool>, tasks: Lane<TaskHostPool>) {
    this.#options = options;
    this.callers = new Callers({ policy: options.policy, defaults: options.execution.defaults });
    this.#nodes = nodes;
    this.#tasks = tasks;
    this.#maxInputBytes = options.execution.maxInputMb * MEGABYTE;
    this.#nodeTypes = new Set([...nodes.pool.nodes.map(({ nodeType }) => nodeType), CUSTOM_TASK]);
  }

  /** Starts the pools and waits until they are warm. @throws {ServiceError} when a sandbox cannot start */
  static async start(options: ExecutorOptions): Promise<Executor> {
    const nodeQueue = new AdmissionQueue(options.execution);
    const taskQueue = new AdmissionQueue(options.execution);
    const starting = [
      options.startPool(() => nodeQueue.pump()),
      options.startTaskPool({ length: () => taskQueue.length, onCapacity: () => taskQueue.pump() }),
    ] as const;
    try {
      const [nodePool, taskPool] = await Promise.all(starting);
      return new Executor(options, { queue: nodeQueue, pool: nodePool }, { queue: taskQueue, pool: taskPool });
    } catch (error) {
      for (const pool of await Promise.allSettled(starting)) {
        if (pool.status === "fulfilled") await pool.value[Symbol.asyncDispose]();
      }
      throw error;
    }
  }

  /** The nodes that can be asked for. */
  get nodes(): readonly NodeDescription[] {
    return this.#nodes.pool.nodes;
  }

  /** Executions that wait for a sandbox. */
  get queueLength(): number {
    return this.#nodes.queue.length + this.#tasks.queue.length;
  }

  /** Executions that wait or run. */
  get activeCount(): number {
    return this.#runs.size;
  }

  /** Sandbox hosts for nodes, the workers, by what they do. */
  get load(): HostPool["load"] {
    return this.#nodes.pool.load;
  }

  /** Sandbox hosts for user code by what they do. */
  get taskLoad(): TaskHostPool["load"] {
    return this.#tasks.pool.load;
  }

  /** Processes of the sandboxes, for accounting. */
  get hosts(): readonly HostProcess[] {
    return [...this.#nodes.pool.hosts, ...this.#tasks.pool.hosts];
  }

  /** Sums over all executions since the start. */
  get totals(): ExecutionTotals {
    const { total, succeeded, failed, durationMs, peakMemoryBytes } = this.#totals;
    return { total, succeeded, failed, peakMemoryBytes, averageDurationMs: total === 0 ? 0 : durationMs / total };
  }

  /**
   * Runs a node on one input.
   *
   * @returns what it came to, failures of the task included
   * @throws {ServiceError} `DRAINING`, `QUEUE_FULL`, `RATE_LIMITED`, `INVALID_ARGUMENT` or `PERMISSION_DENIED`: the call
   * was not admitted
   */
  executeNode(
    request: NodeExecution,
    { signal, caller = ANONYMOUS }: ExecutionContext,
  ): Promise<ExecutionReport> {
    this.#refuseWhileDraining();
    const { limits, lease } = this.#admit(caller, () => {
      const terms = this.callers.termsFor(caller);
      refuseUngranted(request.options, terms.policy);
      return { limits: resolveLimits(request.options, terms), lease: this.callers.admitTask(caller) };
    });
    const { nodeType, format, config, input } = request;
    const taskId = this.#newTaskId();
    const run = new TaskRun({
      taskId,
      caller,
      audit: (event) => this.#audit({ caller, taskId, ...event }),
      subject: "Node execution",
      logFields: { node_type: nodeType, caller },
      message: {
        nodeType,
        format,
        config,
        memoryLimitBytes: limits.memoryBytes,
        maxOutputBytes: limits.outputBytes,
        input,
      },
      limits,
      maxRestarts: 1,
      tryPlace: (task) => this.#nodes.pool.tryRun(task, nodeType),
      queue: this.#nodes.queue,
    });
    const textBytes = taskTextBytes(request);
    if (textBytes > MAX_TASK_TEXT_BYTES) {
      run.refuse(
        `Cannot run task: its node type, format and config may need ${textBytes} bytes, allowed are ${MAX_TASK_TEXT_BYTES}`,
      );
    } else if (request.input.length > this.#maxInputBytes) {
      run.refuse(this.#inputMessage(request.input));
    } else {
      start(run, lease, signal);
    }
    return this.#finish(run, lease, { kind: nodeType, caller });
  }

  /**
   * Runs the entry point of a code package on one input, in a sandbox of its own.
   *
   * @returns what it came to, failures of the task included
   * @throws {ServiceError} as {@linkcode executeNode} does
   */
  async executeCustomTask(
    request: CustomTaskExecution,
    { signal, caller = ANONYMOUS }: ExecutionContext,
  ): Promise<ExecutionReport> {
    const { execution } = this.#options;
    const terms = this.callers.termsFor(caller);
    const { policy } = terms;
    const { limits, grants } = this.#admit(caller, () => ({
      limits: resolveLimits(request.options, terms),
      grants: resolveGrants(request.options, policy),
    }));
    const reuseKey = await reuseKeyOf(request.codePackage, { caller, grants, policy });
    this.#refuseWhileDraining();
    const lease = this.#admit(caller, () => this.callers.admitTask(caller));
    const { codePackage, entryPoint, input, format, dependencies } = request;
    const maxPackageBytes = policy.packages.maxCompressedMb * MEGABYTE;
    const taskId = this.#newTaskId();
    const run = new TaskRun({
      taskId,
      caller,
      audit: (event) => this.#audit({ caller, taskId, ...event }),
      subject: "Task",
      logFields: { entry_point: entryPoint, caller },
      message: {
        format,
        memoryLimitBytes: limits.memoryBytes,
        maxOutputBytes: limits.outputBytes,
        maxConsoleBytes: execution.maxConsoleKb * 1024,
        options: {
          entryPoint,
          dependencies,
          maxPackageBytes,
          maxUnpackedBytes: policy.packages.maxUnpackedMb * MEGABYTE,
          maxFiles: policy.packages.maxFiles,
          blockedImports: policy.imports.blocked,
          environment: request.options?.environment ?? {},
        },
        input,
        codePackage,
      },
      limits,
      maxRestarts: 0,
      tryPlace: (task) => this.#tasks.pool.tryRun(task, { grants, reuseKey }),
      queue: this.#tasks.queue,
    });
    const textBytes = [entryPoint, format, ...dependencies].reduce((sum, { length }) => sum + length * 3, 0);
    if (textBytes > MAX_TASK_TEXT_BYTES) {
      run.refuse(
        `Cannot run task: its entry point and dependencies may need ${textBytes} bytes, allowed are ${MAX_TASK_TEXT_BYTES}`,
      );
    } else if (codePackage.length > maxPackageBytes) {
      run.refuse(
        `Cannot run task: its package has ${codePackage.length} bytes, packages.maxCompressedMb allows ${maxPackageBytes}`,
      );
    } else if (input.length > this.#maxInputBytes) {
      run.refuse(this.#inputMessage(input));
    } else {
      start(run, lease, signal);
    }
    return this.#finish(run, lease, { kind: CUSTOM_TASK, caller });
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
    for (const { queue, pool } of [this.#nodes, this.#tasks]) {
      queue[Symbol.dispose]();
      await pool[Symbol.asyncDispose]();
    }
  }

  /** Keeps count of a run that has been admitted, now and when it ends. */
  async #finish(
    run: TaskRun,
    lease: TaskLease,
    of: { readonly kind: string; readonly caller: string },
  ): Promise<ExecutionReport> {
    this.#runs.add(run);
    try {
      const report = await run.report.promise;
      this.#account(of, report, run);
      return report;
    } finally {
      lease.end(run.usage?.cpuMs ?? run.durationMs);
      this.#runs.delete(run);
      if (this.#runs.size === 0) this.#draining?.idle.resolve();
    }
  }

  /** Does what decides whether a request is admitted; what it refuses is written down. */
  #admit<T>(caller: string, decide: () => T): T {
    try {
      return decide();
    } catch (error) {
      if (error instanceof ServiceError && (error.code === "PERMISSION_DENIED" || error.code === "RATE_LIMITED")) {
        const rule = error.details.rule ?? error.details.quota ?? error.code;
        this.#audit({ event: "request_refused", caller, taskId: "", rule, target: error.message });
      }
      throw error;
    }
  }

  #audit(event: AuditEvent): void {
    audit(event, (name) => this.#options.observer.audited(name));
  }

  #refuseWhileDraining(): void {
    if (this.#draining === undefined) return;
    throw new ServiceError("DRAINING", "Cannot admit execution: the service is shutting down");
  }

  #inputMessage(input: Uint8Array): string {
    return `Cannot run task: its input has ${input.length} bytes, execution.maxInputMb allows ${this.#maxInputBytes}`;
  }

  #newTaskId(): string {
    return `${this.#idPrefix}-${this.#nextId++}`;
  }

  #account(
    { kind, caller }: { readonly kind: string; readonly caller: string },
    report: ExecutionReport,
    run: TaskRun,
  ): void {
    const totals = this.#totals;
    totals.total++;
    if (report.status === ExecutionStatus.SUCCESS) totals.succeeded++;
    else totals.failed++;
    totals.durationMs += run.durationMs;
    totals.peakMemoryBytes = Math.max(totals.peakMemoryBytes, run.usage?.memoryPeakBytes ?? 0);
    const label = this.#nodeTypes.has(kind) ? kind : "unknown";
    this.#options.observer.executionEnded(label, report.status, run.durationMs, run.queueMs, caller);
  }
}

/**
 * What executions must have in common to have the same sandbox one after the other: the caller, the package, the rights.
 * `null` where the policy has each in a sandbox of its own, for callers that nobody can tell apart, and for those that
 * leave files behind.
 */
async function reuseKeyOf(
  codePackage: Uint8Array,
  of: { readonly caller: string; readonly grants: Grants; readonly policy: PolicyOptions },
): Promise<string | null> {
  const { caller, grants, policy } = of;
  if (policy.reuse === "never" || caller === ANONYMOUS || grants.scratchBytes !== null) return null;
  // The bytes came from the wire: never shared.
  const digest = await crypto.subtle.digest("SHA-256", codePackage as Uint8Array<ArrayBuffer>);
  return JSON.stringify([caller, new Uint8Array(digest).toHex(), grants.networkHosts, grants.wantedHosts]);
}

/** Starts a run; one that is not admitted gives its place in the quota back. */
function start(run: TaskRun, lease: TaskLease, signal: AbortSignal): void {
  try {
    run.start(signal);
  } catch (error) {
    lease.end(0);
    throw error;
  }
}
