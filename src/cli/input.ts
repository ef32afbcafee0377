/**
 * Files to inputs.
 * @module
 */

import { codecFor, type Format } from "../../workers/codecs/mod.ts";
import { decodePng } from "../../workers/media/png.ts";
import { decodeWav, outputEncodingFor, type WavOutputEncoding } from "../../workers/media/wav.ts";
import { audioPair, encoded, exact, frame, type Input } from "../client/mod.ts";
import { messageOf } from "../errors.ts";
import { UsageError } from "./errors.ts";
import { readFile, type Session } from "./session.ts";

/** Kinds of input files. */
export const INPUT_TYPES = ["wav", "png", "json", "text", "raw", "pickle"] as const;
export type InputType = typeof INPUT_TYPES[number];

const TYPE_BY_ENDING: ReadonlyMap<string, InputType> = new Map([
  ["wav", "wav"],
  ["wave", "wav"],
  ["png", "png"],
  ["json", "json"],
  ["txt", "text"],
  ["bin", "raw"],
  ["raw", "raw"],
  ["pickle", "pickle"],
  ["pkl", "pickle"],
]);

/** Where the input comes from: a file, the command line, or nowhere. */
export interface InputOptions {
  /** A path, or `-` for standard input. */
  readonly input?: string;
  /** A JSON document. */
  readonly data?: string;
  readonly inputType?: InputType;
  readonly format: Format;
}

/** An input, and what is to be remembered of its file. */
export interface LoadedInput {
  readonly input: Input;
  /** How to write audio so that nothing of the input's precision is lost. */
  readonly wavEncoding: WavOutputEncoding | undefined;
}

/**
 * Reads the input that the command line names; none is `null`.
 * @throws {UsageError} for a file that cannot be read or is not what it should be
 */
export async function loadInput(options: InputOptions, { terminal }: Session): Promise<LoadedInput> {
  const { input, data, inputType, format } = options;
  if (input !== undefined && data !== undefined) throw new UsageError("--input and --data exclude each other");
  if (data !== undefined) return plain(parse(new TextEncoder().encode(data), "json", { format, where: "--data" }));
  if (input === undefined) return plain({ input: null });
  const type = inputType ?? typeOf(input, format);
  const bytes = input === "-" ? await terminal.readInput() : await readFile(input, "--input");
  return plain(parse(bytes, type, { format, where: input === "-" ? "standard input" : input }));
}

/** The kind of a file by the ending of its name. */
export function typeByEnding(path: string): InputType | undefined {
  return TYPE_BY_ENDING.get(/\.([^./\\]+)$/.exec(path)?.[1]?.toLowerCase() ?? "");
}

function typeOf(path: string, format: Format): InputType {
  if (format === "raw") return "raw";
  if (path === "-") return "json";
  const type = typeByEnding(path);
  if (type !== undefined) return type;
  const endings = [...TYPE_BY_ENDING.keys()].map((ending) => `.${ending}`).join(", ");
  throw new UsageError(
    `Cannot tell what ${path} is: its name ends in none of ${endings}`,
    `Say --input-type ${INPUT_TYPES.join("|")}`,
  );
}

interface ParsedInput {
  readonly input: Input;
  readonly wavEncoding?: WavOutputEncoding;
}

function plain({ input, wavEncoding }: ParsedInput): LoadedInput {
  return { input, wavEncoding };
}

function parse(bytes: Uint8Array, type: InputType, { format, where }: { format: Format; where: string }): ParsedInput {
  try {
    switch (type) {
      case "wav": {
        const wav = decodeWav(bytes);
        return { input: audioPair(wav.samples, wav), wavEncoding: outputEncodingFor(wav.encoding) };
      }
      case "png": {
        const picture = decodePng(bytes);
        return { input: frame(picture.pixels, picture) };
      }
      case "json":
      case "pickle":
        // Bytes that are in the wire's format already go as they are, which keeps the service the judge of them.
        return { input: type === format && type === "pickle" ? encoded(bytes) : exact(codecFor(type).decode(bytes)) };
      case "text":
        return { input: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
      case "raw":
        return { input: exact(bytes) };
    }
  } catch (cause) {
    throw new UsageError(`Cannot read ${where} as ${type}: ${messageOf(cause)}`, undefined, { cause });
  }
}
