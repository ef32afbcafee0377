/**
 * The resampler for a pair of rates and a quality.
 * @module
 */

import { TaskError } from "../task_error.ts";
import { BandLimitedResampler } from "./_band_limited.ts";
import { Interpolator } from "./_interpolator.ts";
import { loadLibsamplerate } from "./_libsamplerate.ts";
import type { Quality, Resampler, ResamplerOptions } from "./_resampler.ts";

/** Largest factor between two rates, up or down: libsamplerate's SRC_MAX_RATIO. */
export const MAX_RATIO = 256;

/** Bytes of a state for each channel, by quality: libsamplerate keeps history enough for a ratio of 1/256. */
const STATE_BYTES = { best: 450_000, medium: 150_000, fastest: 80_000, zero_order_hold: 0, linear: 0 } as const;

/** Bytes that resampling of so many frames takes: states, and the output in blocks, joined, separated and handed out. */
export function resamplerBytes(options: ResamplerOptions, frames: number): number {
  const { quality, channels, inputRate, outputRate } = options;
  return channels * (STATE_BYTES[quality] + 20 * Math.ceil(frames * (outputRate / inputRate)));
}

/**
 * Gets what resamplers of a quality are made with.
 * @throws {TaskError} `TASK_FAILED` when it is missing, `RESOURCE_LIMIT` when there is no memory for it
 */
export async function loadResampler(quality: Quality): Promise<void> {
  if (!isInterpolated(quality)) await loadLibsamplerate();
}

/**
 * Builds a resampler, once {@linkcode loadResampler} has resolved. The caller closes it.
 *
 * @throws {TaskError} `TASK_FAILED` when the rates are more than a factor of 256 apart, `RESOURCE_LIMIT` when there is
 * no memory for the converters.
 */
export function createResampler(options: ResamplerOptions): Resampler {
  const { quality, inputRate, outputRate } = options;
  if (outputRate > MAX_RATIO * inputRate || inputRate > MAX_RATIO * outputRate) {
    throw new TaskError(
      "TASK_FAILED",
      `Cannot resample from ${inputRate} Hz to ${outputRate} Hz: the rates may be at most a factor of ${MAX_RATIO} apart`,
    );
  }
  return isInterpolated(quality) ? new Interpolator(options) : new BandLimitedResampler(options);
}

/** Whether a quality does without libsamplerate. */
function isInterpolated(quality: Quality): boolean {
  return quality === "zero_order_hold" || quality === "linear";
}
