/**
 * Rates and sums over time. Time is given to every call, in milliseconds of a clock that is never set back.
 * @module
 */

/** Parts that a window is cut into: what it forgets, it forgets in pieces of that size. */
const SLICES = 60;

/**
 * A token bucket (https://en.wikipedia.org/wiki/Token_bucket) that holds the tokens of one second, and one at least.
 */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #capacity: number;
  #tokens: number;
  #at: number;

  /** @param perSecond above 0 for a bucket that ever fills */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond;
    this.#capacity = Math.max(1, perSecond);
    this.#tokens = this.#capacity;
    this.#at = now;
  }

  /** Takes a token. @returns 0, or the time until there is one, in milliseconds */
  take(now: number): number {
    this.#fill(now);
    if (this.#tokens >= 1) {
      this.#tokens--;
      return 0;
    }
    return ((1 - this.#tokens) / this.#perSecond) * 1_000;
  }

  /** Whether it is as a new one would be. */
  isFull(now: number): boolean {
    this.#fill(now);
    return this.#tokens >= this.#capacity;
  }

  #fill(now: number): void {
    const earned = (Math.max(0, now - this.#at) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#capacity, this.#tokens + earned);
    this.#at = now;
  }
}

/** The sum of what was added within a window that ends now. Forgets to a sixtieth of the window, and never too soon. */
export class SlidingSum {
  readonly #windowMs: number;
  readonly #sliceMs: number;
  /** Slices that are not empty, the oldest first: each is forgotten a window after its end. */
  #slices: { readonly index: number; amount: number }[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
    this.#sliceMs = windowMs / SLICES;
  }

  /** Adds to the sum. */
  add(amount: number, now: number): void {
    if (!(amount > 0)) return;
    this.#forget(now);
    const index = Math.floor(now / this.#sliceMs);
    const last = this.#slices.at(-1);
    if (last?.index === index) last.amount += amount;
    else this.#slices.push({ index, amount });
  }

  /** The sum. */
  sum(now: number): number {
    this.#forget(now);
    return this.#slices.reduce((total, { amount }) => total + amount, 0);
  }

  /** Time until the sum is below a limit if nothing is added, in milliseconds; 0 when it is. */
  untilBelow(limit: number, now: number): number {
    let left = this.sum(now);
    if (left < limit) return 0;
    for (const { index, amount } of this.#slices) {
      left -= amount;
      if (left < limit) return this.#forgottenAt(index) - now;
    }
    return this.#windowMs;
  }

  #forget(now: number): void {
    while (this.#slices[0] !== undefined && this.#forgottenAt(this.#slices[0].index) <= now) this.#slices.shift();
  }

  #forgottenAt(index: number): number {
    return (index + 1) * this.#sliceMs + this.#windowMs;
  }
}
