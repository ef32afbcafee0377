/**
 * Executes tasks: admits them, places them on sandboxes, and says what they came to.
 * @module
 */

import { ExecutionStatus } from "../../protos/generated/types.ts";
import type { ExecutionSectionOptions, PolicyOptions, SessionOptions } from "../config/schema.ts";
import { ServiceError } from "../errors.ts";
import { type Grants, NO_GRANTS } from "../sandbox/grants.ts";
import type { HostProcess, NodeDescription } from "../sandbox/host_process.ts";
import type { HostPool } from "../sandbox/host_pool.ts";
import type { TaskHostPool } from "../sandbox/task_host_pool.ts";
import { AdmissionQueue } from "./admission.ts";
import { audit, type AuditEvent, type AuditEventName } from "./audit.ts";
import { ANONYMOUS, Callers, type TaskLease } from "./callers.ts";
import { refuseUngranted, resolveGrants } from "./grants.ts";
import { resolveLimits } from "./limits.ts";
import {
  CUSTOM_TASK,
  type CustomTaskExecution,
  type InputBounds,
  type NodeExecution,
  nodeFault,
  nodeMessage,
  packageFault,
  packageMessage,
  type SessionRequest,
} from "./requests.ts";
import { SessionOpener } from "./sessions/opener.ts";
import { Sessions } from "./sessions/registry.ts";
import type { Session, SessionEnd } from "./sessions/session.ts";
import { type ExecutionReport, TaskRun } from "./task_run.ts";
import type { TaskAudit } from "./verdict.ts";
import { MEGABYTE } from "../units.ts";

export { CUSTOM_TASK } from "./requests.ts";
export type { CustomTaskExecution, NodeExecution, SessionRequest } from "./requests.ts";
export type { ExecutionReport } from "./task_run.ts";

/** What opening a session came to. */
export interface SessionOpening {
  /** Absent unless the report's status is SUCCESS. */
  readonly session: Session | undefined;
  readonly report: ExecutionReport;
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
  /**
   * A stream or a session of an object ended.
   * @param inputs that it processed
   */
  sessionEnded(nodeType: string, end: SessionEnd["kind"], inputs: number): void;
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
  readonly sessions: SessionOptions;
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
  /** Streams and sessions that are open. */
  readonly sessions: Sessions;
  readonly #options: ExecutorOptions;
  /** Built-in nodes and user code wait apart: neither holds up the other. */
  readonly #nodes: Lane<HostPool>;
  readonly #tasks: Lane<TaskHostPool>;
  readonly #bounds: InputBounds;
  readonly #nodeTypes: ReadonlySet<string>;
  readonly #idPrefix = crypto.randomUUID().slice(0, 8);
  #nextId = 1;
  readonly #runs = new Set<TaskRun>();
  #draining: { readonly idle: PromiseWithResolvers<void> } | undefined;
  #totals = { total: 0, succeeded: 0, failed: 0, durationMs: 0, peakMemoryBytes: 0 };

  private constructor(options: ExecutorOptions, nodes: Lane<HostPool>, tasks: Lane<TaskHostPool>) {
    this.#options = options;
    this.sessions = new Sessions(options.sessions, () => this.#resolveIdle());
    this.callers = new Callers({ policy: options.policy, defaults: options.execution.defaults });
    this.#nodes = nodes;
    this.#tasks = tasks;
    this.#bounds = { maxInputBytes: options.execution.maxInputMb * MEGABYTE };
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
  get executionCount(): number {
    return this.#runs.size;
  }

  /** Executions that wait or run, and sessions. */
  get activeCount(): number {
    return this.#runs.size + this.sessions.size;
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
    const { nodeType } = request;
    const message = nodeMessage(request, limits);
    const run = new TaskRun({
      ...this.#identify(caller),
      subject: "Node execution",
      logFields: { node_type: nodeType, caller },
      message,
      limits,
      maxRestarts: 1,
      tryPlace: (task) => this.#nodes.pool.tryRun(task, nodeType),
      queue: this.#nodes.queue,
    });
    const fault = nodeFault(message, this.#bounds);
    if (fault === undefined) start(run, lease, signal);
    else run.refuse(fault);
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
    const message = packageMessage(request, { limits, policy, execution });
    const run = new TaskRun({
      ...this.#identify(caller),
      subject: "Task",
      logFields: { entry_point: request.entryPoint, caller },
      message,
      limits,
      maxRestarts: 0,
      tryPlace: (task) => this.#tasks.pool.tryRun(task, { grants, reuseKey }),
      queue: this.#tasks.queue,
    });
    const fault = packageFault(message, this.#bounds);
    if (fault === undefined) start(run, lease, signal);
    else run.refuse(fault);
    return this.#finish(run, lease, { kind: CUSTOM_TASK, caller });
  }

  /**
   * Opens a stream with a node or with user code, or a session of a user's object.
   *
   * @param signal ends the opening; the session itself ends by its own methods
   * @returns the session, or why there is none
   * @throws {ServiceError} as {@linkcode executeNode} does; `QUEUE_FULL` when as many are open as may be
   */
  async openSession(
    request: SessionRequest,
    { signal, caller = ANONYMOUS }: ExecutionContext,
  ): Promise<SessionOpening> {
    const isNode = request.codePackage.length === 0 && request.nodeType !== CUSTOM_TASK;
    const terms = this.callers.termsFor(caller);
    const { limits, grants } = this.#admit(caller, () => {
      if (isNode) refuseUngranted(request.options, terms.policy);
      return {
        limits: resolveLimits(request.options, terms),
        grants: isNode ? NO_GRANTS : resolveGrants(request.options, terms.policy),
      };
    });
    this.#refuseWhileDraining();
    const release = this.#admit(caller, () => this.sessions.reserve(caller));
    let lease: TaskLease;
    try {
      lease = this.#admit(caller, () => this.callers.admitTask(caller));
    } catch (error) {
      release();
      throw error;
    }
    const { execution } = this.#options;
    const kind = isNode ? request.nodeType : CUSTOM_TASK;
    const identity = this.#identify(caller);
    const opened = new SessionOpener({
      id: crypto.randomUUID(),
      caller,
      nodeType: isNode ? request.nodeType : "",
      isObject: request.staysOpen,
      limits,
      maxConsoleBytes: execution.maxConsoleKb * 1024,
      ...this.#bounds,
      lease,
      audit: identity.audit,
    });
    const input = new Uint8Array();
    const { nodeType, config } = request;
    const common = { ...identity, limits, stream: opened.sink, maxRestarts: isNode ? 1 : 0 };
    let run: TaskRun;
    let fault: string | undefined;
    if (isNode) {
      const message = nodeMessage({ nodeType, config, input, format: "" }, limits);
      fault = nodeFault(message, this.#bounds);
      run = new TaskRun({
        ...common,
        subject: "Node execution",
        logFields: { node_type: nodeType, caller },
        message,
        tryPlace: (task) => this.#nodes.pool.tryOpen(task, nodeType),
        queue: this.#nodes.queue,
      });
    } else {
      const stream = {
        mode: request.mode,
        config: Object.fromEntries(config),
        creditBytes: this.sessions.unreadLimitBytes,
      };
      // Clients of the plain contract have no other place for it.
      const entryPoint = request.entryPoint === "" ? config.get("entry_point") ?? "" : request.entryPoint;
      const task = { ...request, entryPoint, input, format: "", dependencies: [] };
      const message = packageMessage(task, { limits, policy: terms.policy, execution, stream });
      fault = packageFault(message, this.#bounds);
      run = new TaskRun({
        ...common,
        subject: "Task",
        logFields: { entry_point: request.entryPoint, caller },
        message,
        tryPlace: (task) => this.#tasks.pool.tryRun(task, { grants, reuseKey: null }),
        queue: this.#tasks.queue,
      });
    }
    try {
      if (fault === undefined) run.start(signal);
      else run.refuse(fault);
      const report = await this.#track(run, { kind, caller });
      const session = await opened.settle(report);
      if (session === undefined) {
        lease.end(run.usage?.cpuMs ?? 0);
        release();
      } else {
        lease.charge(run.usage?.cpuMs ?? 0);
        session.totals.queueMs = run.queueMs;
        this.sessions.add(session, release);
        void session.ended.then((end) => this.#options.observer.sessionEnded(kind, end.kind, session.totals.items));
      }
      return { session, report };
    } catch (error) {
      opened.giveUp();
      lease.end(0);
      release();
      throw error;
    }
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
    this.sessions.endIdle(sessionDrained());
    this.#resolveIdle();
    const giveUp = () => idle.resolve();
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp);
    await idle.promise;
    signal.removeEventListener("abort", giveUp);
    const lost = [...this.#runs];
    for (const run of lost) {
      run.fail(new ServiceError("DRAINING", "Cannot finish execution: the service is shutting down"));
    }
    return lost.length + this.sessions.endAll(
      sessionDrained(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sessions.endAll(sessionDrained());
    this.sessions[Symbol.dispose]();
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
    try {
      return await this.#track(run, of);
    } finally {
      lease.end(run.usage?.cpuMs ?? run.durationMs);
    }
  }

  async #track(run: TaskRun, of: { readonly kind: string; readonly caller: string }): Promise<ExecutionReport> {
    this.#runs.add(run);
    try {
      const report = await run.report.promise;
      this.#account(of, report, run);
      return report;
    } finally {
      this.#runs.delete(run);
      this.#resolveIdle();
    }
  }

  #resolveIdle(): void {
    if (this.#runs.size === 0 && this.sessions.isEmpty) this.#draining?.idle.resolve();
  }

  /** Name and audit of a new execution. */
  #identify(caller: string): { readonly taskId: string; readonly caller: string; readonly audit: TaskAudit } {
    const taskId = `${this.#idPrefix}-${this.#nextId++}`;
    return { taskId, caller, audit: (event) => this.#audit({ caller, taskId, ...event }) };
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

function sessionDrained(): ServiceError {
  return new ServiceError("DRAINING", "Session ended: the service is shutting down");
}
