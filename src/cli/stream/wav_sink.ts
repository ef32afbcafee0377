/**
 * A WAV file that is written as its sound comes.
 * @module
 */

import {
  encodeWavHead,
  encodeWavSamples,
  type WavAudio,
  wavBlockBytes,
  type WavOutputEncoding,
} from "../../../workers/media/wav.ts";
import { OutputError } from "../errors.ts";
import { clippedWarning, describeSound } from "../output.ts";
import { fileProblem, type Session } from "../session.ts";

/** What is open while sound is written. */
interface OpenFile {
  readonly channels: number;
  readonly sampleRate: number;
  /** `undefined` for standard output. */
  readonly file: Deno.FsFile | undefined;
}

/**
 * Writes sound to a file, or with `-` to standard output. The head says that the length is unknown; at the end the true
 * one takes its place, where the file is one that can be written to twice.
 */
export class WavSink implements Disposable {
  #open: OpenFile | undefined;
  #samples = 0;
  #clipped = 0;

  constructor(readonly path: string, readonly encoding: WavOutputEncoding, readonly session: Session) {}

  /**
   * Writes more sound. The file is made with the first.
   * @throws {OutputError} for sound of another rate or number of channels, and when the file cannot be written
   */
  async write(audio: WavAudio): Promise<void> {
    const open = this.#open ??= await this.#create(audio);
    const { channels, sampleRate, samples } = audio;
    if (channels !== open.channels || sampleRate !== open.sampleRate) {
      throw this.#failure(
        `the sound changes from ${open.channels} × ${open.sampleRate} Hz to ${channels} × ${sampleRate} Hz`,
      );
    }
    const { bytes, clipped } = encodeWavSamples(audio, this.encoding);
    await this.#put(open, bytes);
    this.#samples += samples.length;
    this.#clipped += clipped;
  }

  /** Completes the file and tells of it. @throws {OutputError} when it cannot be written */
  async finish(): Promise<void> {
    const { path, encoding, session } = this;
    const open = this.#open;
    if (open === undefined) return await session.note(`No sound came: ${path} is not written`);
    const { channels, file } = open;
    const length = this.#samples / channels;
    const dataBytes = length * wavBlockBytes({ encoding, channels });
    if (dataBytes % 2 === 1) await this.#put(open, Uint8Array.of(0)); // Chunks end at even places.
    if (file !== undefined) {
      await this.#guard(async () => {
        if (!(await file.stat()).isFile) return;
        await file.seek(0, Deno.SeekMode.Start);
        await writeAll(file, encodeWavHead(open, encoding, length));
      });
      await session.note(`Wrote ${path}: ${describeSound({ ...open, length }, encoding)}`);
    }
    if (this.#clipped > 0) await session.note(`Warning: ${clippedWarning(this.#clipped, this.#samples)}`);
    this[Symbol.dispose]();
  }

  /** Closes the file, however far it has come. */
  [Symbol.dispose](): void {
    this.#open?.file?.close();
    this.#open = undefined;
  }

  async #create({ channels, sampleRate }: WavAudio): Promise<OpenFile> {
    const { path } = this;
    const file = path === "-"
      ? undefined
      : await this.#guard(() => Deno.open(path, { write: true, create: true, truncate: true }));
    const open = { channels, sampleRate, file };
    this.#open = open; // So that it is closed whatever comes.
    await this.#put(open, await this.#guard(() => encodeWavHead(open, this.encoding, undefined)));
    return open;
  }

  async #put({ file }: OpenFile, bytes: Uint8Array): Promise<void> {
    if (file === undefined) await this.session.print(bytes);
    else await this.#guard(() => writeAll(file, bytes));
  }

  async #guard<T>(action: () => T | Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (cause) {
      throw this.#failure(fileProblem(cause), cause);
    }
  }

  #failure(problem: string, cause?: unknown): OutputError {
    const name = this.path === "-" ? "standard output" : this.path;
    return new OutputError(`Cannot write ${name}: ${problem}`, undefined, { cause });
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
}
