/**
 * Executes tasks: admits them, places them on sandboxes, and says what they came to.
 * @module
 */

import type { ExecutionSectionOptions, PolicyOptions, PythonOptions, SessionOptions } from "../config/schema.ts";
import { PYTHON_VERSIONS, type PythonVersion } from "../../workers/protocol.ts";
import { ServiceError } from "../errors.ts";
import { NO_GRANTS } from "../sandbox/grants.ts";
import type { HostProcess, NodeDescription } from "../sandbox/host_process.ts";
import type { HostLoad } from "../sandbox/host_pool.ts";
import type { TaskHostPool } from "../sandbox/task_host_pool.ts";
import { audit, type AuditEvent } from "./audit.ts";
import { ANONYMOUS, Callers, type TaskLease } from "./callers.ts";
import type { DependencyResolver } from "../packages/dependencies.ts";
import { refuseUngranted, resolveGrants } from "./grants.ts";
import { Lanes, type PoolStarters } from "./lanes.ts";
import { resolveLimits } from "./limits.ts";
import { type ExecutionObserver, type ExecutionTotals, TotalsMeter } from "./observer.ts";
import { packageDigestOf } from "./package_digest.ts";
import { Planner, type TaskPlan } from "./plans.ts";
import {
  CUSTOM_TASK,
  type CustomTaskExecution,
  type InputBounds,
  type NodeExecution,
  type SessionRequest,
} from "./requests.ts";
import { reuseKeyOf } from "./reuse.ts";
import { SessionOpener } from "./sessions/opener.ts";
import { Sessions } from "./sessions/registry.ts";
import type { Session } from "./sessions/session.ts";
import { type ConsoleListener, type ExecutionReport, TaskRun } from "./task_run.ts";
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

/** What an executor needs. */
export interface ExecutorOptions extends PoolStarters {
  readonly execution: ExecutionSectionOptions;
  readonly sessions: SessionOptions;
  readonly policy: PolicyOptions;
  readonly python: PythonOptions;
  /** Where packages come from that user code depends on. */
  readonly dependencies: DependencyResolver;
  readonly observer: ExecutionObserver;
}

/** Whose an execution is, and until when it is wanted. */
export interface ExecutionContext {
  /** Aborts when the caller goes away; the execution then ends CANCELLED and its sandbox is freed. */
  readonly signal: AbortSignal;
  /** Whose policy and quotas hold; {@linkcode ANONYMOUS} when absent. */
  readonly caller?: string;
  /** Is told what user code writes to its console as it is written, bounded as in the report. */
  readonly onConsole?: ConsoleListener;
}

/** Executes tasks. Owned by the composition root. */
export class Executor implements AsyncDisposable {
  /** Who may do how much. */
  readonly callers: Callers;
  /** Streams and sessions that are open. */
  readonly sessions: Sessions;
  readonly #options: ExecutorOptions;
  readonly #lanes: Lanes;
  readonly #planner: Planner;
  readonly #bounds: InputBounds;
  readonly #nodeTypes: ReadonlySet<string>;
  readonly #idPrefix = crypto.randomUUID().slice(0, 8);
  #nextId = 1;
  readonly #runs = new Set<TaskRun>();
  #draining: { readonly idle: PromiseWithResolvers<void> } | undefined;
  readonly #totals = new TotalsMeter();

  private constructor(options: ExecutorOptions, lanes: Lanes) {
    this.#options = options;
    this.sessions = new Sessions(options.sessions, () => this.#resolveIdle());
    this.callers = new Callers({ policy: options.policy, defaults: options.execution.defaults });
    this.#lanes = lanes;
    this.#bounds = { maxInputBytes: options.execution.maxInputMb * MEGABYTE };
    const { execution, python, dependencies } = options;
    this.#planner = new Planner({
      lanes,
      execution,
      python,
      dependencies,
      bounds: this.#bounds,
      creditBytes: () => this.sessions.unreadLimitBytes,
    });
    this.#nodeTypes = new Set([...lanes.nodes.pool.nodes.map(({ nodeType }) => nodeType), CUSTOM_TASK]);
  }

  /** Starts the pools and waits until they are warm. @throws {ServiceError} when a sandbox cannot start */
  static async start(options: ExecutorOptions): Promise<Executor> {
    return new Executor(options, await Lanes.start(options));
  }

  /** The nodes that can be asked for. */
  get nodes(): readonly NodeDescription[] {
    const { nodes } = this.#lanes.nodes.pool;
    return this.#lanes.python === undefined ? nodes.filter(({ runtime }) => runtime !== "python") : nodes;
  }

  /** Versions of Python that tasks may have, the default one first; none where Python is not run. */
  get pythonVersions(): readonly PythonVersion[] {
    const { enabled, version } = this.#options.python;
    return enabled ? [version, ...PYTHON_VERSIONS.filter((other) => other !== version)] : [];
  }

  /** Has sandboxes of Python wait ready, where they are to; in the background. */
  warmUpPython(): void {
    this.#lanes.python?.warmUp();
  }

  /** Executions that wait for a sandbox. */
  get queueLength(): number {
    return this.#lanes.queueLength;
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
  get load(): HostLoad {
    return this.#lanes.nodes.pool.load;
  }

  /** Sandbox hosts for user code by what they do. */
  get taskLoad(): TaskHostPool["load"] {
    return this.#lanes.tasks.pool.load;
  }

  /** Sandbox hosts for Python by what they do; `undefined` where it is not run. */
  get pythonLoad(): HostLoad | undefined {
    return this.#lanes.python?.load;
  }

  /** Processes of the sandboxes, for accounting. */
  get hosts(): readonly HostProcess[] {
    return this.#lanes.hosts;
  }

  /** Sums over all executions since the start. */
  get totals(): ExecutionTotals {
    return this.#totals.totals;
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
    const terms = this.callers.termsFor(caller);
    const { policy } = terms;
    const { limits, lease } = this.#admit(caller, () => {
      refuseUngranted(request.options, policy);
      return { limits: resolveLimits(request.options, terms), lease: this.callers.admitTask(caller) };
    });
    const plan = this.#planner.planNode(request, { caller, limits, policy });
    return this.#run(plan, lease, { kind: request.nodeType, caller, signal });
  }

  /**
   * Runs the entry point of a code package on one input, in a sandbox of its own.
   *
   * @returns what it came to, failures of the task included
   * @throws {ServiceError} as {@linkcode executeNode} does
   */
  async executeCustomTask(
    request: CustomTaskExecution,
    { signal, caller = ANONYMOUS, onConsole }: ExecutionContext,
  ): Promise<ExecutionReport> {
    const terms = this.callers.termsFor(caller);
    const { policy } = terms;
    const { limits, grants } = this.#admit(caller, () => ({
      limits: resolveLimits(request.options, terms),
      grants: resolveGrants(request.options, policy),
    }));
    const packageDigest = await packageDigestOf(request.codePackage);
    const { dependencies } = request;
    const reuseKey = reuseKeyOf({ packageDigest, dependencies }, { caller, grants, policy });
    this.#refuseWhileDraining();
    const lease = this.#admit(caller, () => this.callers.admitTask(caller));
    const plan = this.#planner.planTask(request, { caller, limits, policy, grants, packageDigest, reuseKey });
    return this.#run(plan, lease, { kind: CUSTOM_TASK, caller, signal, onConsole });
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
    const packageDigest = isNode ? "" : await packageDigestOf(request.codePackage);
    this.#refuseWhileDraining();
    const release = this.#admit(caller, () => this.sessions.reserve(caller));
    let lease: TaskLease;
    try {
      lease = this.#admit(caller, () => this.callers.admitTask(caller));
    } catch (error) {
      release();
      throw error;
    }
    const kind = isNode ? request.nodeType : CUSTOM_TASK;
    const identity = this.#identify(caller);
    const opened = new SessionOpener({
      id: crypto.randomUUID(),
      caller,
      nodeType: isNode ? request.nodeType : "",
      isObject: request.staysOpen,
      limits,
      maxConsoleBytes: this.#options.execution.maxConsoleKb * 1024,
      ...this.#bounds,
      lease,
      audit: identity.audit,
    });
    const { policy } = terms;
    const plan = isNode
      ? this.#planner.planNodeStream(request, { caller, limits, policy })
      : this.#planner.planPackageStream(request, { caller, limits, policy, grants, packageDigest });
    const run = new TaskRun({ ...identity, ...plan, stream: opened.sink });
    try {
      if (plan.refusal === undefined) run.start(signal);
      else run.refuse(plan.refusal);
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
    await this.#lanes[Symbol.asyncDispose]();
  }

  /** Runs what has been admitted, and gives its place in the quota back when it ends. */
  async #run(
    plan: TaskPlan,
    lease: TaskLease,
    { signal, onConsole, ...of }: {
      readonly kind: string;
      readonly caller: string;
      readonly signal: AbortSignal;
      readonly onConsole?: ConsoleListener | undefined;
    },
  ): Promise<ExecutionReport> {
    const run = new TaskRun({ ...this.#identify(of.caller), ...plan, onConsole });
    if (plan.refusal === undefined) start(run, lease, signal);
    else run.refuse(plan.refusal);
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
    this.#totals.add(report.status, run);
    const label = this.#nodeTypes.has(kind) ? kind : "unknown";
    this.#options.observer.executionEnded(label, report.status, run.durationMs, run.queueMs, caller);
  }
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
