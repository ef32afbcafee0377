/**
 * Choices that depend on a seed alone.
 * @module
 */

import { seededRandom } from "../support/random.ts";

/** 2^32 divided by the golden ratio: multiples of it spread over all 32 bits (Knuth, TAOCP 6.4). */
const GOLDEN = 0x9e3779b9;

/** A stream of choices. Each iteration has its own, so that it can be repeated without those before it. */
export class Random {
  readonly #next: () => number;

  /** @param iteration which of the seed's streams */
  constructor(seed: number, iteration = 0) {
    this.#next = seededRandom(Math.imul(seed, GOLDEN) ^ Math.imul(iteration + 1, 0x85ebca6b));
    this.#next();
  }

  /** A whole number from 0 to below `limit`; 0 where the limit is 0. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** Small numbers often, large ones up to `limit` seldom. */
  skewed(limit: number): number {
    return Math.floor(this.#next() ** 4 * limit);
  }

  /** `true` with this probability. */
  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** One of them. @throws {RangeError} where there is none */
  pick<T>(items: ArrayLike<T>): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("Cannot pick: there is nothing");
    return item;
  }

  /** Any bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
