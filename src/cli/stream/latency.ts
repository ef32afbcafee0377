/**
 * How long outputs take.
 * @module
 */

/** Width of a histogram's bucket: each begins so much above the one before, which is as far as percentiles are off. */
const BUCKET_FACTOR = 1.01;
const SMALLEST_MS = 0.01;

/** Inputs that may be without an output before nothing more is to be learnt. */
const MAX_WAITING = 65_536;

/** Tolerance when moments of sound are compared, in seconds: less than a sample, more than what sums of fractions err. */
const EPSILON_SECONDS = 1e-6;

/** Latencies in milliseconds. */
export interface LatencySummary {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

interface Sent {
  /** Where the input ends, in seconds of sound. */
  readonly end: number;
  readonly atMs: number;
}

/**
 * Tells which input an output answers: of sound, the one that has the moment with which the output ends; of anything else,
 * the one of the same number. Where outputs have left something out this does not hold, and there is no summary.
 */
export class LatencyMeter {
  readonly #waiting: Sent[] = [];
  readonly #histogram = new Map<number, number>();
  #measured = 0;
  #maxMs = 0;
  #sentSeconds = 0;
  #inputs = 0;
  #soundSeconds = 0;
  #sounds = 0;
  #others = 0;
  #lost = false;

  /** Notes that an input has gone out. */
  sent(end: number, atMs: number): void {
    this.#sentSeconds = end;
    this.#inputs++;
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push({ end, atMs });
    else this.#lost = true;
  }

  /** Notes an output, with its length where it is sound. */
  received(seconds: number | undefined, atMs: number): void {
    if (seconds === undefined) {
      this.#others++;
      const input = this.#waiting.shift();
      if (input !== undefined) this.#measure(atMs - input.atMs);
      return;
    }
    this.#sounds++;
    this.#soundSeconds += seconds;
    const index = this.#waiting.findIndex(({ end }) => end >= this.#soundSeconds - EPSILON_SECONDS);
    if (index < 0) return;
    this.#measure(atMs - this.#waiting[index]!.atMs);
    this.#waiting.splice(0, index);
  }

  /**
   * The latencies so far; `undefined` while there are none, or when outputs and inputs do not belong together.
   * @param toleranceSeconds How far the sound that came may be behind that which went, or before it
   */
  summary(toleranceSeconds: number): LatencySummary | undefined {
    const aligned = this.#sounds > 0
      ? this.#others === 0 && Math.abs(this.#sentSeconds - this.#soundSeconds) <= toleranceSeconds
      : this.#inputs - this.#others <= Math.max(1, toleranceSeconds * this.#inputs / this.#sentSeconds);
    if (this.#measured === 0 || this.#lost || !aligned || this.#others > this.#inputs) return undefined;
    return { p50: this.#percentile(0.5), p99: this.#percentile(0.99), max: this.#maxMs };
  }

  #measure(latencyMs: number): void {
    const bucket = Math.max(0, Math.round(Math.log(latencyMs / SMALLEST_MS) / Math.log(BUCKET_FACTOR)));
    this.#histogram.set(bucket, (this.#histogram.get(bucket) ?? 0) + 1);
    this.#measured++;
    this.#maxMs = Math.max(this.#maxMs, latencyMs);
  }

  #percentile(share: number): number {
    let rank = Math.ceil(share * this.#measured);
    for (const bucket of [...this.#histogram.keys()].sort((a, b) => a - b)) {
      rank -= this.#histogram.get(bucket)!;
      if (rank <= 0) return Math.min(this.#maxMs, SMALLEST_MS * BUCKET_FACTOR ** bucket);
    }
    return this.#maxMs;
  }
}
