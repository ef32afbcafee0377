/**
 * The place of one front: the process that serves there, the one that is to follow it, and those that drain.
 * @module
 */

import { pause } from "../async/pause.ts";
import { messageOf } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { FrontProcess } from "./front_process.ts";
import { MetricFamilies } from "./metric_families.ts";
import type { FrontInfo } from "./protocol.ts";

const logger = serviceLogger("supervisor");

/** A front that ends within this time of serving has crashed young: the next one waits. */
const YOUNG_MS = 5_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;
/** What a front gets beyond its own drain timeout to end its sandboxes. */
const END_GRACE_MS = 5_000;

/** What a slot needs of its supervisor. */
export interface SlotOptions {
  /** From 1 on. */
  readonly front: number;
  /** Starts a process with the settings that hold now. */
  readonly launch: () => FrontProcess;
  /** How long one may drain, in milliseconds. */
  readonly drainTimeoutMs: () => number;
  /** The front has ended by itself; until there is another nobody takes connections from its socket. */
  readonly onLost: () => void;
  /** Another serves instead of one that was lost. */
  readonly onRestored: () => void;
}

/** The place of one front. */
export class Slot {
  readonly #options: SlotOptions;
  readonly #stopped = new AbortController();
  readonly #draining = new Set<FrontProcess>();
  readonly #totals = new MetricFamilies();
  #serving: FrontProcess | undefined;
  #starting: FrontProcess | undefined;
  /** The last change, successful or not; the next one waits for it. */
  #change: Promise<unknown> = Promise.resolve();
  #pauseMs = 0;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get front(): number {
    return this.#options.front;
  }

  /** The front that serves, if one does. */
  get serving(): FrontProcess | undefined {
    return this.#serving;
  }

  /** Processes by state. */
  get counts(): { readonly serving: number; readonly starting: number; readonly draining: number } {
    return {
      serving: this.#serving === undefined ? 0 : 1,
      starting: this.#starting === undefined ? 0 : 1,
      draining: this.#draining.size,
    };
  }

  /**
   * Starts a front, and retires the one that served once it does.
   * @returns when the old one has ended
   * @throws {ServiceError} when the new one cannot serve; then the old one goes on
   */
  async replace(): Promise<FrontInfo> {
    const info = await this.#inTurn(() => this.#launch());
    await Promise.all([...this.#draining].map(({ ended }) => ended));
    return info;
  }

  /** Drains all that is here, or kills it when it takes too long. Nothing is started any more. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error("the service is stopping"));
    // One that has not served yet has nothing to drain.
    this.#starting?.kill();
    const all = this.#processes;
    for (const process of all) process.stop();
    await Promise.all(all.map((process) => this.#awaitEnd(process)));
    await this.#change;
  }

  /** Ends the drain of all that is here. */
  hurry(): void {
    for (const process of this.#processes) {
      process.stop();
      void this.#awaitEnd(process, 0);
    }
  }

  /** Adds what its processes count to `families`, those of former times included. */
  async collect(families: MetricFamilies): Promise<void> {
    const front = String(this.front);
    const [serving, ...draining] = await Promise.all([
      this.#serving?.report(),
      ...[...this.#draining].map((process) => process.report()),
    ]);
    if (serving !== undefined) families.add(serving.metrics, { front });
    for (const report of draining) {
      if (report !== undefined) families.add(report.metrics, { front, totalsOnly: true });
    }
    families.addAll(this.#totals);
  }

  get #processes(): FrontProcess[] {
    return [this.#serving, this.#starting, ...this.#draining].filter((process) => process !== undefined);
  }

  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#change.then(change);
    this.#change = turn.catch(() => {});
    return await turn;
  }

  async #launch(): Promise<FrontInfo> {
    this.#stopped.signal.throwIfAborted();
    const process = this.#options.launch();
    this.#starting = process;
    const { front } = this;
    try {
      const info = await process.ready;
      const before = this.#serving;
      this.#serving = process;
      logger.info("Front {front} serves", { front, pid: process.pid });
      void process.ended.then(({ how }) => this.#onEnded(process, how));
      if (before !== undefined) this.#retire(before);
      return info;
    } catch (error) {
      process.kill();
      throw error;
    } finally {
      this.#starting = undefined;
    }
  }

  #retire(process: FrontProcess): void {
    this.#draining.add(process);
    process.retire();
    void this.#awaitEnd(process).then(() => {
      this.#draining.delete(process);
      const { lastMetrics } = process;
      if (lastMetrics !== undefined) this.#totals.add(lastMetrics, { front: String(this.front), totalsOnly: true });
    });
  }

  async #awaitEnd(process: FrontProcess, drainTimeoutMs = this.#options.drainTimeoutMs()): Promise<void> {
    const timer = setTimeout(() => {
      logger.error("Front {front} killed: it did not end", { front: this.front, pid: process.pid });
      process.kill();
    }, drainTimeoutMs + END_GRACE_MS);
    await process.ended;
    clearTimeout(timer);
  }

  #onEnded(process: FrontProcess, how: string): void {
    if (this.#serving !== process) return;
    this.#serving = undefined;
    if (this.#stopped.signal.aborted) return;
    logger.error("Front {front} ended with {how} and is started again", { front: this.front, how, pid: process.pid });
    this.#pauseMs = process.servedMs < YOUNG_MS ? this.#nextPauseMs : 0;
    this.#options.onLost();
    void this.#inTurn(() => this.#restore());
  }

  async #restore(): Promise<void> {
    const { signal } = this.#stopped;
    while (this.#serving === undefined && !signal.aborted) {
      try {
        if (this.#pauseMs > 0) await pause(this.#pauseMs, signal);
        await this.#launch();
        this.#options.onRestored();
      } catch (error) {
        this.#pauseMs = this.#nextPauseMs;
        if (signal.aborted) return;
        logger.error("Cannot start front {front} again: {error}; the next attempt is in {pauseMs} ms", {
          front: this.front,
          error: messageOf(error),
          pauseMs: this.#pauseMs,
        });
      }
    }
  }

  get #nextPauseMs(): number {
    return Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2));
  }
}
