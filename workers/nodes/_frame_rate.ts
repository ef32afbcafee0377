/**
 * Dropping frames of a stream down to a lower rate.
 * @module
 */

/** When a frame is to be shown: its number at a rate, or its time. */
export type FrameTime = { readonly rate: number } | { readonly timestamp: number };

/** Timestamps are floats: a frame this little before its slot, in slots, belongs to it. */
const TOLERANCE = 1e-6;

/**
 * Keeps the first frame of each 1/fps second. Frames are never repeated, so a slower stream stays as it is.
 */
export class FrameRateLimit {
  #rate: number | undefined;
  /** Frames seen at that rate. */
  #count = 0;
  #lastSlot: number | undefined;

  constructor(readonly fps: number) {}

  /** Whether the next frame is kept. */
  keeps(time: FrameTime): boolean {
    if ("rate" in time && time.rate !== this.#rate) {
      this.#rate = time.rate;
      this.#count = 0;
      this.#lastSlot = undefined;
    }
    const position = "rate" in time ? this.#count++ * this.fps / time.rate : time.timestamp * this.fps;
    const slot = Math.floor(position + TOLERANCE);
    if (slot === this.#lastSlot) return false;
    this.#lastSlot = slot;
    return true;
  }
}
