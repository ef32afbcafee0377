/**
 * Resampling through a band-limiting filter.
 * @module
 */

import { ConverterState } from "./_libsamplerate.ts";
import { concatenate, framesDue, QUALITIES, type Resampler, type ResamplerOptions } from "./_resampler.ts";

/** Channels of one state: together they share the filter's arithmetic, but a state has to fit into one instance. */
const STATE_CHANNELS = 8;

/** One of libsamplerate's sinc converters, which see silence before and after the input. */
export class BandLimitedResampler implements Resampler {
  readonly #states: ConverterState[] = [];
  #framesIn = 0;
  #framesOut = 0;

  constructor(readonly options: ResamplerOptions) {
    const { quality, channels, inputRate, outputRate } = options;
    const ratio = outputRate / inputRate;
    try {
      for (let channel = 0; channel < channels; channel += STATE_CHANNELS) {
        const count = Math.min(STATE_CHANNELS, channels - channel);
        this.#states.push(new ConverterState(QUALITIES.indexOf(quality), { channels: count, ratio }));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  process(chunk: readonly Float32Array[]): Float32Array[] {
    const frames = chunk[0]?.length ?? 0;
    this.#framesIn += frames;
    const output = this.#feed(chunk, frames);
    this.#framesOut += output[0]?.length ?? 0;
    return output;
  }

  /**
   * Pushes the tail out with silence, which is what libsamplerate itself appends at the end of its input, until the
   * output has the length that is due: its own count of the end can be a frame off.
   */
  finish(): Float32Array[] {
    const { channels, inputRate, outputRate } = this.options;
    let missing = framesDue(this.#framesIn, this.options) - this.#framesOut;
    const frames = Math.ceil(Math.min(missing * (inputRate / outputRate), 2 ** 16)) + 64;
    const silence = new Array<Float32Array>(channels).fill(new Float32Array(frames));
    const blocks: Float32Array[][] = [];
    while (missing > 0) {
      const block = this.#feed(silence, frames).map((samples) => samples.subarray(0, missing));
      missing -= block[0]!.length;
      blocks.push(block);
    }
    return silence.map((_, channel) => concatenate(blocks.map((block) => block[channel]!)));
  }

  close(): void {
    for (const state of this.#states.splice(0)) state.close();
  }

  /** Runs a chunk through the converters. */
  #feed(chunk: readonly Float32Array[], frames: number): Float32Array[] {
    return this.#states.flatMap((state, index) => {
      const channels = chunk.slice(index * STATE_CHANNELS, (index + 1) * STATE_CHANNELS);
      const blocks: Float32Array[] = [];
      state.feed(channels, frames, (block) => blocks.push(block));
      const interleaved = concatenate(blocks);
      return channels.length === 1 ? [interleaved] : deinterleave(interleaved, channels.length);
    });
  }
}

function deinterleave(samples: Float32Array, channels: number): Float32Array[] {
  return Array.from({ length: channels }, (_, channel) => {
    const separate = new Float32Array(samples.length / channels);
    for (let i = 0; i < separate.length; i++) separate[i] = samples[i * channels + channel]!;
    return separate;
  });
}
