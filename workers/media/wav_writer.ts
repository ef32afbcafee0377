/**
 * WAV files, written. The format is that of `wav.ts`.
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
  type WavOutputEncoding,
} from "./wav_layout.ts";

/** What {@linkcode encodeWav} gives. */
export interface EncodedWav {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Samples beyond full scale, which were clipped, and samples that are not numbers, which became silence. */
  readonly clipped: number;
}

const HEADER_BYTES = 44;
const FLOAT_HEADER_BYTES = 58;

/**
 * Writes a WAV file. Integers are rounded to the nearest, without dither, so that what `decodeWav` read from
 * the same encoding comes out bit by bit.
 *
 * @throws {MediaError} for more than 65,535 channels, a rate that is not a positive whole number, or over 4 GiB.
 */
export function encodeWav(audio: WavAudio, encoding: WavOutputEncoding = "pcm16"): EncodedWav {
  const { samples, channels } = audio;
  const head = encodeWavHead(audio, encoding, samples.length / channels);
  if (samples.length % channels !== 0) throw new RangeError("samples.length must be a multiple of channels");
  const data = encodeWavSamples(audio, encoding);
  const bytes = new Uint8Array(head.length + data.bytes.length + data.bytes.length % 2);
  bytes.set(head);
  bytes.set(data.bytes, head.length);
  return { bytes, clipped: data.clipped };
}

/**
 * What stands before the samples in a WAV file.
 *
 * @param length Samples of each channel; `undefined` when nobody knows yet, and readers go on to the file's end
 * @throws {MediaError} as {@linkcode encodeWav}
 */
export function encodeWavHead(
  { channels, sampleRate }: Pick<WavAudio, "channels" | "sampleRate">,
  encoding: WavOutputEncoding,
  length: number | undefined,
): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(channels) || channels < 1 || channels > 0xffff) {
    throw new MediaError(`A WAV file has 1 to 65535 channels, not ${channels}`);
  }
  if (!Number.isInteger(sampleRate) || sampleRate < 1 || sampleRate > 0xffffffff) {
    throw new MediaError(`A WAV file's sample rate is a whole number of Hz, not ${sampleRate}`);
  }
  const headerBytes = encoding === "float32" ? FLOAT_HEADER_BYTES : HEADER_BYTES;
  const dataBytes = length === undefined ? undefined : length * channels * SAMPLE_BYTES[encoding];
  if (dataBytes !== undefined && headerBytes + dataBytes + 1 > 0xffffffff) {
    throw new MediaError("A WAV file holds less than 4 GiB");
  }
  const bytes = new Uint8Array(headerBytes);
  writeHeader(new DataView(bytes.buffer), { channels, sampleRate, encoding, dataBytes, headerBytes });
  return bytes;
}

/** Samples as they lie in a WAV file. */
export function encodeWavSamples(
  { samples, channels }: Pick<WavAudio, "samples" | "channels">,
  encoding: WavOutputEncoding,
): EncodedWav {
  const bytes = new Uint8Array(samples.length * SAMPLE_BYTES[encoding]);
  return { bytes, clipped: writeSamples(new DataView(bytes.buffer), { samples, channels, encoding }) };
}

interface HeaderFields {
  readonly channels: number;
  readonly sampleRate: number;
  readonly encoding: WavOutputEncoding;
  readonly dataBytes: number | undefined;
  readonly headerBytes: number;
}

function writeHeader(view: DataView, fields: HeaderFields): void {
  const { channels, sampleRate, encoding, dataBytes, headerBytes } = fields;
  const sampleBytes = SAMPLE_BYTES[encoding];
  const isFloat = encoding === "float32";
  writeTag(view, 0, "RIFF");
  view.setUint32(4, dataBytes === undefined ? UNKNOWN_SIZE : headerBytes + dataBytes + dataBytes % 2 - 8, true);
  writeTag(view, 8, "WAVE");
  writeTag(view, 12, "fmt ");
  view.setUint32(16, isFloat ? 18 : 16, true);
  view.setUint16(20, isFloat ? FORMAT_FLOAT : FORMAT_PCM, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, Math.min(sampleRate * channels * sampleBytes, 0xffffffff), true);
  view.setUint16(32, channels * sampleBytes, true);
  view.setUint16(34, sampleBytes * 8, true);
  if (isFloat) {
    // Formats other than PCM name the size of their extension (none) and have a fact chunk.
    writeTag(view, 38, "fact");
    view.setUint32(42, 4, true);
    view.setUint32(46, dataBytes === undefined ? UNKNOWN_SIZE : dataBytes / channels / sampleBytes, true);
  }
  writeTag(view, headerBytes - 8, "data");
  view.setUint32(headerBytes - 4, dataBytes ?? UNKNOWN_SIZE, true);
}

function writeTag(view: DataView, position: number, text: string): void {
  for (let index = 0; index < 4; index++) view.setUint8(position + index, text.charCodeAt(index));
}

/** Writes the samples interleaved and counts those that do not fit. */
function writeSamples(
  view: DataView,
  { samples, channels, encoding }: { samples: Float32Array; channels: number; encoding: WavOutputEncoding },
): number {
  const length = samples.length / channels;
  let position = 0;
  let clipped = 0;
  for (let index = 0; index < length; index++) {
    for (let channel = 0; channel < channels; channel++, position += SAMPLE_BYTES[encoding]) {
      const sample = samples[channel * length + index]!;
      if (encoding === "float32") {
        view.setFloat32(position, sample, true);
        continue;
      }
      // Exactly +1 is one step more than there is, which nobody hears and which is no clipping.
      if (!(Math.abs(sample) <= 1)) clipped++;
      const scale = INTEGER_SCALE[encoding];
      const integer = Math.max(-scale, Math.min(scale - 1, Math.round((sample || 0) * scale)));
      view.setInt16(position, encoding === "pcm16" ? integer : integer & 0xffff, true);
      if (encoding === "pcm24") view.setInt8(position + 2, integer >> 16);
    }
  }
  return clipped;
}
