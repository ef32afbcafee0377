/**
 * Values that are sound.
 * @module
 */

import { readFloat32, tryArray } from "../../workers/media/arrays.ts";
import type { WavAudio } from "../../workers/media/wav.ts";
import { Tuple, type Value } from "../../workers/values.ts";

/** Full scale of integer samples, by dtype; floats have 1. */
const FULL_SCALE: ReadonlyMap<string, number> = new Map([["i1", 2 ** 7], ["i2", 2 ** 15], ["i4", 2 ** 31]]);

/** The sound that a value is: a pair of samples, of shape (channels, samples) or (samples,), and a rate in Hz. */
export function tryWavAudio(value: Value): WavAudio | undefined {
  const pair = itemsOf(value);
  if (pair.length !== 2) return undefined;
  const samples = tryArray(pair[0] ?? null);
  const sampleRate = Number(typeof pair[1] === "bigint" || typeof pair[1] === "number" ? pair[1] : NaN);
  const scale = samples === undefined || samples.dtype.kind === "f" ? 1 : FULL_SCALE.get(samples.dtype.code);
  if (samples === undefined || scale === undefined || !Number.isInteger(sampleRate)) return undefined;
  if (samples.shape.length === 0 || samples.shape.length > 2) return undefined;
  const floats = readFloat32(samples);
  return {
    samples: scale === 1 ? floats : floats.map((sample) => sample / scale),
    channels: samples.shape.length === 2 ? samples.shape[0]! : 1,
    sampleRate,
  };
}

/** The items of a tuple or list; of anything else there are none. */
export function itemsOf(value: Value): readonly Value[] {
  return value instanceof Tuple ? value.items : Array.isArray(value) ? value : [];
}
