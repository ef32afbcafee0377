/**
 * AudioTransform.
 * @module
 */

import * as z from "zod";
import { Tuple, type Value } from "../values.ts";
import { reshaped } from "./arrays.ts";
import { type Audio, MAX_SAMPLE_RATE, NOT_AUDIO, toChannels, toPair, tryAudio } from "./_audio.ts";
import { createResampler, loadResampler, resamplerBytes } from "./_create_resampler.ts";
import { requireMemory } from "./_memory.ts";
import { concatenate } from "./_resampler.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const PARAMETERS = z.object({
  output_sample_rate: z.int().min(1).max(MAX_SAMPLE_RATE).default(44100).describe(
    "Sample rate of the output in Hz, at most a factor of 256 from the input's",
  ),
  output_channels: z.int().min(1).max(65_536).default(2).describe(
    "Channels of the output: one is the mean of all, several are copies of a mono input or else the input's first; an " +
      "input that has fewer, but more than one, keeps them",
  ),
});

/** The converter that every recording is resampled with. */
const QUALITY = "best";

/**
 * Takes each item as a whole recording and gives it with another rate and number of channels: a pair of an array
 * (channels, samples) and the rate. What is computed is float32, in the scale of the input (an int16 sample of 1000
 * becomes 1000.0); audio that already has the rate and the channels keeps its dtype. Anything else than a pair with an
 * array passes through, with a warning.
 *
 * For a stream that is cut into chunks there is AudioResampler, which knows nothing of ends between them.
 */
class AudioTransform implements Node {
  readonly #rate: number;
  readonly #channels: number;
  readonly #context: NodeContext;

  constructor(parameters: z.output<typeof PARAMETERS>, context: NodeContext) {
    this.#rate = parameters.output_sample_rate;
    this.#channels = parameters.output_channels;
    this.#context = context;
  }

  process(item: Value): Value {
    const audio = tryAudio(item);
    if (audio === undefined) {
      this.#context.warn(`AudioTransform passed an item through: ${NOT_AUDIO}`);
      return item;
    }
    if (audio.rate === this.#rate && audio.channels === this.#channels) {
      return new Tuple([reshaped(audio.samples, [audio.channels, audio.length]), BigInt(audio.rate)]);
    }
    const length = Math.ceil(audio.length * (this.#rate / audio.rate));
    requireMemory(this.#context, { bytes: 4 * this.#channels * length, action: "mix audio" });
    return toPair(this.#mix(this.#resample(audio), length), this.#rate, audio.samples.form);
  }

  #resample(audio: Audio): Float32Array[] {
    if (audio.rate === this.#rate) return toChannels(audio);
    // The first channels of several do not need the others.
    const input = this.#channels === 1 ? toChannels(audio) : toChannels(audio).slice(0, this.#channels);
    const options = {
      quality: QUALITY,
      channels: input.length,
      inputRate: audio.rate,
      outputRate: this.#rate,
    } as const;
    const bytes = resamplerBytes(options, audio.length);
    requireMemory(this.#context, { bytes, action: `resample ${input.length} × ${audio.length} samples` });
    const resampler = createResampler(options);
    try {
      const start = resampler.process(input);
      const rest = resampler.finish();
      return start.map((samples, channel) => concatenate([samples, rest[channel]!]));
    } finally {
      resampler.close();
    }
  }

  #mix(channels: Float32Array[], length: number): Float32Array[] {
    if (channels.length === 1) return new Array<Float32Array>(this.#channels).fill(channels[0]!);
    if (this.#channels > 1) {
      if (channels.length < this.#channels) {
        this.#context.warn(`AudioTransform kept ${channels.length} channels: ${this.#channels} cannot be made of them`);
      }
      return channels.slice(0, this.#channels);
    }
    const sums = new Float64Array(channels[0]?.length ?? length);
    for (const samples of channels) samples.forEach((sample, index) => sums[index]! += sample);
    return [Float32Array.from(sums, (sum) => sum / Math.max(1, channels.length))];
  }
}

export default defineNode({
  type: "AudioTransform",
  category: "audio",
  description: "Converts whole recordings to a sample rate and a number of channels",
  parameters: PARAMETERS,
  streaming: false,
  async create(parameters, context) {
    await loadResampler(QUALITY);
    return new AudioTransform(parameters, context);
  },
});
