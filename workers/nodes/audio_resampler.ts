/**
 * AudioResampler.
 * @module
 */

import * as z from "zod";
import { NDArray, Tuple, type Value } from "../values.ts";
import { toArray } from "./arrays.ts";
import { type Audio, MAX_SAMPLE_RATE, NOT_AUDIO, toChannels, tryAudio } from "./_audio.ts";
import { createResampler, loadResampler, resamplerBytes } from "./_create_resampler.ts";
import { requireMemory } from "./_memory.ts";
import { concatenate, QUALITIES, type Quality, type Resampler } from "./_resampler.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const PARAMETERS = z.object({
  target_sample_rate: z.int().min(1).max(MAX_SAMPLE_RATE).default(44100).describe(
    "Sample rate of the output in Hz, at most a factor of 256 from the input's",
  ),
  quality: z.union([z.enum(QUALITIES), z.int().min(0).max(QUALITIES.length - 1)]).nullable().default("best").describe(
    "libsamplerate's converter, by name or by number from 0: best (97 % of the band, for recordings), medium (90 %, a " +
      "quarter of the time), fastest (80 %, an eighth), zero_order_hold and linear (no filter: quick and rough)",
  ),
});

/** What {@linkcode Stream} needs to know of the audio that it resamples. */
interface Format {
  readonly form: NDArray["form"];
  /** The input was 1-D, so the output is. */
  readonly flat: boolean;
}

/**
 * Resamples a stream of audio; `(samples, target_sample_rate)` comes out, float32 of as many dimensions as went in.
 *
 * Chunks that together make a recording give, to the last bit, what the recording gives in one piece: see
 * {@linkcode Resampler}. A chunk yields what has become complete, so nothing while the filter fills, and the end of the
 * stream the rest. Integers keep their scale, an int16 sample of 1000 becomes 1000.0. Audio at the target rate passes
 * through untouched. A change of rate or of channels ends one stream and begins another. Anything but audio passes
 * through, with a warning.
 */
class AudioResampler implements Node {
  readonly #targetRate: number;
  readonly #quality: Quality;
  readonly #context: NodeContext;
  #resampler: Resampler | undefined;
  #format: Format = { form: "numpy", flat: false };

  private constructor(targetRate: number, quality: Quality, context: NodeContext) {
    this.#targetRate = targetRate;
    this.#quality = quality;
    this.#context = context;
  }

  static async create(parameters: z.output<typeof PARAMETERS>, context: NodeContext): Promise<AudioResampler> {
    const { quality: given, target_sample_rate } = parameters;
    // The schema allows no other numbers.
    const quality = typeof given === "number" ? QUALITIES[given]! : given ?? "best";
    await loadResampler(quality);
    return new AudioResampler(target_sample_rate, quality, context);
  }

  *process(item: Value): Generator<Value> {
    const audio = tryAudio(item);
    if (audio === undefined) {
      this.#context.warn(`AudioResampler passed an item through: ${NOT_AUDIO}`);
      yield item;
      return;
    }
    if (this.#resampler !== undefined && !this.#continues(audio)) yield* this.flush();
    if (audio.rate === this.#targetRate) {
      yield item;
      return;
    }
    yield* this.#toPairs(this.#resamplerFor(audio).process(toChannels(audio)));
  }

  *flush(): Generator<Value> {
    const resampler = this.#resampler;
    if (resampler === undefined) return;
    try {
      yield* this.#toPairs(resampler.finish());
    } finally {
      this.cleanup();
    }
  }

  /** The whole of one item, as one pair. */
  whole(item: Value): Value {
    const audio = tryAudio(item);
    // Those give exactly one output, and hold nothing back.
    if (audio === undefined || audio.rate === this.#targetRate) return this.process(item).next().value ?? null;
    const resampler = this.#resamplerFor(audio);
    try {
      const start = resampler.process(toChannels(audio));
      const rest = resampler.finish();
      return this.#toPair(start.map((samples, channel) => concatenate([samples, rest[channel]!])));
    } finally {
      this.cleanup();
    }
  }

  cleanup(): void {
    this.#resampler?.close();
    this.#resampler = undefined;
  }

  #continues(audio: Audio): boolean {
    const { inputRate, channels } = this.#resampler!.options;
    return inputRate === audio.rate && channels === audio.channels;
  }

  #resamplerFor(audio: Audio): Resampler {
    const options = {
      quality: this.#quality,
      channels: audio.channels,
      inputRate: audio.rate,
      outputRate: this.#targetRate,
    };
    const bytes = resamplerBytes(options, audio.length);
    requireMemory(this.#context, { bytes, action: `resample ${audio.channels} × ${audio.length} samples` });
    this.#format = { form: audio.samples.form, flat: audio.samples.shape.length === 1 };
    return this.#resampler ??= createResampler(options);
  }

  *#toPairs(channels: Float32Array[]): Generator<Value> {
    if ((channels[0]?.length ?? 0) > 0) yield this.#toPair(channels);
  }

  #toPair(channels: Float32Array[]): Tuple {
    const length = channels[0]?.length ?? 0;
    const { form, flat } = this.#format;
    const shape = flat ? [length] : [channels.length, length];
    return new Tuple([toArray(concatenate(channels), shape, form), BigInt(this.#targetRate)]);
  }
}

export default defineNode({
  type: "AudioResampler",
  category: "audio",
  description: "Resamples a stream of audio to a target sample rate, band-limited and without a seam between chunks",
  parameters: PARAMETERS,
  streaming: true,
  create: AudioResampler.create,
  execute: (node, item) => (node as AudioResampler).whole(item), // `create` makes no other.
});
