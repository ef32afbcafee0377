/**
 * Keeps what strangers can cause from filling the log.
 * @module
 */

const DEFAULT_INTERVAL_MS = 10_000;

/** Lets one line through in an interval, and counts what it holds back. */
export class LogThrottle {
  readonly #intervalMs: number;
  readonly #now: () => number;
  #nextAt = -Infinity;
  #suppressed = 0;

  /** @param now a clock that is never set back, in milliseconds */
  constructor(intervalMs = DEFAULT_INTERVAL_MS, now: () => number = () => performance.now()) {
    this.#intervalMs = intervalMs;
    this.#now = now;
  }

  /** Calls `write` with the number of lines held back since it was last called, or holds this one back. */
  log(write: (suppressed: number) => void): void {
    const now = this.#now();
    if (now < this.#nextAt) {
      this.#suppressed++;
      return;
    }
    this.#nextAt = now + this.#intervalMs;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    write(suppressed);
  }
}
