/**
 * What resamples a stream of audio from one sample rate to another.
 * @module
 */

/** Names of the qualities, in libsamplerate's order: the index is its number of the converter. */
export const QUALITIES = ["best", "medium", "fastest", "zero_order_hold", "linear"] as const;

export type Quality = (typeof QUALITIES)[number];

/** What a resampler is built from. */
export interface ResamplerOptions {
  readonly quality: Quality;
  readonly channels: number;
  /** Rates in Hz, whole numbers. */
  readonly inputRate: number;
  readonly outputRate: number;
}

/**
 * Resamples a stream. The output does not depend on how the input was cut into chunks, to the last bit; it begins with
 * the first input sample, without a filter's delay; and n input frames make round(n · outputRate / inputRate) output
 * frames, halves rounded up, once `finish` has given the rest.
 */
export interface Resampler {
  readonly options: ResamplerOptions;
  /** Takes in a chunk, an array for each channel, and gives what has become complete, possibly nothing. */
  process(chunk: readonly Float32Array[]): Float32Array[];
  /** Gives what is left. Nothing may be processed after it. */
  finish(): Float32Array[];
  /** Frees the converters. */
  close(): void;
}

/** Output frames that so many input frames account for, halves rounded up. */
export function framesDue(framesIn: number, options: ResamplerOptions): number {
  const { inputRate, outputRate } = options;
  return Math.floor((2 * framesIn * outputRate + inputRate) / (2 * inputRate));
}

/** The parts one after the other; a single part as it is. */
export function concatenate(parts: readonly Float32Array[]): Float32Array {
  const filled = parts.filter((part) => part.length > 0);
  if (filled.length === 1) return filled[0]!;
  const result = new Float32Array(filled.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of filled) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}
