/**
 * What a codec is: the way from the bytes of a message to a {@linkcode Value} and back.
 * @module
 */

import type { Value } from "../values.ts";

/** Names of the serialization formats, as requests give them. */
export type Format = "json" | "pickle" | "raw";

/** What decoding and encoding one message may cost. */
export interface CodecLimits {
  /** Levels of nesting; a scalar has none, `[]` one. */
  readonly maxDepth: number;
  /**
   * Bytes that decoding may allocate. It is an estimate from above, charged before the allocation and never given back,
   * so that the cost of a document is bounded even where it throws away what it built.
   */
  readonly memoryLimitBytes: number;
  /** Bytes that encoding may produce. */
  readonly maxOutputBytes: number;
}

/**
 * Limits where the caller names none: the service's own defaults for memory and output, and a depth that CPython's
 * recursion limit (1000) keeps its own pickles and JSON documents below.
 */
export const DEFAULT_LIMITS: CodecLimits = {
  maxDepth: 1000,
  memoryLimitBytes: 512 * 2 ** 20,
  maxOutputBytes: 100 * 2 ** 20,
};

/** Reads and writes one serialization format. Codecs hold no state: one object serves every task. */
export interface Codec {
  readonly format: Format;

  /**
   * Reads one value. Bytes of the result may be views on `bytes`, which must not change afterwards.
   *
   * @throws {TaskError} `INVALID_TASK` for bytes that are not of this format, `SECURITY_VIOLATION` for what the format
   * could but the service does not allow, `RESOURCE_LIMIT` where a limit is exceeded.
   */
  decode(bytes: Uint8Array, limits?: Partial<CodecLimits>): Value;

  /**
   * Writes one value. The result may be a view on a larger buffer, which nothing else uses.
   *
   * @throws {TaskError} `TASK_FAILED` for a value that the format cannot express, `RESOURCE_LIMIT` where a limit is
   * exceeded.
   */
  encode(value: Value, limits?: Partial<CodecLimits>): Uint8Array;
}
