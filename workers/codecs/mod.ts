/**
 * The serialization formats of the wire.
 * @module
 */

import { TaskError } from "../task_error.ts";
import type { Codec } from "./codec.ts";
import { json } from "./json.ts";
import { pickle } from "./pickle.ts";
import { raw } from "./raw.ts";

export { type Codec, type CodecLimits, DEFAULT_LIMITS, type Format } from "./codec.ts";
export { cOrderBytes, littleEndianBytes } from "./array_bytes.ts";
export { parseLiteral } from "./literal.ts";
export { pythonFloat } from "./python_float.ts";
export { dtypeName, pythonTypeName } from "./type_name.ts";

const CODECS: ReadonlyMap<string, Codec> = new Map([json, pickle, raw].map((codec) => [codec.format, codec]));

/**
 * Finds a codec by the name that a request gives; none means pickle.
 * @throws {TaskError} `INVALID_TASK` for a name that is no format.
 */
export function codecFor(format: string): Codec {
  const codec = CODECS.get(format === "" ? "pickle" : format);
  if (codec !== undefined) return codec;
  const shown = JSON.stringify(format.length > 40 ? format.slice(0, 40) + "…" : format);
  const available = [...CODECS.keys()].join(", ");
  throw new TaskError("INVALID_TASK", `Unknown serialization format: ${shown}; available: ${available}`);
}
