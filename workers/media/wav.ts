/**
 * WAV files: read to planar float32; `wav_writer.ts` writes them.
 *
 * Format: "Multimedia Programming Interface and Data Specifications 1.0", chapter 3, and for WAVE_FORMAT_EXTENSIBLE
 * https://learn.microsoft.com/windows-hardware/drivers/audio/extensible-wave-format-descriptors
 *
 * @module
 */

import { MediaError } from "./media_error.ts";
import {
  FORMAT_FLOAT,
  FORMAT_PCM,
  INTEGER_SCALE,
  SAMPLE_BYTES,
  UNKNOWN_SIZE,
  type WavAudio,
  wavBlockBytes,
  type WavEncoding,
  type WavOutputEncoding,
} from "./wav_layout.ts";

export { type WavAudio, wavBlockBytes, type WavEncoding, type WavOutputEncoding } from "./wav_layout.ts";
export { type EncodedWav, encodeWav, encodeWavHead, encodeWavSamples } from "./wav_writer.ts";

/** What {@linkcode decodeWav} gives. */
export interface DecodedWav extends WavAudio {
  /** How the samples lay in the file. */
  readonly encoding: WavEncoding;
}

const FORMAT_EXTENSIBLE = 0xfffe;

/** Sizes that programs write for a data chunk when they cannot seek back to put in the true one. */
const UNKNOWN_SIZES: ReadonlySet<number> = new Set([UNKNOWN_SIZE, 0x7fffffff, 0xffffffff - 36, 0x7fffffff - 36]);

/** Names of formats that people meet and that this reader refuses. */
const OTHER_FORMATS: ReadonlyMap<number, string> = new Map([
  [2, "Microsoft ADPCM"],
  [6, "A-law"],
  [7, "µ-law"],
  [0x11, "IMA ADPCM"],
  [0x31, "GSM 6.10"],
  [0x55, "MP3"],
]);

/** Bytes 2 to 15 of a sub-format's GUID; its first two are the format code. */
const SUB_FORMAT_TAIL = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/**
 * Reads a WAV file: PCM of 8, 16, 24 or 32 bits, float of 32 or 64, with a plain or an extensible header.
 *
 * A data chunk of unknown size, as programs write it to a pipe, reaches to the end of the file.
 *
 * @throws {MediaError} for anything that is not such a file, one that ends too early among it.
 */
export function decodeWav(bytes: Uint8Array): DecodedWav {
  const head = readWavHead(bytes);
  if ("missing" in head) throw new MediaError(head.missing);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { channels, sampleRate, encoding } = head;
  return { samples: readWavSamples(dataChunk(view, head), head), channels, sampleRate, encoding };
}

/** What stands before the samples of a WAV file. */
export interface WavHead {
  readonly encoding: WavEncoding;
  readonly channels: number;
  /** In Hz. */
  readonly sampleRate: number;
  /** Where the samples start, in bytes. */
  readonly dataStart: number;
  /** Bytes of samples as the file says; `undefined` where its writer could not know. */
  readonly dataBytes: number | undefined;
}

/** A file whose first bytes do not reach to the samples. */
export interface IncompleteHead {
  /** What is wrong with it if there are no more bytes. */
  readonly missing: string;
  /** Bytes from its start that have to be there before it is worth to look again. */
  readonly neededBytes: number;
}

/**
 * Reads what comes before the samples, for files that come bit by bit.
 * @param bytes The file's first
 * @throws {MediaError} for bytes that no WAV file starts with
 */
export function readWavHead(bytes: Uint8Array): WavHead | IncompleteHead {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const noWav = "Not a WAV file: it does not start with RIFF and WAVE";
  if (bytes.length < 12) return { missing: noWav, neededBytes: 12 };
  const magic = tag(bytes, 0);
  if (magic === "RF64" || magic === "BW64") throw new MediaError(`${magic} files (over 4 GiB) are not supported`);
  if (magic !== "RIFF" || tag(bytes, 8) !== "WAVE") throw new MediaError(noWav);
  let format: Format | undefined;
  let position = 12;
  while (position + 8 <= bytes.length) {
    const id = tag(bytes, position);
    const size = view.getUint32(position + 4, true);
    const start = position + 8;
    if (id === "data") {
      if (format === undefined) throw new MediaError("Malformed WAV file: the data chunk comes before the fmt chunk");
      return { ...format, dataStart: start, dataBytes: UNKNOWN_SIZES.has(size) ? undefined : size };
    }
    if (start + size > bytes.length) {
      const missing = `Malformed WAV file: chunk ${JSON.stringify(id)} is cut off after ${bytes.length} bytes`;
      return { missing, neededBytes: start + size };
    }
    if (id === "fmt ") format = readFormat(view, { start, size });
    position = start + size + (size % 2); // Chunks start at even places.
  }
  const missing = `Malformed WAV file: it has no ${format === undefined ? "fmt" : "data"} chunk`;
  return { missing, neededBytes: position + 8 };
}

/** The encoding that loses nothing of a file, of those that {@linkcode encodeWav} writes. */
export function outputEncodingFor(encoding: WavEncoding): WavOutputEncoding {
  switch (encoding) {
    case "pcm8":
    case "pcm16":
      return "pcm16";
    case "pcm24":
      return "pcm24";
    case "pcm32":
    case "float32":
    case "float64":
      return "float32"; // Which is what the samples were read to.
  }
}

interface Format {
  readonly encoding: WavEncoding;
  readonly channels: number;
  readonly sampleRate: number;
}

interface Chunk {
  readonly start: number;
  readonly size: number;
}

function tag(bytes: Uint8Array, position: number): string {
  return String.fromCharCode(...bytes.subarray(position, position + 4));
}

function readFormat(view: DataView, { start, size }: Chunk): Format {
  if (size < 16) throw new MediaError(`Malformed WAV file: its fmt chunk has ${size} bytes instead of 16 or more`);
  let code = view.getUint16(start, true);
  const channels = view.getUint16(start + 2, true);
  const sampleRate = view.getUint32(start + 4, true);
  const blockBytes = view.getUint16(start + 12, true);
  const bits = view.getUint16(start + 14, true);
  if (code === FORMAT_EXTENSIBLE) {
    if (size < 40) throw new MediaError(`Malformed WAV file: its extensible fmt chunk has ${size} bytes instead of 40`);
    if (SUB_FORMAT_TAIL.some((byte, index) => view.getUint8(start + 26 + index) !== byte)) {
      throw new MediaError("WAV files of this sub-format are not supported, only PCM and float");
    }
    code = view.getUint16(start + 24, true);
  }
  if (channels === 0) throw new MediaError("Malformed WAV file: it has 0 channels");
  if (sampleRate === 0) throw new MediaError("Malformed WAV file: its sample rate is 0 Hz");
  if (code !== FORMAT_PCM && code !== FORMAT_FLOAT) {
    const name = OTHER_FORMATS.get(code) ?? `format 0x${code.toString(16)}`;
    throw new MediaError(`WAV files with ${name} are not supported, only PCM and float: convert it first`);
  }
  // A sample of 20 bits lies left-justified in 3 bytes, so the size of its place is what counts.
  const encoding = encodingOf(code, blockBytes / channels);
  if (encoding === undefined || bits === 0 || bits > SAMPLE_BYTES[encoding] * 8) {
    const kind = code === FORMAT_FLOAT ? "float" : "PCM";
    throw new MediaError(
      `Malformed WAV file: ${kind} samples of ${bits} bits in blocks of ${blockBytes} bytes for ${channels} channels`,
    );
  }
  return { encoding, channels, sampleRate };
}

function encodingOf(code: number, sampleBytes: number): WavEncoding | undefined {
  if (code === FORMAT_FLOAT) return sampleBytes === 4 ? "float32" : sampleBytes === 8 ? "float64" : undefined;
  return ([undefined, "pcm8", "pcm16", "pcm24", "pcm32"] as const)[sampleBytes];
}

function dataChunk(view: DataView, head: WavHead): DataView {
  const { dataStart, dataBytes } = head;
  const blockBytes = wavBlockBytes(head);
  const available = view.byteLength - dataStart;
  if (dataBytes === undefined) {
    return new DataView(view.buffer, view.byteOffset + dataStart, available - (available % blockBytes));
  }
  if (dataBytes > available) {
    throw new MediaError(`Malformed WAV file: its data chunk says ${dataBytes} bytes, but only ${available} are there`);
  }
  if (dataBytes % blockBytes !== 0) {
    throw new MediaError(
      `Malformed WAV file: ${dataBytes} bytes of data are no whole number of ${blockBytes}-byte blocks`,
    );
  }
  return new DataView(view.buffer, view.byteOffset + dataStart, dataBytes);
}

/** Samples as they lie in a file, whole blocks of them, as float32 of shape (channels, samples). */
export function readWavSamples(
  data: DataView,
  { encoding, channels }: Pick<WavHead, "encoding" | "channels">,
): Float32Array {
  const sampleBytes = SAMPLE_BYTES[encoding];
  const length = data.byteLength / sampleBytes / channels;
  const samples = new Float32Array(length * channels);
  const read = sampleReader(data, encoding);
  let position = 0;
  for (let index = 0; index < length; index++) {
    for (let channel = 0; channel < channels; channel++, position += sampleBytes) {
      samples[channel * length + index] = read(position);
    }
  }
  return samples;
}

/** Reads the sample that starts at a byte position, full scale ±1. */
function sampleReader(data: DataView, encoding: WavEncoding): (position: number) => number {
  switch (encoding) {
    case "pcm8":
      return (position) => (data.getUint8(position) - 128) / INTEGER_SCALE.pcm8;
    case "pcm16":
      return (position) => data.getInt16(position, true) / INTEGER_SCALE.pcm16;
    case "pcm24":
      return (position) => (data.getUint16(position, true) | data.getInt8(position + 2) << 16) / INTEGER_SCALE.pcm24;
    case "pcm32":
      return (position) => data.getInt32(position, true) / INTEGER_SCALE.pcm32;
    case "float32":
      return (position) => data.getFloat32(position, true);
    case "float64":
      return (position) => data.getFloat64(position, true);
  }
}
