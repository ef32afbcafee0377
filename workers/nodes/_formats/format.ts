/**
 * What FormatConverter's formats have in common.
 * @module
 */

import type { Value } from "../../values.ts";

/** A value that a format cannot express, or bytes that are not of the format. The caller's, never ours. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

/** How to read and write. */
export interface FormatOptions {
  /** Bytes that the task may still allocate. */
  readonly memoryLimitBytes: number;
  /** What separates the columns of CSV. */
  readonly delimiter: string;
  /** How WAV holds the samples. */
  readonly sampleFormat: "int16" | "float32";
}

/** A format. */
export interface Format {
  /** Whether it is bytes rather than text. */
  readonly binary: boolean;
  /** @throws {FormatError} for what is not of this format */
  read(source: Uint8Array, options: FormatOptions): Value | Promise<Value>;
  /** Bytes for a binary format, a str for others. @throws {FormatError} for what it cannot express */
  write(value: Value, options: FormatOptions): string | Uint8Array;
}

/** Bytes as UTF-8. @throws {FormatError} */
export function toText(source: Uint8Array, format: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(source);
  } catch (error) {
    throw new FormatError(`it is no ${format}: it is not UTF-8`, { cause: error });
  }
}
