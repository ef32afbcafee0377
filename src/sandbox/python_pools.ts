/**
 * Sandbox hosts for Python: a pool for each version that is asked for, all of them from one allowance.
 *
 * A pool is started by its version's first task, or ahead of need for the default version, and never holds up anybody
 * else: tasks wait in their queue meanwhile, and where it cannot start they are told why.
 *
 * @module
 */

import { PYTHON_VERSIONS, type PythonVersion } from "../../workers/protocol.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import type { HostProcess } from "./host_process.ts";
import type { HostTask } from "./task.ts";
import type { HostLoad } from "./host_pool.ts";
import type { HostSharing, TaskHostNeed, TaskHostPool } from "./task_host_pool.ts";

const logger = serviceLogger("sandbox");

/** How long tasks are told that a version cannot start before it is tried again, in milliseconds. */
const FIRST_RETRY_DELAY_MS = 1_000;
const MAX_RETRY_DELAY_MS = 60_000;

/** What is needed of a version's pool. */
export type PythonPool =
  & Pick<
    TaskHostPool,
    "hosts" | "alive" | "tryRun" | "keepReady" | "refill" | "yieldIdle" | typeof Symbol.asyncDispose
  >
  & { readonly load: HostLoad };

/** What a version's pool is started with, besides what all pools are. */
export interface PythonPoolStart {
  readonly sharing: HostSharing;
  /** Ends the start. */
  readonly signal: AbortSignal;
}

/** What pools of Python need. */
export interface PythonPoolsOptions {
  readonly defaultVersion: PythonVersion;
  /** Hosts alive at once over all versions. */
  readonly maxSandboxes: number;
  /** Hosts that wait ready with the default version, and with another that was asked for lately. */
  readonly readySandboxes: number;
  /** How long another version must not have been asked for before none of its hosts waits ready, in milliseconds. */
  readonly readyIdleMs: number;
  /** Starts a pool with one host, which has proved that it keeps its task in. @throws {ServiceError} when it cannot */
  readonly startPool: (version: PythonVersion, start: PythonPoolStart) => Promise<PythonPool>;
  /** Tasks of a version that wait for a host. */
  readonly queueLength: (version: PythonVersion) => number;
  /** Called when a version's tasks may get on: to a host, or to the reason why there is none. */
  readonly onCapacity: (version: PythonVersion) => void;
}

/** Where a version is; one that was never asked for is nowhere. */
type VersionState =
  | { readonly kind: "starting" }
  | { readonly kind: "serving"; readonly pool: PythonPool; idle: ReturnType<typeof setTimeout> | undefined }
  | { readonly kind: "failed"; readonly error: ServiceError; readonly retryAt: number };

/** The pools of all versions. Owned by whoever made them. */
export class PythonPools implements AsyncDisposable {
  readonly #options: PythonPoolsOptions;
  readonly #states = new Map<PythonVersion, VersionState>();
  readonly #starts = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #failures = new Map<PythonVersion, number>();

  constructor(options: PythonPoolsOptions) {
    this.#options = options;
  }

  /** All hosts. */
  get hosts(): readonly HostProcess[] {
    return this.#pools.flatMap((pool) => pool.hosts);
  }

  /** Hosts that run a task, that wait for one, and that are being started, over all versions. */
  get load(): HostLoad {
    const sum = { busy: 0, available: 0, starting: this.#startingCount };
    for (const { load } of this.#pools) {
      sum.busy += load.busy;
      sum.available += load.available;
      sum.starting += load.starting;
    }
    return sum;
  }

  /** Starts the default version's pool in the background, where hosts are to wait ready. */
  warmUp(): void {
    const { readySandboxes, defaultVersion } = this.#options;
    if (readySandboxes > 0 && !this.#states.has(defaultVersion)) this.#start(defaultVersion);
  }

  /**
   * Gives the task a host of its own.
   *
   * @returns a function that gives the task up, or `undefined` when there is no host for it now; `onCapacity` tells when
   * there may be one
   * @throws {ServiceError} `SANDBOX_LOST` or `SANDBOX_LEAK`, why this version cannot be had
   */
  tryRun(version: PythonVersion, task: HostTask, need: TaskHostNeed): (() => void) | undefined {
    const state = this.#states.get(version);
    switch (state?.kind) {
      case undefined:
        this.#startWhereRoom(version);
        return undefined;
      case "starting":
        return undefined;
      case "failed":
        if (performance.now() < state.retryAt) throw state.error;
        this.#startWhereRoom(version);
        return undefined;
      case "serving":
        this.#keepReady(version, state);
        return state.pool.tryRun(task, need);
    }
  }

  /** Ends every host at once; what runs on them is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ServiceError("DRAINING", "Cannot start Python: the service is shutting down"));
    await Promise.allSettled(this.#starts);
    for (const state of this.#states.values()) {
      if (state.kind === "serving") clearTimeout(state.idle);
    }
    await Promise.all(this.#pools.map((pool) => pool[Symbol.asyncDispose]()));
  }

  get #pools(): readonly PythonPool[] {
    return [...this.#states.values()].flatMap((state) => state.kind === "serving" ? [state.pool] : []);
  }

  get #startingCount(): number {
    return [...this.#states.values()].filter(({ kind }) => kind === "starting").length;
  }

  #hasRoom(): boolean {
    const alive = this.#pools.reduce((sum, pool) => sum + pool.alive, this.#startingCount);
    return alive < this.#options.maxSandboxes;
  }

  /** Ends a host that only waits, of any pool but one. */
  #takeRoom(except: PythonVersion): boolean {
    for (const [version, state] of this.#states) {
      if (version !== except && state.kind === "serving" && state.pool.yieldIdle()) return true;
    }
    return false;
  }

  #startWhereRoom(version: PythonVersion): void {
    if (this.#hasRoom() || this.#takeRoom(version)) this.#start(version);
  }

  #start(version: PythonVersion): void {
    if (this.#closing.signal.aborted) return;
    this.#states.set(version, { kind: "starting" });
    const start = this.#startPool(version).finally(() => this.#starts.delete(start));
    this.#starts.add(start);
  }

  async #startPool(version: PythonVersion): Promise<void> {
    const { signal } = this.#closing;
    const sharing: HostSharing = {
      hasRoom: () => this.#hasRoom(),
      takeRoom: () => this.#takeRoom(version),
      onRoom: () => this.#shareRoom(),
    };
    try {
      const pool = await this.#options.startPool(version, { sharing, signal });
      const state: VersionState = { kind: "serving", pool, idle: undefined };
      this.#states.set(version, state);
      if (signal.aborted) return;
      this.#failures.delete(version);
      logger.debug("Python {version} is ready", { version });
      this.#keepReady(version, state);
    } catch (error) {
      if (!signal.aborted) this.#onFailure(version, error);
      else this.#states.delete(version);
    }
    if (!signal.aborted) {
      this.#options.onCapacity(version);
      this.#shareRoom();
    }
  }

  #onFailure(version: PythonVersion, cause: unknown): void {
    const isLeak = cause instanceof ServiceError && cause.code === "SANDBOX_LEAK";
    logger.error("Cannot start Python {version}: {error}", { version, error: messageOf(cause) });
    const failures = (this.#failures.get(version) ?? 0) + 1;
    this.#failures.set(version, failures);
    const delayMs = Math.min(MAX_RETRY_DELAY_MS, FIRST_RETRY_DELAY_MS * 2 ** (failures - 1));
    this.#states.set(version, {
      kind: "failed",
      error: new ServiceError(
        isLeak ? "SANDBOX_LEAK" : "SANDBOX_LOST",
        `Cannot start Python ${version}: ${reasonForCallers(cause)}`,
        { cause },
      ),
      // What leaks does not get better by trying.
      retryAt: isLeak ? Infinity : performance.now() + delayMs,
    });
  }

  /** The default version has hosts ready for as long as the service runs; another one while it is asked for. */
  #keepReady(version: PythonVersion, state: Extract<VersionState, { kind: "serving" }>): void {
    const { defaultVersion, readySandboxes, readyIdleMs } = this.#options;
    if (state.idle === undefined) state.pool.keepReady(readySandboxes);
    if (version === defaultVersion) return;
    clearTimeout(state.idle);
    state.idle = setTimeout(() => {
      state.idle = undefined;
      state.pool.keepReady(0);
    }, readyIdleMs);
  }

  /** There may be room for another host: those who have fewest, and tasks that wait, come first. */
  #shareRoom(): void {
    if (this.#closing.signal.aborted) return;
    const aliveOf = (version: PythonVersion) => {
      const state = this.#states.get(version);
      return state?.kind === "serving" ? state.pool.alive : 0;
    };
    const waits = (version: PythonVersion) => this.#options.queueLength(version) > 0;
    const inTurn = PYTHON_VERSIONS.toSorted((a, b) => Number(waits(b)) - Number(waits(a)) || aliveOf(a) - aliveOf(b));
    for (const version of inTurn) {
      const state = this.#states.get(version);
      if (state?.kind === "serving") state.pool.refill();
      else if (
        waits(version) && (state === undefined || state.kind === "failed" && performance.now() >= state.retryAt)
      ) {
        this.#startWhereRoom(version);
      }
    }
  }
}

/** Why a start failed, without what only the operator should see: files of this machine, and what a host wrote. */
function reasonForCallers(cause: unknown): string {
  const [first = ""] = messageOf(cause).split(/[;\n]/, 1);
  return first.replace(/(?<![\w/])\/[^\s'",:]+/g, "(a file)").slice(0, 300);
}
