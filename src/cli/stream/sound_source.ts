/**
 * Sound that is read as it comes, from WAV files or raw samples.
 * @module
 */

import { readWavHead, readWavSamples, wavBlockBytes, type WavEncoding } from "../../../workers/media/wav.ts";
import { messageOf } from "../../errors.ts";
import { UsageError } from "../errors.ts";
import type { ByteReader } from "./byte_reader.ts";

/** How sound is laid out. */
export interface SoundFormat {
  readonly encoding: WavEncoding;
  readonly channels: number;
  /** In Hz. */
  readonly sampleRate: number;
}

/** Bytes that a file may have before its samples; pictures of an album are among them. */
const MAX_HEAD_BYTES = 16 * 1024 * 1024;

/** Sizes from here on are what recorders write that do not know how long they will go on. */
const ENDLESS_BYTES = 0x7fff0000;

/** A piece of sound. */
export interface Chunk {
  /** Shape (channels, samples). */
  readonly samples: Float32Array;
  /** Where it lies in the stream, in seconds. */
  readonly start: number;
  readonly end: number;
}

/** Sound that is read. */
export class SoundSource {
  private constructor(
    readonly format: SoundFormat,
    readonly reader: ByteReader,
    readonly dataBytes: number | undefined,
    readonly where: string,
  ) {}

  /** Raw samples, interleaved. */
  static raw(reader: ByteReader, format: SoundFormat, where: string): SoundSource {
    return new SoundSource(format, reader, undefined, where);
  }

  /**
   * A WAV file, of which no more than the head is waited for.
   * @throws {UsageError} for anything else
   */
  static async wav(reader: ByteReader, where: string): Promise<SoundSource> {
    for (let needed = 1;;) {
      const bytes = await reader.peek(needed);
      const head = parseHead(bytes, where);
      if (!("missing" in head)) {
        await reader.read(head.dataStart);
        const { dataBytes } = head;
        return new SoundSource(head, reader, (dataBytes ?? Infinity) >= ENDLESS_BYTES ? undefined : dataBytes, where);
      }
      if (bytes.length < needed) throw notWav(where, head.missing);
      if (head.neededBytes > MAX_HEAD_BYTES) {
        throw notWav(where, `its sound does not begin within ${MAX_HEAD_BYTES} bytes`);
      }
      needed = head.neededBytes;
    }
  }

  /**
   * The sound in chunks of so many samples per channel, the last one maybe shorter.
   * @param warn Is told what is wrong with the end of the stream
   */
  async *chunks(length: number, warn: (text: string) => void): AsyncGenerator<Chunk, void, void> {
    const { format, reader, dataBytes, where } = this;
    const blockBytes = wavBlockBytes(format);
    let left = dataBytes ?? Infinity;
    for (let position = 0; left > 0;) {
      const bytes = await reader.read(Math.min(length * blockBytes, left));
      left -= bytes.length;
      const blocks = Math.floor(bytes.length / blockBytes);
      if (bytes.length % blockBytes > 0) warn(`${where} ends within a sample, which is left out`);
      if (blocks > 0) {
        const data = new DataView(bytes.buffer, bytes.byteOffset, blocks * blockBytes);
        const start = position / format.sampleRate;
        position += blocks;
        yield { samples: readWavSamples(data, format), start, end: position / format.sampleRate };
      }
      if (blocks < length && left > 0) {
        if (dataBytes !== undefined) warn(`${where} has ${left} bytes of sound less than it says`);
        return;
      }
    }
  }
}

function parseHead(bytes: Uint8Array, where: string): ReturnType<typeof readWavHead> {
  try {
    return readWavHead(bytes);
  } catch (cause) {
    throw notWav(where, messageOf(cause), cause);
  }
}

function notWav(where: string, problem: string, cause?: unknown): UsageError {
  const hint = "Raw samples need --rate, and --channels and --sample-format where they are not one channel of s16le";
  return new UsageError(`Cannot read ${where} as wav: ${problem}`, hint, { cause });
}
