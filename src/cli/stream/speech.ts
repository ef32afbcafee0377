/**
 * Where somebody speaks, of what is known chunk by chunk.
 * @module
 */

/** Times in seconds from the start of the sound. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

/** Tolerance when a pause is compared, in seconds: what sums of fractions err. */
const EPSILON_SECONDS = 1e-6;

/** Joins chunks with speech to segments. */
export class SpeechSegments {
  #seconds = 0;
  #open: { start: number; end: number } | undefined;

  /** @param bridgeSeconds Pauses shorter than this are part of a segment */
  constructor(readonly bridgeSeconds: number) {}

  /** Notes the next chunk. @returns the segment that has ended for certain with it, if one has */
  add(isSpeech: boolean, seconds: number): Segment | undefined {
    const start = this.#seconds;
    this.#seconds += seconds;
    const open = this.#open;
    if (isSpeech) {
      this.#open = { start: open?.start ?? start, end: this.#seconds };
      return undefined;
    }
    if (open === undefined || this.#seconds - open.end < this.bridgeSeconds - EPSILON_SECONDS) return undefined;
    this.#open = undefined;
    return open;
  }

  /** Ends the sound. @returns the segment that reached up to it, if one did */
  end(): Segment | undefined {
    const open = this.#open;
    this.#open = undefined;
    return open;
  }
}
