/**
 * VoiceActivityDetector.
 * @module
 */

import * as z from "zod";
import { Tuple, type Value } from "../values.ts";
import { readNumbers } from "./arrays.ts";
import { type Audio, NOT_AUDIO, tryAudio } from "./_audio.ts";
import { requireMemory } from "./_memory.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const PARAMETERS = z.object({
  frame_duration_ms: z.int().min(1).max(60_000).default(30).describe(
    "Length of a frame in milliseconds; samples of a chunk beyond its last whole frame are not looked at, so it should " +
      "divide the chunks' length",
  ),
  energy_threshold: z.number().min(0).default(0.02).describe(
    "RMS above which a frame is speech while nothing is known of the background, in units of the samples",
  ),
  speech_threshold: z.number().min(0).max(1).default(0.3).describe(
    "Share of a chunk's frames, 0 to 1, that must be speech for the chunk to be",
  ),
  filter_mode: z.boolean().default(false).describe("Give only the chunks that are speech, as (samples, rate)"),
  include_metadata: z.boolean().default(true).describe(
    "Give ((samples, rate), {is_speech, speech_ratio, avg_energy, frame_duration_ms}); without it, (samples, rate)",
  ),
});

/** Energies of past frames from which the background is known. */
const HISTORY_FRAMES = 100;

/** Share of the history that is taken for background. */
const NOISE_QUANTILE = 0.3;

/** How far above the background speech lies, and the weights of background and parameter in the threshold. */
const NOISE_FACTOR = 2.5;
const NOISE_WEIGHT = 0.7;
const PARAMETER_WEIGHT = 0.3;

/**
 * Tells speech from pauses by the energy of frames against the background's, all in float64: a frame is speech when its
 * RMS exceeds 0.7 · 2.5 · noise floor + 0.3 · `energy_threshold`, taken once at the chunk's start, where the noise floor
 * is the item at ⌊0.3 · n⌋ of the last 100 energies sorted. Before any history it is `energy_threshold` alone.
 *
 * A chunk without a whole frame has no speech. Anything but audio is skipped, with a warning.
 */
class VoiceActivityDetector implements Node {
  readonly #parameters: z.output<typeof PARAMETERS>;
  readonly #context: NodeContext;
  /** Energies of the last frames, oldest first. */
  #history: number[] = [];

  constructor(parameters: z.output<typeof PARAMETERS>, context: NodeContext) {
    this.#parameters = parameters;
    this.#context = context;
  }

  *process(item: Value): Generator<Value> {
    const audio = tryAudio(item);
    if (audio === undefined) {
      this.#context.warn(`VoiceActivityDetector skipped an item: ${NOT_AUDIO}`);
      return;
    }
    requireMemory(this.#context, { bytes: 16 * audio.length, action: `mix ${audio.length} samples to mono` });
    const { frame_duration_ms, speech_threshold, filter_mode, include_metadata } = this.#parameters;
    const threshold = this.#threshold();
    const energies = frameEnergies(toMono(audio), Math.floor(audio.rate * frame_duration_ms / 1000));
    this.#history = [...this.#history, ...energies].slice(-HISTORY_FRAMES);

    const count = energies.length;
    const speechRatio = count === 0 ? 0 : energies.filter((energy) => energy > threshold).length / count;
    const isSpeech = count > 0 && speechRatio >= speech_threshold;
    const pair = new Tuple([...audio.items]);
    if (filter_mode) {
      if (isSpeech) yield pair;
    } else if (include_metadata) {
      const metadata = new Map<Value, Value>([
        ["is_speech", isSpeech],
        ["speech_ratio", speechRatio],
        ["avg_energy", count === 0 ? 0 : energies.reduce((sum, energy) => sum + energy, 0) / count],
        ["frame_duration_ms", BigInt(frame_duration_ms)],
      ]);
      yield new Tuple([pair, metadata]);
    } else {
      yield pair;
    }
  }

  #threshold(): number {
    const { energy_threshold } = this.#parameters;
    if (this.#history.length === 0) return energy_threshold;
    // Sorts by value, and several times as fast as an array with a comparison does.
    const sorted = Float64Array.from(this.#history).sort();
    const noiseFloor = sorted[Math.floor(NOISE_QUANTILE * sorted.length)]!;
    return NOISE_WEIGHT * NOISE_FACTOR * noiseFloor + PARAMETER_WEIGHT * energy_threshold;
  }
}

/** The mean of the channels, float64. */
function toMono(audio: Audio): Float64Array {
  const samples = readNumbers(audio.samples);
  const mono = new Float64Array(audio.channels === 0 ? 0 : audio.length);
  for (let channel = 0; channel < audio.channels; channel++) {
    const start = channel * audio.length;
    for (let i = 0; i < mono.length; i++) mono[i]! += samples[start + i]!;
  }
  if (audio.channels > 1) { for (let i = 0; i < mono.length; i++) mono[i]! /= audio.channels; }
  return mono;
}

/** RMS of each whole frame. */
function frameEnergies(samples: Float64Array, frameLength: number): number[] {
  const energies: number[] = [];
  if (frameLength < 1) return energies;
  for (let end = frameLength; end <= samples.length; end += frameLength) {
    let sum = 0;
    for (let i = end - frameLength; i < end; i++) sum += samples[i]! * samples[i]!;
    energies.push(Math.sqrt(sum / frameLength));
  }
  return energies;
}

export default defineNode({
  type: "VoiceActivityDetector",
  category: "audio",
  description: "Tells chunks with speech from pauses by their energy, or lets only those with speech through",
  parameters: PARAMETERS,
  streaming: true,
  create: (parameters, context) => new VoiceActivityDetector(parameters, context),
});
