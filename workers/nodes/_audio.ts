/**
 * Audio as nodes exchange it: a pair `(samples, sample_rate)`.
 * @module
 */

import { NDArray, NumpyScalar, Tuple, type Value } from "../values.ts";
import { isReal, readFloat32, readNumbers, toArray, tryArray } from "./arrays.ts";

/** Highest sample rate that nodes take, in Hz; ultrasound recorders stay far below. */
export const MAX_SAMPLE_RATE = 10_000_000;

/** A pair of samples and rate that a node can use. */
export interface Audio {
  /** Real numbers of shape (channels, samples), or (samples,) for mono. */
  readonly samples: NDArray;
  /** In Hz, a whole number from 1 to {@linkcode MAX_SAMPLE_RATE}. */
  readonly rate: number;
  readonly channels: number;
  /** Samples per channel. */
  readonly length: number;
  /** The two items of the pair as they came. */
  readonly items: readonly [Value, Value];
}

/**
 * The audio that an item holds: a tuple, or a list as JSON sends it, of an array of one or two dimensions and its rate.
 *
 * @returns `undefined` for anything else.
 */
export function tryAudio(item: Value): Audio | undefined {
  const pair = item instanceof Tuple ? item.items : item;
  if (!Array.isArray(pair) || pair.length !== 2) return undefined;
  const [array, rateValue] = pair as [Value, Value]; // The length was just checked.
  const rate = tryRate(rateValue);
  if (rate === undefined) return undefined;
  const samples = tryArray(array);
  if (samples === undefined || !isReal(samples)) return undefined;
  const { shape } = samples;
  const items = [array, rateValue] as const;
  if (shape.length === 1) return { samples, rate, channels: 1, length: shape[0]!, items };
  if (shape.length !== 2 || shape[0] === 0) return undefined;
  return { samples, rate, channels: shape[0]!, length: shape[1]!, items };
}

/** What a node says about an item that is not audio. */
export const NOT_AUDIO =
  `not a pair (samples, sample_rate) of an array (channels, samples) and a rate of 1 to ${MAX_SAMPLE_RATE} Hz`;

/** The channels as float32, each in an array of its own; for reading. Values keep their scale, whatever their dtype. */
export function toChannels(audio: Audio): Float32Array[] {
  const samples = readFloat32(audio.samples);
  return Array.from({ length: audio.channels }, (_, channel) => {
    return samples.subarray(channel * audio.length, (channel + 1) * audio.length);
  });
}

/** The pair of channels of equal length and their rate, as float32 of shape (channels, samples). */
export function toPair(channels: readonly Float32Array[], rate: number, form: NDArray["form"]): Tuple {
  const length = channels[0]?.length ?? 0;
  const samples = new Float32Array(channels.length * length);
  channels.forEach((channel, index) => samples.set(channel, index * length));
  return new Tuple([toArray(samples, [channels.length, length], form), BigInt(rate)]);
}

function tryRate(value: Value): number | undefined {
  let rate = value;
  if (rate instanceof NumpyScalar) {
    const scalar = new NDArray(rate.dtype, [1], rate.bytes);
    if (!isReal(scalar)) return undefined;
    rate = readNumbers(scalar)[0]!;
  }
  if (typeof rate === "bigint") rate = Number(rate);
  if (typeof rate !== "number" || !Number.isInteger(rate)) return undefined;
  return rate >= 1 && rate <= MAX_SAMPLE_RATE ? rate : undefined;
}
