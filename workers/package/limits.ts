/**
 * What a code package may hold, and how a refusal says so.
 * @module
 */

import { TaskError } from "../task_error.ts";

/** Bounds of a code package. The policy's `packages` section gives the first three. */
export interface PackageLimits {
  /** The package as it came, in bytes. */
  readonly maxCompressedBytes: number;
  /** All its files unpacked, in bytes. */
  readonly maxUnpackedBytes: number;
  /** Entries of the zip, folders included. */
  readonly maxFiles: number;
  /** Unpacked by packed size of the whole package. Packages of at most {@linkcode RATIO_FREE_BYTES} may have any. */
  readonly maxRatio: number;
  /** Length of a path, in bytes of UTF-8. */
  readonly maxPathBytes: number;
  /** Folders and file name of a path together. */
  readonly maxPathDepth: number;
  /** One TypeScript or JavaScript module, in bytes; parsing takes up to 350 times that in memory. */
  readonly maxModuleBytes: number;
  /** All modules of the package together, in bytes. */
  readonly maxModulesBytes: number;
}

/** The policy's defaults, and bounds that no ordinary package comes near. */
export const DEFAULT_PACKAGE_LIMITS: PackageLimits = {
  maxCompressedBytes: 64 * 2 ** 20,
  maxUnpackedBytes: 256 * 2 ** 20,
  maxFiles: 10_000,
  maxRatio: 100,
  maxPathBytes: 512,
  maxPathDepth: 32,
  maxModuleBytes: 2 ** 20,
  maxModulesBytes: 16 * 2 ** 20,
};

/** Unpacked size up to which the ratio does not count: a small file of zeros is no bomb. */
export const RATIO_FREE_BYTES = 2 ** 20;

const NAME_LENGTH_SHOWN = 120;

/** A string of the caller's, quoted, escaped and cut for a message. */
export function show(text: string): string {
  const cut = text.length > NAME_LENGTH_SHOWN ? `${text.slice(0, NAME_LENGTH_SHOWN)}…` : text;
  // Bidirectional controls and lone surrogates must not reach a terminal either; JSON escapes the latter.
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Names of what is there, for a message: at most ten. */
export function showList(names: Iterable<string>): string {
  const all = [...names];
  const shown = all.slice(0, 10).map(show).join(", ");
  return all.length > 10 ? `${shown} and ${all.length - 10} more` : shown;
}

/** The package cannot be read as one. */
export function malformed(state: string, options?: ErrorOptions): TaskError {
  return new TaskError("INVALID_TASK", `Cannot read code package: ${state}`, options);
}

/** The package does what only an attack does. */
export function hostile(state: string): TaskError {
  return new TaskError("SECURITY_VIOLATION", `Cannot accept code package: ${state}`);
}

/** The package needs more than it may have. */
export function overLimit(what: string, limit: number, used: number, unit: string): TaskError {
  return new TaskError(
    "RESOURCE_LIMIT",
    `Cannot accept code package: ${what} is limited to ${limit} ${unit}, and it has ${used}`,
  );
}
