/**
 * A mixed soak: clients of every kind for a while, and hosts that are killed at random beneath them.
 * @module
 */

import { messageOf } from "../../src/errors.ts";
import { processTree, proportionalBytes } from "../../benchmarks/usage.ts";
import { HostKiller } from "../streams/host_killer.ts";
import { TestClient } from "../support/client.ts";
import { seededRandom } from "../support/random.ts";
import type { TestServer } from "../support/server.ts";
import { ACTIVITIES, type Activity, type SoakStage } from "./activities.ts";

/** What a soak is like. */
export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Between kills, at the mean. */
  readonly killEveryMs: number;
  /** Kills that there must be: the soak goes on until then. */
  readonly minKills: number;
  /** The memory that the end is compared with is taken then. */
  readonly firstMemorySeconds: number;
  /** Ends it early. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((report: SoakReport) => void) | undefined;
  /** Something failed that no kill touched. @param sinceKillMs from the last kill, `Infinity` before the first */
  readonly onFailure?: ((failure: string, sinceKillMs: number) => void) | undefined;
}

/** How often an activity came to what. */
export interface ActivityCounts {
  done: number;
  /** Ended by a kill. */
  touched: number;
  failed: number;
}

/** Memory of the server, in bytes, pages that processes share divided among them. */
export interface SoakMemory {
  readonly front: number;
  readonly all: number;
}

/** What came of a soak, so far. */
export interface SoakReport {
  readonly activities: ReadonlyMap<string, ActivityCounts>;
  /** What was wrong, and how often, of what no kill touched. */
  readonly failures: ReadonlyMap<string, number>;
  readonly kills: number;
  readonly seconds: number;
  readonly memoryAtFirst: SoakMemory | undefined;
  readonly memory: SoakMemory;
}

const PROGRESS_INTERVAL_MS = 10_000;
const LOOK_INTERVAL_MS = 100;
/** Before somebody who failed tries again: a service that is gone is not asked a million times. */
const FAILURE_PAUSE_MS = 100;
const FAILURE_LENGTH = 300;
/** What the service says where a sandbox is gone, and gRPC where a process is. */
const LOST = /sandbox|session not found|UNAVAILABLE/i;

/** Soaks a server. @returns what came of it; failures do not throw */
export async function soak(server: TestServer, options: SoakOptions): Promise<SoakReport> {
  const run = new SoakRun(server, options);
  return await run.finished();
}

class SoakRun {
  readonly #server: TestServer;
  readonly #options: SoakOptions;
  readonly #random: () => number;
  readonly #killer: HostKiller;
  readonly #startedAt = performance.now();
  readonly #stop = new AbortController();
  readonly #activities = new Map<string, ActivityCounts>();
  readonly #failures = new Map<string, number>();
  #memoryAtFirst: SoakMemory | undefined;

  constructor(server: TestServer, options: SoakOptions) {
    this.#server = server;
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#killer = new HostKiller(server, this.#random);
  }

  async finished(): Promise<SoakReport> {
    using client = new TestClient(this.#server.address);
    const stage: SoakStage = {
      client,
      port: this.#server.ready.port,
      random: this.#random,
      stop: this.#stop.signal,
    };
    const activities = Object.entries(ACTIVITIES).flatMap(([name, activity]) => {
      this.#activities.set(name, { done: 0, touched: 0, failed: 0 });
      return Array.from({ length: activity.atOnce }, () => this.#repeat(name, activity, stage));
    });
    await Promise.all([this.#killAgainAndAgain(), this.#watch()]);
    this.#stop.abort();
    await Promise.all(activities);
    return this.#report();
  }

  async #repeat(name: string, activity: Activity, stage: SoakStage): Promise<void> {
    const counts = this.#activities.get(name)!;
    while (!this.#stop.signal.aborted) {
      const startedAt = performance.now();
      try {
        await activity.run(stage);
        counts.done++;
      } catch (error) {
        const message = messageOf(error);
        const now = performance.now();
        // By what the service says and a kill while it lasted; how soon it is told is the machine's business too.
        if (LOST.test(message) && this.#killer.killedBetween(startedAt, now)) {
          counts.touched++;
        } else {
          counts.failed++;
          const failure = `${name}: ${message.slice(0, FAILURE_LENGTH)}`;
          this.#failures.set(failure, (this.#failures.get(failure) ?? 0) + 1);
          this.#options.onFailure?.(failure, now - this.#killer.lastKillAt);
          await pause(FAILURE_PAUSE_MS);
        }
      }
    }
  }

  get #isOver(): boolean {
    if (this.#options.signal?.aborted) return true;
    return this.#elapsedSeconds >= this.#options.seconds && this.#killer.count >= this.#options.minKills;
  }

  get #elapsedSeconds(): number {
    return (performance.now() - this.#startedAt) / 1_000;
  }

  async #killAgainAndAgain(): Promise<void> {
    while (!this.#isOver) {
      const pauseMs = this.#options.killEveryMs * 2 * this.#random();
      const left = this.#options.seconds * 1_000 - (performance.now() - this.#startedAt);
      const untilKillMs = this.#killer.count < this.#options.minKills ? pauseMs : Math.min(pauseMs, left);
      for (const at = performance.now() + untilKillMs; performance.now() < at && !this.#options.signal?.aborted;) {
        await pause(Math.min(LOOK_INTERVAL_MS, at - performance.now()));
      }
      if (!this.#isOver) await this.#killer.kill();
    }
  }

  async #watch(): Promise<void> {
    let nextProgressAt = this.#startedAt + PROGRESS_INTERVAL_MS;
    while (!this.#isOver) {
      await pause(LOOK_INTERVAL_MS);
      if (this.#elapsedSeconds >= this.#options.firstMemorySeconds) this.#memoryAtFirst ??= this.#memory();
      if (performance.now() < nextProgressAt) continue;
      nextProgressAt += PROGRESS_INTERVAL_MS;
      this.#options.onProgress?.(this.#report());
    }
  }

  #report(): SoakReport {
    return {
      activities: this.#activities,
      failures: this.#failures,
      kills: this.#killer.count,
      seconds: this.#elapsedSeconds,
      memoryAtFirst: this.#memoryAtFirst,
      memory: this.#memory(),
    };
  }

  #memory(): SoakMemory {
    const all = processTree(this.#server.pid).map(bytesOrNone);
    return { front: all[0] ?? 0, all: all.reduce((sum, bytes) => sum + bytes, 0) };
  }
}

/** Of a process that may have ended meanwhile. */
function bytesOrNone(pid: number): number {
  try {
    return proportionalBytes(pid) || 0;
  } catch {
    return 0;
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
