/**
 * Durations counted in buckets, so that hours of them take the memory of seconds and those of several processes can be
 * added up.
 * @module
 */

/** Each bucket is so much wider than the last: what is read back is right to half of that. */
const GROWTH = 1.01;
const LOG_GROWTH = Math.log(GROWTH);
/** Where the first bucket ends, in milliseconds. */
const FIRST_MS = 0.01;

/** Counts by bucket, as one process tells another. */
export type HistogramRecord = Readonly<
  { counts: readonly (readonly [bucket: number, count: number])[]; maxMs: number }
>;

/** Durations in milliseconds. */
export class Histogram {
  readonly #counts = new Map<number, number>();
  #count = 0;
  #maxMs = 0;

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** The longest, exactly; 0 when there is none. */
  get maxMs(): number {
    return this.#maxMs;
  }

  add(ms: number): void {
    const bucket = ms <= FIRST_MS ? 0 : Math.ceil(Math.log(ms / FIRST_MS) / LOG_GROWTH);
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
    this.#count++;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  /** Adds what another process counted. */
  addAll({ counts, maxMs }: HistogramRecord): void {
    for (const [bucket, count] of counts) {
      this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count);
      this.#count += count;
    }
    this.#maxMs = Math.max(this.#maxMs, maxMs);
  }

  /** What so many percent do not exceed, to half a percent; `NaN` when there is none. */
  percentile(percent: number): number {
    let left = Math.ceil(this.#count * percent / 100);
    for (const [bucket, count] of [...this.#counts].toSorted(([a], [b]) => a - b)) {
      left -= count;
      if (left <= 0) return Math.min(this.#maxMs, FIRST_MS * GROWTH ** (bucket - 0.5));
    }
    return NaN;
  }

  toRecord(): HistogramRecord {
    return { counts: [...this.#counts], maxMs: this.#maxMs };
  }
}
