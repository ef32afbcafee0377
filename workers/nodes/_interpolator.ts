/**
 * Resampling without a filter: by holding or by drawing a line between samples.
 * @module
 */

import { concatenate, framesDue, type Resampler, type ResamplerOptions } from "./_resampler.ts";

/**
 * The zero-order-hold and linear converters. libsamplerate has both, but its own answer one frame late, drift off the
 * grid by rounding and depend in the last bit on how the input is cut; these count positions in whole numbers instead.
 *
 * Output frame k lies at input position k · inputRate / outputRate. The first and the last input sample are held.
 */
export class Interpolator implements Resampler {
  readonly #linear: boolean;
  #framesIn = 0;
  #framesOut = 0;
  /** Input frame before the next output frame, and how far behind it that lies, in 1/outputRate of a frame. */
  #position = 0;
  #remainder = 0;
  /** The last frame of the chunk before, one sample for each channel. */
  #previous: Float32Array | undefined;
  /** Output that is known already but not due yet: a frame at most, see {@linkcode framesDue}. */
  #early: Float32Array[];

  constructor(readonly options: ResamplerOptions) {
    this.#linear = options.quality === "linear";
    this.#early = Array.from({ length: options.channels }, () => new Float32Array(0));
  }

  process(chunk: readonly Float32Array[]): Float32Array[] {
    const frames = chunk[0]?.length ?? 0;
    if (frames === 0) return this.#early.map(() => new Float32Array(0));
    const start = this.#framesIn;
    this.#framesIn += frames;
    const output = this.#interpolate(chunk, start);
    this.#previous = Float32Array.from(chunk, (samples) => samples[frames - 1]!);
    return this.#emit(output);
  }

  finish(): Float32Array[] {
    const missing = framesDue(this.#framesIn, this.options) - this.#framesOut - (this.#early[0]?.length ?? 0);
    const held = this.#early.map((_, channel) => {
      return new Float32Array(Math.max(0, missing)).fill(this.#previous?.[channel] ?? 0);
    });
    return this.#emit(held);
  }

  close(): void {}

  /** The output frames that lie between the frame before the chunk and the chunk's last. */
  #interpolate(chunk: readonly Float32Array[], start: number): Float32Array[] {
    const { inputRate, outputRate } = this.options;
    const whole = Math.floor(inputRate / outputRate);
    const rest = inputRate % outputRate;
    // A line needs the frame behind the position as well, unless it falls on a frame.
    const end = this.#linear ? this.#framesIn - 1 : this.#framesIn;
    const indices: number[] = [];
    const fractions: number[] = [];
    while (this.#position < end || (this.#linear && this.#position === end && this.#remainder === 0)) {
      indices.push(this.#position - start);
      fractions.push(this.#linear ? this.#remainder / outputRate : 0);
      this.#position += whole;
      this.#remainder += rest;
      if (this.#remainder >= outputRate) {
        this.#remainder -= outputRate;
        this.#position++;
      }
    }
    return chunk.map((samples, channel) => {
      const previous = this.#previous?.[channel] ?? 0;
      const output = new Float32Array(indices.length);
      for (let k = 0; k < output.length; k++) {
        const index = indices[k]!;
        const fraction = fractions[k]!;
        const left = index < 0 ? previous : samples[index]!;
        output[k] = fraction === 0 ? left : left + fraction * (samples[index + 1]! - left);
      }
      return output;
    });
  }

  /** Gives what is due and keeps back what is early. */
  #emit(output: readonly Float32Array[]): Float32Array[] {
    const joined = this.#early.map((early, channel) => concatenate([early, output[channel]!]));
    const due = Math.min(joined[0]?.length ?? 0, framesDue(this.#framesIn, this.options) - this.#framesOut);
    this.#early = joined.map((samples) => samples.slice(due));
    this.#framesOut += due;
    return joined.map((samples) => samples.subarray(0, due));
  }
}
