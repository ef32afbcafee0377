/**
 * Outputs to files.
 * @module
 */

import { codecFor, pythonTypeName } from "../../workers/codecs/mod.ts";
import { encodePng } from "../../workers/media/png.ts";
import { encodeWav, type WavOutputEncoding } from "../../workers/media/wav.ts";
import { readNumbers, tryArray } from "../../workers/media/arrays.ts";
import { NDArray, Tuple, type Value } from "../../workers/values.ts";
import type { Output } from "../client/mod.ts";
import { messageOf } from "../errors.ts";
import { tryWavAudio } from "./audio_value.ts";
import { OutputError } from "./errors.ts";
import { type InputType, typeByEnding } from "./input.ts";
import { fileProblem, type Session } from "./session.ts";

/** Where and how an output is written. */
export interface OutputOptions {
  /** A path, or `-` for standard output. */
  readonly output: string;
  readonly outputType?: InputType | undefined;
  readonly wavEncoding: WavOutputEncoding;
}

/** An output as a file's bytes. */
interface Encoding {
  readonly bytes: Uint8Array;
  /** What the file holds, for people. */
  readonly summary: string;
  readonly warning?: string;
}

/**
 * Writes an output to a file.
 * @throws {OutputError} when the output has no such form, or the file cannot be written
 */
export async function writeOutput(output: Output, options: OutputOptions, session: Session): Promise<void> {
  const { output: path, wavEncoding } = options;
  const type = options.outputType ?? (path === "-" ? "json" : typeByEnding(path) ?? "raw");
  let encoding: Encoding;
  try {
    encoding = encode(output, type, wavEncoding);
  } catch (cause) {
    const hint = "Choose another --output-type, or --output-type pickle, which can hold every output";
    const name = path === "-" ? "standard output" : path;
    throw new OutputError(`Cannot write ${name} as ${type}: ${messageOf(cause)}`, hint, { cause });
  }
  if (path === "-") await session.print(encoding.bytes);
  else {
    try {
      await Deno.writeFile(path, encoding.bytes);
    } catch (cause) {
      throw new OutputError(`Cannot write ${path}: ${fileProblem(cause)}`, undefined, { cause });
    }
    await session.note(`Wrote ${path}: ${encoding.summary}`);
  }
  if (encoding.warning !== undefined) await session.note(`Warning: ${encoding.warning}`);
}

function encode(output: Output, type: InputType, wavEncoding: WavOutputEncoding): Encoding {
  switch (type) {
    case "wav":
      return toWav(output.value, wavEncoding);
    case "png":
      return toPng(output.value);
    case "text":
      if (typeof output.value !== "string") throw new Error(`the output is ${describeType(output.value)}, not a str`);
      return sized(codecFor("raw").encode(output.value), "text");
    case "json":
      return sized(codecFor("json").encode(output.value), "JSON");
    case "raw":
      return sized(codecFor("raw").encode(output.value), "raw bytes");
    case "pickle":
      return sized(output.format === "pickle" ? output.bytes : codecFor("pickle").encode(output.value), "pickle");
  }
}

function sized(bytes: Uint8Array, kind: string): Encoding {
  return { bytes, summary: `${bytes.length} bytes of ${kind}` };
}

function toWav(value: Value, encoding: WavOutputEncoding): Encoding {
  const audio = tryWavAudio(value);
  if (audio === undefined) {
    throw new Error(`the output is ${describeType(value)}, not a pair of samples (channels, samples) and a rate in Hz`);
  }
  const { bytes, clipped } = encodeWav(audio, encoding);
  const { channels, sampleRate, samples } = audio;
  return {
    bytes,
    summary: describeSound({ channels, sampleRate, length: samples.length / channels }, encoding),
    ...(clipped === 0 ? {} : { warning: clippedWarning(clipped, samples.length) }),
  };
}

/** What a sound is, for people. */
export function describeSound(
  { channels, sampleRate, length }: { channels: number; sampleRate: number; length: number },
  encoding: WavOutputEncoding,
): string {
  return `${channels} ${channels === 1 ? "channel" : "channels"}, ${length} samples at ${sampleRate} Hz ` +
    `(${(length / sampleRate).toFixed(3)} s), ${encoding}`;
}

/** What is to be said of samples that did not fit. */
export function clippedWarning(clipped: number, total: number): string {
  return `${clipped} of ${total} samples were beyond full scale and are clipped`;
}

function toPng(value: Value): Encoding {
  const array = tryArray(value);
  const [height = 0, width = 0, channels = 1] = array?.shape ?? [];
  const isFrame = array !== undefined && (array.shape.length === 2 || array.shape.length === 3);
  // JSON's nested lists hold integers of no particular size.
  const pixels = isFrame && (array.dtype.code === "u1" || array.form === "json-list") ? readNumbers(array) : undefined;
  if (pixels === undefined || (!(pixels instanceof Uint8Array) && pixels.some((byte) => byte !== (byte & 0xff)))) {
    throw new Error(`the output is ${describeType(value)}, not a uint8 array (height, width, channels)`);
  }
  const bytes = encodePng({ pixels: Uint8Array.from(pixels), width, height, channels });
  return { bytes, summary: `${width} × ${height} pixels, ${channels} ${channels === 1 ? "channel" : "channels"}` };
}

function describeType(value: Value): string {
  if (value instanceof NDArray) return `an array ${value.dtype} of shape (${value.shape.join(", ")})`;
  if (value instanceof Tuple) return `a tuple of (${value.items.map((item) => pythonTypeName(item)).join(", ")})`;
  return `of type ${pythonTypeName(value)}`;
}
