/**
 * Runs front processes on one port and replaces them: those that crash, those that have grown, and all of them, one after
 * the other, for a new configuration or a new program.
 * @module
 */

import { messageOf } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { MEGABYTE } from "../units.ts";
import { settingsOfFront } from "./divide.ts";
import { FrontProcess } from "./front_process.ts";
import type { ListenSockets } from "./listen_sockets.ts";
import { MetricFamilies } from "./metric_families.ts";
import type { FrontInfo } from "./protocol.ts";
import { Slot } from "./slot.ts";
import { type ConfigSnapshot, settingsForLater, type SourceOptions, takeSnapshot } from "./sources.ts";
import { type ReplacementReason, SupervisorMetrics } from "./supervisor_metrics.ts";

const logger = serviceLogger("supervisor");

/** How often memory is looked at, in milliseconds. */
const MEMORY_CHECK_MS = 1_000;
/** What a front may take beyond what it began with, whatever its limit: replacing it could not free less. In bytes. */
const LEAST_GROWTH_BYTES = 64 * MEGABYTE;
/** What a front gets for its probe and its caches, besides the time that its sandboxes may take. */
const START_GRACE_MS = 60_000;

/** What a supervisor works with. */
export interface SupervisorOptions {
  readonly sockets: ListenSockets;
  readonly sources: SourceOptions;
  readonly snapshot: ConfigSnapshot;
}

/** Front processes on one port. */
export class Supervisor implements AsyncDisposable {
  readonly #sockets: ListenSockets;
  readonly #sources: SourceOptions;
  /** Path of the program, from before its file can have been replaced. */
  readonly #program = Deno.execPath();
  readonly #slots: readonly Slot[];
  readonly #own = new SupervisorMetrics(() => this.#counts());
  /** What fronts start with. */
  #snapshot: ConfigSnapshot;
  /** The last round of replacements; the next one waits for it, so that never more than one front is twice. */
  #round: Promise<void> = Promise.resolve();
  #memoryTimer: ReturnType<typeof setInterval> | undefined;
  #tooLarge = new Set<FrontProcess>();
  #stopping = false;

  private constructor({ sockets, sources, snapshot }: SupervisorOptions) {
    this.#sockets = sockets;
    this.#sources = sources;
    this.#snapshot = snapshot;
    this.#slots = sockets.handles.map((_, index) =>
      new Slot({
        front: index + 1,
        launch: () => this.#launch(index + 1),
        drainTimeoutMs: () => this.#snapshot.config.server.drainTimeoutMs,
        onLost: () => this.#lend(index),
        onRestored: () => this.#own.replaced("crashed"),
      })
    );
  }

  /**
   * Starts all fronts.
   * @throws {ServiceError} what the first one says that cannot serve; then none is left
   */
  static async start(options: SupervisorOptions): Promise<{ supervisor: Supervisor; first: FrontInfo }> {
    const supervisor = new Supervisor(options);
    try {
      const [first] = await Promise.all(supervisor.#slots.map((slot) => slot.replace()));
      if (first === undefined) throw new RangeError("Cannot supervise: there is no front");
      supervisor.#memoryTimer = setInterval(() => void supervisor.#checkMemory(), MEMORY_CHECK_MS);
      return { supervisor, first };
    } catch (error) {
      await supervisor.stop();
      throw error;
    }
  }

  /** Whether a front serves. */
  get isReady(): boolean {
    return !this.#stopping && this.#slots.some(({ serving }) => serving !== undefined);
  }

  /** Media type of {@linkcode render}'s text. */
  get contentType(): string {
    return this.#own.contentType;
  }

  /** Metrics of all fronts, each with its number as a label, and of the supervisor. */
  async render(): Promise<string> {
    const families = new MetricFamilies();
    await Promise.all(this.#slots.map((slot) => slot.collect(families)));
    return families.render() + await this.#own.render();
  }

  /** Reads the configuration again and replaces all fronts, unless it is at fault: then all goes on as it was. */
  async reload(): Promise<void> {
    await this.#inRound(async () => {
      let snapshot: ConfigSnapshot;
      try {
        snapshot = takeSnapshot(this.#sources);
      } catch (error) {
        logger.error("Configuration not read again, all goes on as before: {error}", { error: messageOf(error) });
        return;
      }
      const before = this.#snapshot;
      const later = settingsForLater(before.config, snapshot.config);
      if (later.length > 0) {
        logger.warn("Of the new configuration {settings} takes effect at the next start only", {
          settings: later.join(", "),
        });
      }
      // The number of fronts stays, and with it what each of them gets.
      const { processes } = before.config.server;
      this.#snapshot = {
        ...snapshot,
        config: { ...snapshot.config, server: { ...snapshot.config.server, processes } },
      };
      if (await this.#replaceAll("reload") === 0) this.#snapshot = before;
    });
  }

  /** Replaces all fronts by the program that is on disk now. */
  async upgrade(): Promise<void> {
    await this.#inRound(async () => void await this.#replaceAll("upgrade"));
  }

  /** Drains all fronts and ends them. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#memoryTimer);
    await Promise.all(this.#slots.map((slot) => slot.stop()));
    await this.#round;
  }

  /** Ends a drain that takes too long for somebody. */
  hurry(): void {
    for (const slot of this.#slots) slot.hurry();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #launch(front: number): FrontProcess {
    const { config, files } = this.#snapshot;
    const { configDir, overrides } = this.#sources;
    return FrontProcess.start({
      program: this.#program,
      sockets: this.#sockets.handles,
      startTimeoutMs: config.pool.startTimeoutMs + START_GRACE_MS,
      start: {
        front,
        configDir: configDir ?? null,
        files: { ...files },
        overrides: { ...overrides, ...settingsOfFront(config, front) },
      },
    });
  }

  /** Lets another front take the connections of one that is gone, until it is replaced itself. */
  #lend(socket: number): void {
    const count = this.#slots.length;
    for (let distance = 1; distance < count; distance++) {
      const { serving } = this.#slots[(socket + distance) % count]!;
      if (serving === undefined) continue;
      serving.listen(socket);
      return;
    }
  }

  async #inRound(work: () => Promise<void>): Promise<void> {
    const round = this.#round.then(async () => {
      if (!this.#stopping) await work();
    });
    this.#round = round;
    await round;
  }

  /** @returns how many were replaced; after the first that was not, none is tried */
  async #replaceAll(reason: ReplacementReason): Promise<number> {
    logger.info("Replacing all fronts: {reason}", { reason });
    let replaced = 0;
    for (const slot of this.#slots) {
      if (!await this.#replace(slot, reason)) return replaced;
      replaced++;
    }
    logger.info("All fronts replaced: {reason}", { reason });
    return replaced;
  }

  /** @returns whether it was; if not, the old one goes on */
  async #replace(slot: Slot, reason: ReplacementReason): Promise<boolean> {
    if (this.#stopping) return false;
    try {
      await slot.replace();
    } catch (error) {
      if (!this.#stopping) {
        logger.error("Front {front} not replaced, it goes on: {error}", {
          front: slot.front,
          reason,
          error: messageOf(error),
        });
      }
      return false;
    }
    this.#own.replaced(reason);
    return true;
  }

  async #checkMemory(): Promise<void> {
    const limit = this.#snapshot.config.server.maxProcessMemoryMb * MEGABYTE;
    if (limit === 0) return;
    for (const slot of this.#slots) {
      const front = slot.serving;
      if (front === undefined || this.#tooLarge.has(front)) continue;
      const bytes = await front.residentBytes();
      if (bytes === undefined || bytes <= Math.max(limit, (front.residentAtStart ?? 0) + LEAST_GROWTH_BYTES)) continue;
      this.#tooLarge.add(front);
      logger.warn("Front {front} is replaced: it has {residentMb} MB, server.maxProcessMemoryMb is {limitMb}", {
        front: slot.front,
        residentMb: Math.round(bytes / MEGABYTE),
        limitMb: limit / MEGABYTE,
      });
      void this.#inRound(async () => {
        // A round before may have replaced it already.
        if (slot.serving === front) await this.#replace(slot, "memory");
        this.#tooLarge.delete(front);
      });
    }
  }

  #counts(): Record<string, number> {
    const sum = { serving: 0, starting: 0, draining: 0 };
    for (const { counts } of this.#slots) {
      sum.serving += counts.serving;
      sum.starting += counts.starting;
      sum.draining += counts.draining;
    }
    return sum;
  }
}
