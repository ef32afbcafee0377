/**
 * The sound that a stream sends, as the command line describes it.
 * @module
 */

import type { WavEncoding } from "../../../workers/media/wav.ts";
import { UsageError } from "../errors.ts";
import { fileProblem, type Session } from "../session.ts";
import { ByteReader } from "./byte_reader.ts";
import { SoundSource } from "./sound_source.ts";

/** Samples of raw input. */
export const SAMPLE_FORMATS = ["s16le", "f32le"] as const;
export type SampleFormat = typeof SAMPLE_FORMATS[number];

const ENCODINGS = { s16le: "pcm16", f32le: "float32" } as const satisfies Record<SampleFormat, WavEncoding>;

/** What the command line says of the input. */
export interface SoundOptions {
  /** A path, or `-` for standard input. */
  readonly input: string;
  /** In Hz; only of raw samples. */
  readonly rate?: number;
  readonly channels?: number;
  readonly sampleFormat?: SampleFormat;
}

/**
 * Opens the input and reads no more than what comes before the sound.
 * @param stop Ends the sound where it is
 * @throws {UsageError} for a file that cannot be read or is no WAV file
 */
export async function openSound(
  { input, rate, channels, sampleFormat }: SoundOptions,
  { session, stop }: { session: Session; stop: AbortSignal },
): Promise<SoundSource> {
  if (rate === undefined && (channels !== undefined || sampleFormat !== undefined)) {
    throw new UsageError("--channels and --sample-format are for raw samples, and these need --rate too");
  }
  const bytes = input === "-" ? session.terminal.inputStream() : await openFile(input);
  const reader = new ByteReader(bytes, stop);
  const where = input === "-" ? "standard input" : input;
  if (rate === undefined) return await SoundSource.wav(reader, where);
  const format = { encoding: ENCODINGS[sampleFormat ?? "s16le"], channels: channels ?? 1, sampleRate: rate };
  return SoundSource.raw(reader, format, where);
}

async function openFile(path: string): Promise<AsyncIterable<Uint8Array>> {
  try {
    return (await Deno.open(path)).readable;
  } catch (cause) {
    throw new UsageError(`Cannot read ${path} for --input: ${fileProblem(cause)}`, undefined, { cause });
  }
}
