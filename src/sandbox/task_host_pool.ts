/**
 * Sandbox hosts for user code: each runs one task and is then destroyed, or, where the policy says so, kept for the same
 * caller and code. Some are started ahead of need, so that a task finds one ready.
 * @module
 */

import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { type Grants, grantsNothing, NO_GRANTS } from "./grants.ts";
import type { HostLoad } from "./host_pool.ts";
import { HostProcess } from "./host_process.ts";
import { HostWatch } from "./host_watch.ts";
import { KeptHosts } from "./kept_hosts.ts";
import type { HostOptions } from "./launch.ts";
import type { HostExit, HostTask, StreamSink, TaskEnd } from "./task.ts";

const logger = serviceLogger("sandbox");

const FIRST_RESTART_DELAY_MS = 50;
const MAX_RESTART_DELAY_MS = 5_000;
/** How long hosts that were started for tasks which were given up meanwhile may wait for others, in milliseconds. */
const SURPLUS_IDLE_MS = 5_000;

/**
 * How long after a task has taken a ready host the next one is started, in milliseconds, where nobody waits and the task
 * still runs: a start keeps this process and a core busy, which most tasks then no longer need.
 */
const REFILL_DELAY_MS = 60;
/** How long a host outlives its task, in milliseconds: its end keeps a core busy, too, and the answer goes first. */
const ANSWER_FIRST_MS = 5;

/** What a pool needs. */
export interface TaskHostPoolOptions extends Omit<HostOptions, "id" | "role" | "grants"> {
  /** What its hosts are called, before a number; `task` by default. */
  readonly idPrefix?: string;
  /** Hosts alive at once, ready ones included. */
  readonly maxHosts: number;
  /** Hosts that wait for a task. */
  readonly readyHosts: number;
  /** Hosts that stay when more are ready than that, since one at least has proved itself; 1 by default. */
  readonly leastHosts?: number;
  /** Where several pools have their hosts from one allowance. */
  readonly sharing?: HostSharing;
  /** How long a host may be kept for its caller without a task, in milliseconds. */
  readonly keptIdleMs: number;
  /** Tasks that wait for a host. */
  readonly queueLength: () => number;
  /** Called when a host has become ready. */
  readonly onCapacity: () => void;
  /** Called when a host has ended, for metrics. */
  readonly onHostExit: (exit: HostExit) => void;
}

/** The allowance that several pools have their hosts from. */
export interface HostSharing {
  /** Whether all pools together may have another host. */
  hasRoom(): boolean;
  /** Has another pool end a host that only waits. @returns whether one did */
  takeRoom(): boolean;
  /** Called when a host has ended, instead of starting another one in its place. */
  onRoom(): void;
}

/** Which host a task may have. */
export interface TaskHostNeed {
  readonly grants: Grants;
  /** What tasks that may share a host one after the other have in common; `null` for a host of its own. */
  readonly reuseKey: string | null;
}

/** A running pool. Owned by whoever started it. */
export class TaskHostPool implements AsyncDisposable {
  readonly #options: TaskHostPoolOptions;
  readonly #ready: HostProcess[] = [];
  readonly #running = new Set<HostProcess>();
  readonly #kept: KeptHosts;
  readonly #ending = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  readonly #watch = new HostWatch(() => this.#running);
  #readyHosts: number;
  /** Hosts without grants that are being started, and hosts with those of one task. */
  #starting = 0;
  #startingGranted = 0;
  #nextHost = 1;
  #failures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #surplus: ReturnType<typeof setTimeout> | undefined;
  #refill: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: TaskHostPoolOptions) {
    this.#options = options;
    this.#readyHosts = options.readyHosts;
    this.#kept = new KeptHosts({
      idleMs: options.keptIdleMs,
      renewTimeoutMs: options.startTimeoutMs,
      onRenewed: options.onCapacity,
    });
  }

  /**
   * Starts a pool and waits until its ready hosts are, and at least one.
   * @param signal ends what has been started
   * @throws {ServiceError} `SANDBOX_LOST` when one cannot start
   */
  static async start(options: TaskHostPoolOptions, signal?: AbortSignal): Promise<TaskHostPool> {
    const pool = new TaskHostPool(options);
    const end = () => void pool[Symbol.asyncDispose]();
    signal?.addEventListener("abort", end, { once: true });
    try {
      signal?.throwIfAborted();
      // One at least: it shows that such hosts start here, and proves that they keep their task in.
      const count = Math.max(1, Math.min(options.readyHosts, options.maxHosts));
      await Promise.all(Array.from({ length: count }, () => pool.#startReady()));
    } catch (error) {
      await pool[Symbol.asyncDispose]();
      throw error;
    } finally {
      signal?.removeEventListener("abort", end);
    }
    return pool;
  }

  /** All hosts. */
  get hosts(): readonly HostProcess[] {
    return [...this.#running, ...this.#ready, ...this.#kept.hosts];
  }

  /** Its hosts by what they do; those that are kept wait for a task of their caller's. */
  get load(): HostLoad & { readonly kept: number } {
    return {
      busy: this.#running.size,
      available: this.#ready.length,
      kept: this.#kept.renewed,
      starting: this.#starting + this.#startingGranted + this.#kept.size - this.#kept.renewed,
    };
  }

  /** Hosts alive, those that are being started included. */
  get alive(): number {
    return this.#ready.length + this.#running.size + this.#kept.size + this.#starting + this.#startingGranted;
  }

  /** Sets how many hosts wait for a task: more are started, or those beyond are ended. */
  keepReady(count: number): void {
    const isFewer = count < this.#readyHosts;
    this.#readyHosts = count;
    if (isFewer) this.#endSurplus();
    else this.#fill();
  }

  /** Starts hosts that are wanted: there may be room for them now. */
  refill(): void {
    clearTimeout(this.#refill);
    this.#refill = undefined;
    this.#fill();
  }

  /** Ends a host that only waits, for another pool to have its place. @returns whether there was one to spare */
  yieldIdle(): boolean {
    if (this.#options.queueLength() > 0) return false;
    const idle = this.#kept.takeOldest() ?? this.#takeReady();
    idle?.kill("retired");
    return idle !== undefined;
  }

  /**
   * Gives the task a host of its own, or one that was kept for its like.
   *
   * @returns a function that gives the task up, or `undefined` when there is no host for it now; one is then started if
   * there may be another, and `onCapacity` tells when it is
   */
  tryRun(task: HostTask, need: TaskHostNeed): (() => void) | undefined {
    const kept = need.reuseKey === null ? undefined : this.#kept.take(need.reuseKey);
    if (kept === undefined && !grantsNothing(need.grants)) return this.#runGranted(task, need);
    const host = kept ?? this.#takeReady();
    if (host === undefined) {
      this.#fill(1);
      return undefined;
    }
    const abandon = this.#runOn(host, task, need);
    if (this.#options.queueLength() > 0) this.#fill();
    else this.#refill ??= setTimeout(() => this.refill(), REFILL_DELAY_MS);
    return abandon;
  }

  /** Ends every host at once; what runs on them is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ServiceError("DRAINING", "Cannot start sandbox host: the pool is closing"));
    clearTimeout(this.#retry);
    clearTimeout(this.#surplus);
    clearTimeout(this.#refill);
    this.#watch[Symbol.dispose]();
    for (const host of this.hosts) host.kill("retired");
    await this.#kept[Symbol.asyncDispose]();
    while (this.#ending.size > 0) await Promise.allSettled(this.#ending);
  }

  #takeReady(): HostProcess | undefined {
    let host = this.#ready.shift();
    while (host !== undefined && !host.isServing) host = this.#ready.shift();
    return host;
  }

  /** Whether there may be another host; one that only waits is ended for it. */
  #makeRoom({ ready }: { readonly ready: boolean }): boolean {
    if (this.#hasRoom()) return true;
    const idle = this.#kept.takeOldest() ?? (ready ? this.#takeReady() : undefined);
    idle?.kill("retired");
    return idle !== undefined || this.alive < this.#options.maxHosts && (this.#options.sharing?.takeRoom() ?? false);
  }

  #hasRoom(): boolean {
    const { maxHosts, sharing } = this.#options;
    return this.alive < maxHosts && (sharing?.hasRoom() ?? true);
  }

  #runOn(host: HostProcess, task: HostTask, { reuseKey }: TaskHostNeed): () => void {
    this.#running.add(host);
    const abandon = host.run({
      ...task,
      ...(task.stream === undefined ? {} : { stream: this.#owned(task.stream, host) }),
      onEnd: (end, sandboxId) => {
        const opened = task.stream !== undefined && end.kind === "result" && end.result.outcome === "OK";
        if (opened) {
          // It is the stream's until that is closed.
        } else if (reuseKey !== null && mayBeKept(end) && host.isServing && !this.#closing.signal.aborted) {
          this.#running.delete(host);
          this.#kept.keep(reuseKey, host);
        } else {
          // Whatever it has left behind goes with it.
          this.#retire(host, end);
        }
        task.onEnd(end, sandboxId);
      },
    }, performance.now());
    this.#watch.wake();
    return abandon;
  }

  #retire(host: HostProcess, end: TaskEnd): void {
    if (end.kind !== "result" || this.#options.queueLength() > 0) return host.kill("retired");
    const timer = setTimeout(() => host.kill("retired"), ANSWER_FIRST_MS);
    void host.exited.then(() => clearTimeout(timer));
  }

  /** A stream of user code has its host to itself, and the host ends with it. */
  #owned(sink: StreamSink, host: HostProcess): StreamSink {
    return {
      ...sink,
      onOpened: (stream) =>
        sink.onOpened({
          sandboxId: stream.sandboxId,
          get backgroundCpuMs() {
            return stream.backgroundCpuMs;
          },
          run: (step) => {
            this.#watch.wake();
            return stream.run(step);
          },
          grant: (bytes) => stream.grant(bytes),
          close: async () => {
            await stream.close();
            host.kill("retired");
          },
        }),
      onLost: (end) => {
        host.kill("retired");
        sink.onLost(end);
      },
    };
  }

  /** Rights are given at the start, so that a task that has some gets a host that is started for it. */
  #runGranted(task: HostTask, need: TaskHostNeed): (() => void) | undefined {
    if (this.#closing.signal.aborted || !this.#makeRoom({ ready: true })) return undefined;
    const given = new AbortController();
    let abandon = () => given.abort(new ServiceError("CANCELLED", "Cannot start sandbox host: its task was given up"));
    const run = async () => {
      this.#startingGranted++;
      let host: HostProcess;
      try {
        host = await this.#startHost(need.grants, AbortSignal.any([this.#closing.signal, given.signal]));
        this.#startingGranted--;
      } catch (error) {
        // Before the task hears of it: it may ask for this very place again.
        this.#startingGranted--;
        if (!given.signal.aborted) {
          logger.error("Cannot start sandbox host: {error}", { error: messageOf(error) });
          const exit = { reason: "crashed", exitCode: -1, stderr: "" } as const;
          task.onEnd({ kind: "lost", started: false, exit, usage: undefined, denials: [] }, "");
        }
        // There is no exit that would tell of the place that is free.
        this.#fill();
        return this.#options.onCapacity();
      }
      if (given.signal.aborted || this.#closing.signal.aborted) return host.kill("retired");
      abandon = this.#runOn(host, task, need);
    };
    this.#track(run());
    return () => abandon();
  }

  /**
   * Starts as many hosts as are wanted and allowed.
   * @param asking tasks that want one and do not wait yet
   */
  #fill(asking = 0): void {
    if (this.#closing.signal.aborted || this.#retry !== undefined) return;
    const needed = this.#options.queueLength() + asking;
    const wanted = this.#readyHosts + needed;
    const coming = () => this.#ready.length + this.#starting;
    // Kept hosts give way to tasks that wait, not to hosts that would.
    while (coming() < wanted && (this.#hasRoom() || coming() < needed && this.#makeRoom({ ready: false }))) {
      this.#track(this.#startReady().catch((error) => this.#onFailedStart(error)));
    }
  }

  async #startReady(): Promise<void> {
    this.#starting++;
    let host: HostProcess;
    try {
      host = await this.#startHost(NO_GRANTS, this.#closing.signal);
    } finally {
      this.#starting--;
    }
    if (this.#closing.signal.aborted) return host.kill("retired");
    this.#failures = 0;
    this.#ready.push(host);
    this.#options.onCapacity();
    if (!this.#ready.includes(host)) return;
    host.warmUp();
    if (this.#ready.length > this.#readyHosts) {
      this.#surplus ??= setTimeout(() => this.#endSurplus(), SURPLUS_IDLE_MS);
    }
  }

  /** Ends ready hosts that nobody has wanted for a while. */
  #endSurplus(): void {
    this.#surplus = undefined;
    const { leastHosts = 1, queueLength } = this.#options;
    const wanted = Math.max(leastHosts, this.#readyHosts, queueLength());
    for (const host of this.#ready.splice(wanted)) host.kill("retired");
  }

  async #startHost(grants: Grants, signal: AbortSignal): Promise<HostProcess> {
    const id = `${this.#options.idPrefix ?? "task"}-${this.#nextHost++}`;
    const host = await HostProcess.start({ ...this.#options, role: "task", grants, id }, { signal });
    this.#track(host.exited.then((exit) => this.#onExit(host, exit)));
    return host;
  }

  /** Remembers work until it has ended, so that closing can wait for it. */
  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#ending.delete(tracked));
    this.#ending.add(tracked);
  }

  #onExit(host: HostProcess, exit: HostExit): void {
    this.#running.delete(host);
    this.#kept.forget(host);
    const index = this.#ready.indexOf(host);
    if (index >= 0) this.#ready.splice(index, 1);
    this.#options.onHostExit(exit);
    logger.debug("Sandbox host {host} ended: {reason}", {
      host: host.id,
      reason: exit.reason,
      exit_code: exit.exitCode,
      stderr: exit.stderr,
    });
    if (this.#options.sharing === undefined) this.#fill();
    else this.#options.sharing.onRoom();
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

/** A task that ended in order, and never was seen to try what it may not, leaves a host that another may have. */
function mayBeKept(end: TaskEnd): boolean {
  if (end.kind !== "result" || end.denials.length > 0) return false;
  return end.result.outcome === "OK" || end.result.outcome === "TASK_FAILED";
}
