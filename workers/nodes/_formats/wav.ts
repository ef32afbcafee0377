/**
 * WAV: RIFF with PCM or IEEE float (Microsoft's "Multimedia Programming Interface and Data Specifications 1.0", and
 * WAVEFORMATEXTENSIBLE for more than two channels).
 *
 * @module
 */

import { TaskError } from "../../task_error.ts";
import { Tuple, type Value } from "../../values.ts";
import { type Audio, tryAudio } from "../_audio.ts";
import { readNumbers, toArray } from "../arrays.ts";
import { type Format, FormatError, type FormatOptions } from "./format.ts";

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;
/** What follows the format code in the sub-format's GUID. */
const SUBFORMAT = Uint8Array.fromHex("000000001000800000aa00389b71");

export const wav: Format = { binary: true, read: readWav, write: writeWav };

/**
 * Samples of ints are written as they are when they have 16 bits, other widths scaled to 16; floats are scaled from
 * [-1, 1], what is beyond is clipped.
 */
function writeWav(value: Value, { sampleFormat, memoryLimitBytes }: FormatOptions): Uint8Array {
  const audio = tryAudio(value);
  if (audio === undefined) throw new FormatError("it is no pair (samples, sample_rate)");
  const { channels, length, rate } = audio;
  const sampleBytes = sampleFormat === "float32" ? 4 : 2;
  const extensible = channels > 2;
  const formatBytes = extensible ? 40 : sampleFormat === "float32" ? 18 : 16;
  const dataBytes = length * channels * sampleBytes;
  const headerBytes = 12 + 8 + formatBytes + (sampleFormat === "float32" ? 12 : 0) + 8;
  if (headerBytes + dataBytes > memoryLimitBytes) throw tooLarge(headerBytes + dataBytes, memoryLimitBytes);
  if (headerBytes + dataBytes > 0xffffffff) throw new FormatError("a WAV file cannot have more than 4 GiB");
  if (channels > 0xffff) throw new FormatError("a WAV file cannot have more than 65535 channels");
  const bytes = new Uint8Array(headerBytes + dataBytes);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const tag = (text: string) => {
    for (const character of text) view.setUint8(at++, character.charCodeAt(0));
  };
  const two = (number: number) => (view.setUint16(at, number, true), at += 2);
  const four = (number: number) => (view.setUint32(at, number, true), at += 4);
  const code = sampleFormat === "float32" ? FLOAT : PCM;
  tag("RIFF");
  four(bytes.length - 8);
  tag("WAVEfmt ");
  four(formatBytes);
  two(extensible ? EXTENSIBLE : code);
  two(channels);
  four(rate);
  four(rate * channels * sampleBytes);
  two(channels * sampleBytes);
  two(sampleBytes * 8);
  if (formatBytes > 16) two(formatBytes - 18);
  if (extensible) {
    two(sampleBytes * 8);
    four(0); // No channel is said to be at a certain place.
    two(code);
    bytes.set(SUBFORMAT, at);
    at += SUBFORMAT.length;
  }
  if (sampleFormat === "float32") {
    tag("fact");
    four(4);
    four(length);
  }
  tag("data");
  four(dataBytes);
  const samples = toUnit(audio);
  for (let frame = 0; frame < length; frame++) {
    for (let channel = 0; channel < channels; channel++) {
      const sample = samples(channel * length + frame);
      if (sampleFormat === "float32") view.setFloat32(at, sample, true);
      else view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), true);
      at += sampleBytes;
    }
  }
  return bytes;
}

/** The samples by index, full scale being 1. */
function toUnit({ samples }: Audio): (index: number) => number {
  const numbers = readNumbers(samples);
  const { kind, code } = samples.dtype;
  if (kind === "f") return (index) => numbers[index] ?? 0;
  if (code === "u1") return (index) => ((numbers[index] ?? 0) - 128) / 128;
  if (code === "i1") return (index) => (numbers[index] ?? 0) / 128;
  if (code === "i4") return (index) => (numbers[index] ?? 0) / 2 ** 31;
  // JSON's ints have no width of their own; 16 bits is what audio has.
  if (code === "i2" || code === "i8" && samples.form === "json-list") return (index) => (numbers[index] ?? 0) / 32768;
  throw new FormatError(`samples of dtype ${samples.dtype} have no full scale`);
}

/** A pair `(samples, sample_rate)`, samples float32 of shape (channels, samples) in [-1, 1). */
function readWav(source: Uint8Array, { memoryLimitBytes }: FormatOptions): Value {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const tag = (at: number) => String.fromCharCode(...source.subarray(at, at + 4));
  if (source.length < 12 || tag(0) !== "RIFF" || tag(8) !== "WAVE") throw new FormatError("it is no WAV file");
  let format: { code: number; channels: number; rate: number; bits: number } | undefined;
  for (let at = 12; at + 8 <= source.length;) {
    const name = tag(at);
    const size = view.getUint32(at + 4, true);
    const start = at + 8;
    if (name === "fmt " && size >= 16 && start + size <= source.length) {
      const code = view.getUint16(start, true);
      format = {
        code: code === EXTENSIBLE && size >= 40 ? view.getUint16(start + 24, true) : code,
        channels: view.getUint16(start + 2, true),
        rate: view.getUint32(start + 4, true),
        bits: view.getUint16(start + 14, true),
      };
    } else if (name === "data") {
      if (format === undefined) throw new FormatError("it is no WAV file: there is no format before the data");
      // A writer to a pipe does not know the length; what is there counts.
      const data = source.subarray(start, Math.min(source.length, start + size));
      return decodeSamples(data, format, memoryLimitBytes);
    }
    at = start + size + (size % 2);
  }
  throw new FormatError("it is no WAV file: there is no data");
}

function decodeSamples(
  data: Uint8Array,
  { code, channels, rate, bits }: { code: number; channels: number; rate: number; bits: number },
  memoryLimitBytes: number,
): Value {
  const read = sampleReader(data, code, bits);
  if (read === undefined || channels === 0 || rate === 0) {
    throw new FormatError(`WAV of format ${code} with ${bits} bits, ${channels} channels and ${rate} Hz is not read`);
  }
  const frameBytes = bits / 8 * channels;
  const length = Math.floor(data.length / frameBytes);
  if (length * channels * 4 > memoryLimitBytes) throw tooLarge(length * channels * 4, memoryLimitBytes);
  const samples = new Float32Array(length * channels);
  for (let channel = 0; channel < channels; channel++) {
    for (let frame = 0; frame < length; frame++) {
      samples[channel * length + frame] = read(frame * frameBytes + channel * bits / 8);
    }
  }
  return new Tuple([toArray(samples, [channels, length], "numpy"), BigInt(rate)]);
}

/** Reads a sample at a byte, full scale being 1. */
function sampleReader(data: Uint8Array, code: number, bits: number): ((at: number) => number) | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (`${code}/${bits}`) {
    case `${PCM}/8`:
      return (at) => (view.getUint8(at) - 128) / 128;
    case `${PCM}/16`:
      return (at) => view.getInt16(at, true) / 2 ** 15;
    case `${PCM}/24`:
      return (at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 2 ** 16) / 2 ** 23;
    case `${PCM}/32`:
      return (at) => view.getInt32(at, true) / 2 ** 31;
    case `${FLOAT}/32`:
      return (at) => view.getFloat32(at, true);
    case `${FLOAT}/64`:
      return (at) => view.getFloat64(at, true);
    default:
      return undefined;
  }
}

function tooLarge(bytes: number, memoryLimitBytes: number): TaskError {
  const message = `Cannot convert audio: it needs ${bytes} bytes, the task may use ${memoryLimitBytes}`;
  return new TaskError("RESOURCE_LIMIT", message);
}
