/**
 * How sound lies in WAV files, for reading and writing alike.
 * @module
 */

/** How samples lie in a file: integers of that many bits (8 unsigned, the others signed), or IEEE floats. */
export type WavEncoding = "pcm8" | "pcm16" | "pcm24" | "pcm32" | "float32" | "float64";

/** Encodings that {@linkcode encodeWav} writes. */
export type WavOutputEncoding = "pcm16" | "pcm24" | "float32";

/** Sound in memory. */
export interface WavAudio {
  /** Shape (channels, samples) in C order: all of the first channel, then the next. Full scale is ±1. */
  readonly samples: Float32Array;
  readonly channels: number;
  /** In Hz. */
  readonly sampleRate: number;
}

/** Format codes of a `fmt ` chunk. */
export const FORMAT_PCM = 1;
export const FORMAT_FLOAT = 3;

/** Integer samples: full scale and size. Dividing by a power of two is exact, so pcm16 and pcm24 survive a round trip. */
export const INTEGER_SCALE = { pcm8: 2 ** 7, pcm16: 2 ** 15, pcm24: 2 ** 23, pcm32: 2 ** 31 } as const;

/** Size of a sample. */
export const SAMPLE_BYTES = { pcm8: 1, pcm16: 2, pcm24: 3, pcm32: 4, float32: 4, float64: 8 } as const;

/** Size that is written for a data chunk when the true one is not known. */
export const UNKNOWN_SIZE = 0xffffffff;

/** Bytes of one sample of each channel. */
export function wavBlockBytes({ encoding, channels }: { encoding: WavEncoding; channels: number }): number {
  return SAMPLE_BYTES[encoding] * channels;
}
