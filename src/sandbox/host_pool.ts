/**
 * The sandbox hosts of trusted nodes: kept warm, shared by tasks, replaced when they die.
 * @module
 */

import { pause } from "../async/pause.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { HostWatch } from "./host_watch.ts";
import { HostProcess, type NodeDescription } from "./host_process.ts";
import type { HostOptions } from "./launch.ts";
import { hostForStream, SHORT_STEP_MS } from "./stream_placement.ts";
import type { HostExit, HostTask, PlacedStream, TaskEnd } from "./task.ts";

const logger = serviceLogger("sandbox");

/** Tasks handed to one host ahead of need, so that a short task's answer and the next task cross no empty wire. */
const HOST_WINDOW = 16;
/** Work that may wait behind a host's running task, in milliseconds: more goes to another host. */
const BACKLOG_STEP_MS = 1;
/** A busy host that is expected to need this long takes no more: a task waits better where it can go to any host. */
const MAX_BACKLOG_MS = 20;
/** What a task is expected to take before one of its kind has been seen, in milliseconds. */
const UNKNOWN_ESTIMATE_MS = 20;
/** What a step of a stream is expected to take at least, and before one of its kind has been seen, in milliseconds. */
const LEAST_STEP_MS = 0.05;
const UNKNOWN_STEP_MS = 0.1;
/** Steps of a stream in a second, where nothing else is known: those of audio in frames of 20 ms. */
const STEPS_PER_SECOND = 50;
/** Weight of the newest run in the estimate of its kind. */
const ESTIMATE_WEIGHT = 0.2;
/** Kinds of tasks whose estimates are kept; names come from callers. */
const MAX_ESTIMATES = 1_000;
const FIRST_RESTART_DELAY_MS = 50;
const MAX_RESTART_DELAY_MS = 5_000;
/** A host that has lived this long did not fail while starting. */
const STABLE_AFTER_MS = 5_000;
/** Memory that an idle host may keep above its first reading before it is replaced. */
const RECYCLE_GROWTH_BYTES = 512 * 1024 * 1024;

/** What a pool needs. */
export interface HostPoolOptions extends Omit<HostOptions, "id"> {
  /** Hosts alive at once. */
  readonly maxWorkers: number;
  /** Called when a host can take more. */
  readonly onCapacity: () => void;
  /** Called when a host has ended, for metrics. */
  readonly onHostExit: (exit: HostExit) => void;
}

type Slot =
  | { readonly kind: "starting" }
  | { readonly kind: "serving"; readonly host: HostProcess; readonly firstRestingBytes: number }
  | { readonly kind: "backing off" };

/** How many hosts of a pool run a task, wait for one, and are being started. */
export type HostLoad = Readonly<Record<"busy" | "available" | "starting", number>>;

/** A running pool. Owned by whoever started it. */
export class HostPool implements AsyncDisposable {
  readonly #options: HostPoolOptions;
  readonly #slots: Slot[];
  readonly #starts = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #estimatesMs = new Map<string, number>();
  /** Backlog that each host is expected to work off, by its running and waiting tasks, in milliseconds. */
  readonly #backlogMs = new Map<HostProcess, number>();
  /** How many streams of each kind each host has. */
  readonly #streams = new Map<HostProcess, Map<string, number>>();
  #nextHost = 1;
  readonly #watch = new HostWatch(() => this.hosts);
  #restartDelayMs = FIRST_RESTART_DELAY_MS;

  private constructor(options: HostPoolOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.maxWorkers }, () => ({ kind: "starting" }));
  }

  /**
   * Starts a pool and waits until all of its hosts are ready.
   * @throws {ServiceError} `SANDBOX_LOST` when one cannot start
   */
  static async start(options: HostPoolOptions): Promise<HostPool> {
    const pool = new HostPool(options);
    try {
      await Promise.all(pool.#slots.map((_, index) => pool.#track(pool.#startHost(index))));
    } catch (error) {
      await pool[Symbol.asyncDispose]();
      throw error;
    }
    return pool;
  }

  /** Hosts that serve. */
  get hosts(): readonly HostProcess[] {
    return this.#slots.flatMap((slot) => slot.kind === "serving" ? [slot.host] : []);
  }

  /** The nodes that tasks may ask for. */
  get nodes(): readonly NodeDescription[] {
    return this.#nodes;
  }
  #nodes: readonly NodeDescription[] = [];

  /** Its hosts by what they do. */
  get load(): HostLoad {
    const serving = this.hosts.filter(({ isServing }) => isServing);
    const busy = serving.filter(({ taskCount }) => taskCount > 0).length;
    return { busy, available: serving.length - busy, starting: this.#slots.length - serving.length };
  }

  /** Tasks on all hosts. */
  get taskCount(): number {
    return this.hosts.reduce((sum, host) => sum + host.taskCount, 0);
  }

  /**
   * Gives the task to the host that is expected to come to it first.
   *
   * Short tasks share a host, since that is faster than waking another; one that would wait for more than a
   * millisecond goes to the next host, and to none when all have enough to do. What waits behind a task that turns out
   * to be long is returned, to be placed again. Tasks that are expected to be long go to hosts without streams.
   *
   * @param kind what tasks of about the same length have in common, the node's type say
   * @returns a function that gives the task up, or `undefined` when no host can take it now
   */
  tryRun(task: HostTask, kind: string): (() => void) | undefined {
    const now = performance.now();
    const estimateMs = this.#estimatesMs.get(kind) ?? UNKNOWN_ESTIMATE_MS;
    const host = this.#leastLoaded(now, estimateMs > SHORT_STEP_MS);
    if (host === undefined) return undefined;
    const account = this.#accountFor(host, kind, estimateMs);
    const abandon = host.run({
      message: task.message,
      limits: task.limits,
      onLog: task.onLog,
      onEnd: (end, sandboxId) => {
        account(end);
        task.onEnd(end, sandboxId);
        this.#recycleIfGrown(host);
        // What was returned frees nothing yet: its host is as busy as before.
        if (end.kind !== "returned" && host.isServing) this.#options.onCapacity();
      },
      onReleased: () => {
        if (host.isServing) this.#options.onCapacity();
      },
    }, now);
    this.#watch.wake();
    return abandon;
  }

  /**
   * Opens a stream on the host that {@linkcode hostForStream} gives: streams that share one share the cost of waking it.
   *
   * @param task opens the stream
   * @param kind what streams of about the same cost have in common, the node's type say
   * @returns a function that gives the task up, or `undefined` when no host can take it now
   */
  tryOpen(task: HostTask, kind: string): (() => void) | undefined {
    const { stream: sink } = task;
    if (sink === undefined) throw new TypeError("Cannot open stream: nobody hears of it");
    const stepKind = `stream:${kind}`;
    const hosts = this.#slots.map((slot) => slot.kind === "serving" && slot.host.isServing ? slot.host : undefined);
    const index = hostForStream(
      hosts.map((host) => host === undefined ? undefined : this.#streamingMs(host)),
      this.#estimatesMs.get(stepKind) ?? UNKNOWN_STEP_MS,
      navigator.hardwareConcurrency,
    );
    const host = index === undefined ? undefined : hosts[index];
    if (host === undefined) return undefined;
    this.#countStream(host, stepKind, 1);
    const abandon = host.run({
      ...task,
      stream: {
        ...sink,
        onOpened: (stream) => sink.onOpened(this.#accounted(stream, host, stepKind)),
      },
      onEnd: (end, sandboxId) => {
        if (end.kind !== "result" || end.result.outcome !== "OK") this.#countStream(host, stepKind, -1);
        task.onEnd(end, sandboxId);
        if (host.isServing) this.#options.onCapacity();
      },
    }, performance.now());
    this.#watch.wake();
    return abandon;
  }

  /** A stream whose steps are part of its host's backlog. */
  #accounted(stream: PlacedStream, host: HostProcess, kind: string): PlacedStream {
    return {
      sandboxId: stream.sandboxId,
      backgroundCpuMs: 0,
      run: (step) => {
        const account = this.#accountFor(host, kind, this.#estimatesMs.get(kind) ?? 0);
        const abandon = stream.run({
          ...step,
          onEnd: (end) => {
            account(end);
            step.onEnd(end);
            if (host.isServing) this.#options.onCapacity();
          },
        });
        this.#watch.wake();
        return abandon;
      },
      grant: (bytes) => stream.grant(bytes),
      close: async () => {
        const closed = stream.close();
        // Closing is a task as well, whose time may be up.
        this.#watch.wake();
        await closed;
        this.#countStream(host, kind, -1);
        this.#recycleIfGrown(host);
        if (host.isServing) this.#options.onCapacity();
      },
    };
  }

  #countStream(host: HostProcess, kind: string, change: 1 | -1): void {
    const counts = this.#streams.get(host);
    // Not there any more when the host is not.
    if (counts === undefined) return;
    const count = (counts.get(kind) ?? 0) + change;
    if (count > 0) counts.set(kind, count);
    else counts.delete(kind);
  }

  /** What the steps of a host's streams are expected to take together, in milliseconds of each second. */
  #streamingMs(host: HostProcess): number {
    let sumMs = 0;
    for (const [kind, count] of this.#streams.get(host) ?? []) {
      sumMs += count * STEPS_PER_SECOND * Math.max(LEAST_STEP_MS, this.#estimatesMs.get(kind) ?? UNKNOWN_STEP_MS);
    }
    return sumMs;
  }

  /** Adds a task to a host's backlog. @returns takes it off again, and learns from how it ended */
  #accountFor(host: HostProcess, kind: string, estimateMs: number): (end: TaskEnd) => void {
    this.#backlogMs.set(host, (this.#backlogMs.get(host) ?? 0) + estimateMs);
    return (end) => {
      this.#backlogMs.set(
        host,
        host.taskCount === 0 ? 0 : Math.max(0, (this.#backlogMs.get(host) ?? 0) - estimateMs),
      );
      // A failure ends early, and a kind that does not exist must not take the place of one that does.
      if (end.kind === "result" && end.result.outcome === "OK") this.#learn(kind, end.usage.wallMs);
    };
  }

  /** Ends every host at once; what runs on them is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ServiceError("DRAINING", "Cannot start sandbox host: the pool is closing"));
    this.#watch[Symbol.dispose]();
    const hosts = this.hosts;
    for (const host of hosts) host.kill("retired");
    await Promise.allSettled([...this.#starts, ...hosts.map(({ exited }) => exited)]);
  }

  /** @param isLong whether the task would hold up a host's streams */
  #leastLoaded(now: number, isLong: boolean): HostProcess | undefined {
    const mayHoldUp = this.#slots.length === 1;
    let best: HostProcess | undefined;
    let bestSteps = Infinity;
    for (const slot of this.#slots) {
      if (slot.kind !== "serving" || slot.host.taskCount >= HOST_WINDOW || !slot.host.isServing) continue;
      if (isLong && !mayHoldUp && slot.host.streamCount > 0) continue;
      // What a task has already taken is a better guess than its kind's average once it takes longer.
      const backlogMs = Math.max(this.#backlogMs.get(slot.host) ?? 0, slot.host.headRunMs(now));
      if (slot.host.taskCount > 0 && backlogMs >= MAX_BACKLOG_MS) continue;
      const steps = Math.floor(backlogMs / BACKLOG_STEP_MS);
      if (steps < bestSteps) {
        best = slot.host;
        bestSteps = steps;
        if (steps === 0) break;
      }
    }
    return best;
  }

  #learn(kind: string, runMs: number): void {
    const estimate = this.#estimatesMs.get(kind);
    if (estimate === undefined && this.#estimatesMs.size >= MAX_ESTIMATES) return;
    this.#estimatesMs.set(kind, estimate === undefined ? runMs : estimate + ESTIMATE_WEIGHT * (runMs - estimate));
  }

  /** Replaces an idle host that has kept much memory: the runtime gives it back late or never. */
  #recycleIfGrown(host: HostProcess): void {
    if (host.taskCount > 0 || host.streamCount > 0 || !host.isServing) return;
    const slot = this.#slots.find((slot) => slot.kind === "serving" && slot.host === host);
    if (slot?.kind !== "serving") return;
    if (host.restingBytes - slot.firstRestingBytes > RECYCLE_GROWTH_BYTES) host.kill("retired");
  }

  async #startHost(index: number): Promise<void> {
    const id = `node-${this.#nextHost++}`;
    const host = await HostProcess.start({ ...this.#options, id }, { signal: this.#closing.signal });
    if (this.#closing.signal.aborted) {
      // It became ready in the very moment in which the others were killed.
      await host[Symbol.asyncDispose]();
      throw this.#closing.signal.reason;
    }
    this.#nodes = host.nodes;
    this.#backlogMs.set(host, 0);
    this.#streams.set(host, new Map());
    const since = performance.now();
    this.#slots[index] = { kind: "serving", host, firstRestingBytes: host.restingBytes };
    logger.debug("Sandbox host {host} is ready", { host: id, pid: host.pid });
    void host.exited.then((exit) => this.#onExit(index, host, since, exit));
  }

  #onExit(index: number, host: HostProcess, since: number, exit: HostExit): void {
    this.#backlogMs.delete(host);
    this.#streams.delete(host);
    this.#slots[index] = { kind: "starting" };
    this.#options.onHostExit(exit);
    if (this.#closing.signal.aborted) return;
    const facts = { host: host.id, reason: exit.reason, exit_code: exit.exitCode, stderr: exit.stderr };
    if (exit.reason === "killed" || exit.reason === "retired") {
      logger.debug("Sandbox host {host} ended: {reason}", facts);
    } else logger.warn("Sandbox host {host} ended: {reason}", facts);
    // Killed and retired hosts are replaced at once; ones that crash young back off, lest they burn the machine.
    const healthy = exit.reason === "killed" || exit.reason === "retired" ||
      performance.now() - since > STABLE_AFTER_MS;
    this.#replace(index, healthy ? 0 : this.#restartDelayMs);
  }

  #replace(index: number, delayMs: number): void {
    void this.#track(this.#delayedStart(index, delayMs));
  }

  /** Remembers a start until it has ended, so that closing can wait for it. */
  #track(start: Promise<void>): Promise<void> {
    const tracked = start.finally(() => this.#starts.delete(tracked));
    this.#starts.add(tracked);
    return tracked;
  }

  async #delayedStart(index: number, delayMs: number): Promise<void> {
    let waitMs = delayMs;
    while (!this.#closing.signal.aborted) {
      if (waitMs > 0) {
        this.#slots[index] = { kind: "backing off" };
        await pause(waitMs, this.#closing.signal);
        this.#restartDelayMs = Math.min(MAX_RESTART_DELAY_MS, this.#restartDelayMs * 2);
      }
      if (this.#closing.signal.aborted) return;
      try {
        this.#slots[index] = { kind: "starting" };
        await this.#startHost(index);
        if (waitMs === 0) this.#restartDelayMs = FIRST_RESTART_DELAY_MS;
        this.#options.onCapacity();
        return;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        logger.error("Cannot replace sandbox host: {error}", { error: messageOf(error) });
        waitMs = this.#restartDelayMs;
      }
    }
  }
}
