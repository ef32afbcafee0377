/**
 * Audio for tests of nodes.
 * @module
 */

import { NDArray, Tuple, type Value } from "../../workers/values.ts";
import { readFloat32, toArray } from "../../workers/nodes/arrays.ts";

/** Speech of 10.3 s, 48 kHz, mono, from -1 to 1. */
export function readSpeech(): { samples: Float32Array; rate: number } {
  const bytes = Deno.readFileSync(new URL("../data/speech-48k.wav", import.meta.url));
  return { samples: readWav(bytes), rate: 48_000 };
}

/** The samples of a mono 16-bit WAV file, scaled to -1 … 1. */
function readWav(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; at += 8 + view.getUint32(at + 4, true)) {
    if (new TextDecoder().decode(bytes.subarray(at, at + 4)) !== "data") continue;
    const count = Math.min(view.getUint32(at + 4, true), bytes.length - at - 8) / 2;
    return Float32Array.from({ length: count }, (_, i) => view.getInt16(at + 8 + 2 * i, true) / 32768);
  }
  throw new Error("The WAV file has no data");
}

/** A pair `(samples, rate)` of shape (channels, samples), as numpy sends it. */
export function pairOf(channels: readonly Float32Array[], rate: number): Tuple {
  const length = channels[0]!.length;
  const samples = new Float32Array(channels.length * length);
  channels.forEach((channel, index) => samples.set(channel, index * length));
  return new Tuple([toArray(samples, [channels.length, length], "numpy"), BigInt(rate)]);
}

/** The channels and the rate of such a pair. */
export function channelsOf(value: Value): { channels: Float32Array[]; rate: Value } {
  if (!(value instanceof Tuple)) throw new TypeError("Not a pair");
  const [array, rate] = value.items;
  if (!(array instanceof NDArray) || rate === undefined) throw new TypeError("Not audio");
  const samples = readFloat32(array);
  const length = array.shape.at(-1)!;
  const count = array.shape.length === 1 ? 1 : array.shape[0]!;
  return {
    channels: Array.from({ length: count }, (_, i) => samples.slice(i * length, (i + 1) * length)),
    rate,
  };
}

/** The channels of many pairs, end to end. */
export function joined(pairs: readonly Value[]): Float32Array[] {
  const parts = pairs.map((pair) => channelsOf(pair).channels);
  return (parts[0] ?? []).map((_, channel) => {
    return Float32Array.from(parts.flatMap((channels) => [...channels[channel]!]));
  });
}
