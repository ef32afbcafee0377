/**
 * Kills sandbox hosts of a server that runs.
 * @module
 */

import { descendantsOf, until } from "../support/processes.ts";
import type { TestServer } from "../support/server.ts";

/** A victim that is gone for so long without a crash had ended by itself just then, in milliseconds. */
const UNNOTICED_MS = 1_000;

/** Moments of `performance.now()`. */
interface Kill {
  readonly at: number;
  /** When the server had noticed; `Infinity` until then. */
  noticedAt: number;
}

/** Kills one after the other, and remembers when. */
export class HostKiller {
  readonly #server: Pick<TestServer, "pid" | "metrics">;
  readonly #random: () => number;
  readonly #kills: Kill[] = [];
  #last: Promise<void> = Promise.resolve();

  /** @param random from 0 to below 1, chooses the victims */
  constructor(server: Pick<TestServer, "pid" | "metrics">, random: () => number) {
    this.#server = server;
    this.#random = random;
  }

  /** Kills so far. */
  get count(): number {
    return this.#kills.length;
  }

  /** By `performance.now()`; minus infinity before the first. */
  get lastKillAt(): number {
    return this.#kills.at(-1)?.at ?? -Infinity;
  }

  /**
   * Whether one died between two moments of `performance.now()`: from its kill, which takes its time to reach what is
   * within a jail, until the server has noticed.
   */
  killedBetween(from: number, to: number): boolean {
    return this.#kills.some(({ at, noticedAt }) => at <= to && noticedAt >= from);
  }

  /** Kills a host when all serve, and waits until the server has noticed. */
  async kill(): Promise<void> {
    const kill = this.#last.then(() => this.#kill());
    this.#last = kill.catch(() => {});
    await kill;
  }

  async #kill(): Promise<void> {
    let crashes = 0;
    await until("all hosts serve", async () => {
      const text = await this.#server.metrics();
      crashes = crashesOf(text);
      return /^rexec_hosts\{state="starting"\} 0$/m.test(text) &&
        /^rexec_hosts\{state="task_starting"\} 0$/m.test(text);
    });
    const processes = descendantsOf(this.#server.pid);
    const victim = processes[Math.floor(this.#random() * processes.length)];
    if (victim === undefined) throw new Error("Cannot kill a host: there is none");
    // Before the kill, so that nothing can end by it earlier than it.
    const kill: Kill = { at: performance.now(), noticedAt: Infinity };
    this.#kills.push(kill);
    try {
      Deno.kill(victim, "SIGKILL");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      kill.noticedAt = kill.at;
      return; // It has ended by itself, as hosts of user code do.
    }
    let goneAt = Infinity;
    await until("the victim has been noticed", async () => {
      if (crashesOf(await this.#server.metrics()) > crashes) return true;
      if (!descendantsOf(this.#server.pid).includes(victim)) goneAt = Math.min(goneAt, performance.now());
      return performance.now() - goneAt > UNNOTICED_MS;
    });
    kill.noticedAt = performance.now();
  }
}

/** Hosts that ended as a kill from outside ends them; those of user code end all the time, in order. */
function crashesOf(metrics: string): number {
  return Number(/^rexec_host_restarts_total\{reason="crashed"\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
}
