/**
 * Sandbox hosts for user code: each runs one task and is then destroyed. Some are started ahead of need, so that a task
 * finds one ready.
 * @module
 */

import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { type HostExit, type HostOptions, HostProcess, type HostTask } from "./host_process.ts";
import { HostWatch } from "./host_watch.ts";

const logger = serviceLogger("sandbox");

const FIRST_RESTART_DELAY_MS = 50;
const MAX_RESTART_DELAY_MS = 5_000;

/** What a pool needs. */
export interface TaskHostPoolOptions extends Omit<HostOptions, "id" | "role"> {
  /** Hosts alive at once, ready ones included. */
  readonly maxHosts: number;
  /** Hosts that wait for a task. */
  readonly readyHosts: number;
  /** Tasks that wait for a host. */
  readonly queueLength: () => number;
  /** Called when a host has become ready. */
  readonly onCapacity: () => void;
  /** Called when a host has ended, for metrics. */
  readonly onHostExit: (exit: HostExit) => void;
}

/** A running pool. Owned by whoever started it. */
export class TaskHostPool implements AsyncDisposable {
  readonly #options: TaskHostPoolOptions;
  readonly #ready: HostProcess[] = [];
  readonly #running = new Set<HostProcess>();
  readonly #ending = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  readonly #watch = new HostWatch(() => this.#running);
  #starting = 0;
  #nextHost = 1;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: TaskHostPoolOptions) {
    this.#options = options;
  }

  /**
   * Starts a pool and waits until its ready hosts are, and at least one.
   * @throws {ServiceError} `SANDBOX_LOST` when one cannot start
   */
  static async start(options: TaskHostPoolOptions): Promise<TaskHostPool> {
    const pool = new TaskHostPool(options);
    try {
      // One at least: it shows that such hosts start here, and proves that they keep their task in.
      const count = Math.max(1, Math.min(options.readyHosts, options.maxHosts));
      await Promise.all(Array.from({ length: count }, () => pool.#startHost()));
    } catch (error) {
      await pool[Symbol.asyncDispose]();
      throw error;
    }
    return pool;
  }

  /** All hosts. */
  get hosts(): readonly HostProcess[] {
    return [...this.#running, ...this.#ready];
  }

  /** Hosts that run a task, that wait for one, and that are being started. */
  get load(): { readonly busy: number; readonly available: number; readonly starting: number } {
    return { busy: this.#running.size, available: this.#ready.length, starting: this.#starting };
  }

  /**
   * Gives the task a host of its own.
   *
   * @returns a function that gives the task up, or `undefined` when no host is ready; one is then started if there may
   * be another, and `onCapacity` tells when it is
   */
  tryRun(task: HostTask): (() => void) | undefined {
    let host = this.#ready.shift();
    while (host !== undefined && !host.isServing) host = this.#ready.shift();
    if (host === undefined) {
      this.#fill(1);
      return undefined;
    }
    const owner = host;
    this.#running.add(owner);
    const abandon = owner.run({
      ...task,
      onEnd: (end, from) => {
        // Whatever it has left behind goes with it.
        from.kill("retired");
        task.onEnd(end, from);
      },
    }, performance.now());
    this.#watch.wake();
    this.#fill();
    return abandon;
  }

  /** Ends every host at once; what runs on them is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ServiceError("DRAINING", "Cannot start sandbox host: the pool is closing"));
    clearTimeout(this.#retry);
    this.#watch[Symbol.dispose]();
    for (const host of this.hosts) host.kill("retired");
    while (this.#ending.size > 0) await Promise.allSettled(this.#ending);
  }

  /**
   * Starts as many hosts as are wanted and allowed.
   * @param asking tasks that want one and do not wait yet
   */
  #fill(asking = 0): void {
    if (this.#closing.signal.aborted || this.#retry !== undefined) return;
    const { maxHosts, readyHosts, queueLength } = this.#options;
    const alive = () => this.#ready.length + this.#running.size + this.#starting;
    const wanted = Math.max(readyHosts, queueLength() + asking);
    while (alive() < maxHosts && this.#ready.length + this.#starting < wanted) {
      const start = this.#startHost().catch((error) => this.#onFailedStart(error)).finally(() =>
        this.#ending.delete(start)
      );
      this.#ending.add(start);
    }
  }

  async #startHost(): Promise<void> {
    this.#starting++;
    let host: HostProcess;
    try {
      const id = `task-${this.#nextHost++}`;
      host = await HostProcess.start({ ...this.#options, role: "task", id }, { signal: this.#closing.signal });
    } finally {
      this.#starting--;
    }
    const exited = host.exited.then((exit) => this.#onExit(host, exit)).finally(() => this.#ending.delete(exited));
    this.#ending.add(exited);
    if (this.#closing.signal.aborted) return host.kill("retired");
    this.#failures = 0;
    this.#ready.push(host);
    this.#options.onCapacity();
  }

  #onExit(host: HostProcess, exit: HostExit): void {
    this.#running.delete(host);
    const index = this.#ready.indexOf(host);
    if (index >= 0) this.#ready.splice(index, 1);
    this.#options.onHostExit(exit);
    logger.debug("Sandbox host {host} ended: {reason}", {
      host: host.id,
      reason: exit.reason,
      exit_code: exit.exitCode,
      stderr: exit.stderr,
    });
    this.#fill();
    this.#options.onCapacity();
  }

  /** A machine that cannot start hosts is not helped by trying faster. */
  #onFailedStart(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    logger.error("Cannot start sandbox host: {error}", { error: messageOf(error) });
    const delayMs = Math.min(MAX_RESTART_DELAY_MS, FIRST_RESTART_DELAY_MS * 2 ** this.#failures);
    this.#failures++;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#fill();
    }, delayMs);
  }
}
