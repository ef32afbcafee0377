/**
 * AudioBuffer.
 * @module
 */

import * as z from "zod";
import { DType, DTYPES, NDArray, Tuple, type Value } from "../values.ts";
import { readNumbers, reshaped } from "./arrays.ts";
import { type Audio, NOT_AUDIO, tryAudio } from "./_audio.ts";
import { requireMemory } from "./_memory.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const PARAMETERS = z.object({
  buffer_size_samples: z.int().min(1).max(2 ** 31 - 1).describe("Samples per channel of each chunk that comes out"),
});

/** Samples that wait for their chunk. */
interface Segment {
  readonly audio: Audio;
  /** Samples per channel that have gone out already. */
  taken: number;
}

/**
 * Cuts a stream of audio into chunks `(array (channels, samples), rate)` of exactly `buffer_size_samples`; the end gives
 * the rest. A change of rate or of channels gives the rest first, whatever its length.
 *
 * Samples keep their dtype and bits; a chunk that joins two dtypes is float64. Anything but audio is skipped, with a
 * warning.
 */
class AudioBuffer implements Node {
  readonly #size: number;
  readonly #context: NodeContext;
  #segments: Segment[] = [];
  /** Samples per channel in the segments. */
  #held = 0;

  constructor(parameters: z.output<typeof PARAMETERS>, context: NodeContext) {
    this.#size = parameters.buffer_size_samples;
    this.#context = context;
  }

  *process(item: Value): Generator<Value> {
    const audio = tryAudio(item);
    if (audio === undefined) {
      this.#context.warn(`AudioBuffer skipped an item: ${NOT_AUDIO}`);
      return;
    }
    const current = this.#segments[0]?.audio;
    if (current !== undefined && (current.rate !== audio.rate || current.channels !== audio.channels)) {
      this.#context.warn("AudioBuffer gave what it held early: the audio's rate or channels changed");
      yield* this.flush();
    }
    if (audio.length === 0) return;
    const bytes = (this.#held + audio.length) * audio.channels * audio.samples.dtype.itemSize;
    requireMemory(this.#context, { bytes, action: `buffer ${this.#size} samples` });
    // In C order once, rather than for every chunk that is cut from it.
    const samples = reshaped(audio.samples, [audio.channels, audio.length]);
    this.#segments.push({ audio: { ...audio, samples }, taken: 0 });
    this.#held += audio.length;
    while (this.#held >= this.#size) yield this.#take(this.#size);
  }

  *flush(): Generator<Value> {
    if (this.#held > 0) yield this.#take(this.#held);
  }

  cleanup(): void {
    this.#segments = [];
    this.#held = 0;
  }

  /** Takes that many samples, which must be there, as a pair. */
  #take(length: number): Tuple {
    const used: { audio: Audio; start: number; count: number }[] = [];
    let finished = 0;
    for (let missing = length; missing > 0;) {
      const segment = this.#segments[finished]!;
      const count = Math.min(missing, segment.audio.length - segment.taken);
      used.push({ audio: segment.audio, start: segment.taken, count });
      segment.taken += count;
      missing -= count;
      if (segment.taken === segment.audio.length) finished++;
    }
    this.#segments.splice(0, finished);
    this.#held -= length;

    const { audio } = used[0]!;
    const dtype = commonDType(used.map(({ audio }) => audio.samples.dtype));
    const size = dtype.itemSize;
    const bytes = new Uint8Array(audio.channels * length * size);
    let offset = 0;
    for (const { audio, start, count } of used) {
      const source = bytesAs(audio.samples, dtype);
      for (let channel = 0; channel < audio.channels; channel++) {
        const from = (channel * audio.length + start) * size;
        bytes.set(source.subarray(from, from + count * size), (channel * length + offset) * size);
      }
      offset += count;
    }
    const samples = new NDArray(dtype, [audio.channels, length], bytes, false, audio.samples.form);
    return new Tuple([samples, audio.items[1]]);
  }
}

function commonDType(dtypes: readonly DType[]): DType {
  const first = dtypes[0]!;
  return dtypes.every((dtype) => `${dtype}` === `${first}`) ? first : DTYPES.float64;
}

/** The elements of an array in C order as bytes of a dtype: the array's own, or float64. */
function bytesAs(array: NDArray, dtype: DType): Uint8Array {
  if (`${array.dtype}` === `${dtype}`) return array.bytes;
  return new Uint8Array(Float64Array.from(readNumbers(array)).buffer);
}

export default defineNode({
  type: "AudioBuffer",
  category: "audio",
  description: "Cuts a stream of audio into chunks of a fixed number of samples",
  parameters: PARAMETERS,
  streaming: true,
  create: (parameters, context) => new AudioBuffer(parameters, context),
});
