/**
 * libsamplerate's own functions (http://libsndfile.github.io/libsamplerate/api_full.html), called without the package's
 * wrapper, which knows only mono and drops output.
 *
 * The build's memory is fixed at 16 MiB, room for some 34 channels of the best converter, so states share an instance
 * until it is full and the next one then gets another.
 *
 * @module
 */

import { loadWasm } from "../assets.ts";
import { TaskError } from "../task_error.ts";

/** What of the build is used, by the names that emscripten gave its exports. */
interface Exports {
  readonly d: WebAssembly.Memory;
  readonly e: () => void;
  readonly f: (converter: number, channels: number, error: number) => number;
  readonly h: (state: number) => void;
  readonly l: (pointer: number) => void;
  readonly m: (bytes: number) => number;
  readonly n: (
    state: number,
    input: number,
    inputFrames: number,
    output: number,
    outputFrames: number,
    ratio: number,
    endOfInput: number,
    framesUsed: number,
    framesWritten: number,
  ) => number;
}

/** Floats of each of the two buffers through which an instance's states are fed. */
const BUFFER_FLOATS = 8192;

/** One instance of the build. Calls are synchronous, so its states can share the buffers. */
class Instance {
  states = 0;
  readonly exports: Exports;
  readonly floats: Float32Array;
  readonly ints: Int32Array;
  readonly inputPointer: number;
  readonly outputPointer: number;
  readonly #resultPointer: number;

  constructor(module: WebAssembly.Module) {
    const imports = {
      a: {
        a: () => {
          throw new Error("Assertion in libsamplerate failed");
        },
        b: () => 0, // Growing the memory: the build has a fixed one.
        c: (target: number, source: number, bytes: number) => {
          new Uint8Array(this.exports.d.buffer).copyWithin(target, source, source + bytes);
        },
      },
    };
    // The names and types of this build's exports are known, see scripts/assets.ts.
    this.exports = new WebAssembly.Instance(module, imports).exports as unknown as Exports;
    this.exports.e();
    this.floats = new Float32Array(this.exports.d.buffer);
    this.ints = new Int32Array(this.exports.d.buffer);
    this.inputPointer = this.exports.m(BUFFER_FLOATS * 4);
    this.outputPointer = this.exports.m(BUFFER_FLOATS * 4);
    this.#resultPointer = this.exports.m(8);
  }

  /** A new state, or 0 when the memory is full. */
  newState(converter: number, channels: number): number {
    return this.exports.f(converter, channels, this.#resultPointer);
  }

  /** Runs a state over `inputFrames` from the input buffer. */
  process(state: number, inputFrames: number, options: { outputFrames: number; ratio: number }) {
    const { outputFrames, ratio } = options;
    const used = this.#resultPointer;
    const written = used + 4;
    const { inputPointer, outputPointer } = this;
    const error = this.exports.n(
      state,
      inputPointer,
      inputFrames,
      outputPointer,
      outputFrames,
      ratio,
      0,
      used,
      written,
    );
    if (error !== 0) throw new Error(`libsamplerate failed with error ${error}`);
    return { used: this.ints[used >> 2]!, written: this.ints[written >> 2]! };
  }
}

let compiled: WebAssembly.Module | undefined;
let instances: Instance[] = [];

/**
 * Gets the build, which {@linkcode ConverterState} needs; does nothing when it is there.
 * @throws {TaskError} `TASK_FAILED` when it is missing, `RESOURCE_LIMIT` when there is no memory for it
 */
export async function loadLibsamplerate(): Promise<void> {
  compiled ??= await loadWasm("libsamplerate.wasm");
}

function newInstance(): Instance {
  if (compiled === undefined) throw new TypeError("Cannot resample audio: loadLibsamplerate() has not been awaited");
  try {
    const instance = new Instance(compiled);
    instances.push(instance);
    return instance;
  } catch (cause) {
    throw new TaskError("RESOURCE_LIMIT", "Cannot resample audio: no memory for another converter", { cause });
  }
}

/** A libsamplerate state of one or more channels. */
export class ConverterState {
  readonly #channels: number;
  readonly #ratio: number;
  readonly #instance: Instance;
  #state: number;

  /**
   * @param converter libsamplerate's number of the converter, 0 (best), 1 (medium) or 2 (fastest).
   * @param options `ratio` is output rate over input rate, from 1/256 to 256.
   * @throws {TaskError} `RESOURCE_LIMIT` when there is no memory for it.
   */
  constructor(converter: number, options: { channels: number; ratio: number }) {
    const { channels, ratio } = options;
    this.#channels = channels;
    this.#ratio = ratio;
    for (const instance of instances) {
      const state = instance.newState(converter, channels);
      if (state === 0) continue;
      this.#instance = instance;
      this.#state = state;
      instance.states++;
      return;
    }
    this.#instance = newInstance();
    this.#state = this.#instance.newState(converter, channels);
    if (this.#state === 0) {
      throw new TaskError("RESOURCE_LIMIT", `Cannot resample audio: no memory for a converter of ${channels} channels`);
    }
    this.#instance.states++;
  }

  /**
   * Feeds so many frames of the channels and hands what comes out to `take`, interleaved, a block at a time.
   */
  feed(
    channels: readonly Float32Array[],
    frames: number,
    take: (block: Float32Array) => void,
  ): void {
    const instance = this.#instance;
    const { floats } = instance;
    const input = instance.inputPointer >> 2;
    const output = instance.outputPointer >> 2;
    const count = this.#channels;
    const blockFrames = Math.floor(BUFFER_FLOATS / count);
    const options = { outputFrames: blockFrames, ratio: this.#ratio };
    let frame = 0;
    for (;;) {
      const inputFrames = Math.min(blockFrames, frames - frame);
      for (let channel = 0; channel < count; channel++) {
        const samples = channels[channel]!;
        for (let i = 0; i < inputFrames; i++) floats[input + i * count + channel] = samples[frame + i]!;
      }
      const { used, written } = instance.process(this.#state, inputFrames, options);
      frame += used;
      if (written > 0) take(floats.slice(output, output + written * count));
      // A full output buffer may mean that more is to come from the same input.
      if (frame >= frames && written < blockFrames) return;
      if (used === 0 && written === 0) throw new Error("libsamplerate stopped before the end of its input");
    }
  }

  /** Frees the state; once is enough, twice does no harm. */
  close(): void {
    if (this.#state === 0) return;
    this.#instance.exports.h(this.#state);
    this.#state = 0;
    this.#instance.states--;
    // One instance is kept for the next node, the others give their memory back.
    if (this.#instance.states === 0 && instances.length > 1) {
      instances = instances.filter((instance) => instance !== this.#instance);
    }
  }
}

/** Instances alive and states in them, for tests that look for leaks. */
export function liveConverters(): { instances: number; states: number } {
  return { instances: instances.length, states: instances.reduce((sum, { states }) => sum + states, 0) };
}
