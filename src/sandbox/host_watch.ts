/**
 * Enforces the limits of running tasks from outside.
 * @module
 */

import type { HostProcess } from "./host_process.ts";

/** How often limits are enforced, in milliseconds. */
const WATCH_INTERVAL_MS = 20;
/** How long a task that was given up may take to notice before its host is killed, in milliseconds. */
const CANCEL_GRACE_MS = 100;

/** Watches hosts while any of them has a task, or user code that stays between its tasks. */
export class HostWatch implements Disposable {
  readonly #hosts: () => Iterable<HostProcess>;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param hosts gives those that may have tasks */
  constructor(hosts: () => Iterable<HostProcess>) {
    this.#hosts = hosts;
  }

  /** A task has been started. */
  wake(): void {
    this.#timer ??= setInterval(() => this.#enforce(), WATCH_INTERVAL_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #enforce(): void {
    const nowMs = performance.now();
    let busy = false;
    for (const host of this.#hosts()) {
      host.enforceLimits(nowMs, CANCEL_GRACE_MS);
      busy ||= host.needsWatch;
    }
    if (!busy) this[Symbol.dispose]();
  }
}
