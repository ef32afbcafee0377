/**
 * Bytes as they are.
 * @module
 */

import { TaskError } from "../task_error.ts";
import { ByteArray, NDArray, type Value } from "../values.ts";
import { cOrderBytes } from "./array_bytes.ts";
import { type Codec, type CodecLimits, DEFAULT_LIMITS } from "./codec.ts";
import { pythonTypeName } from "./type_name.ts";
import { encodeUtf8 } from "./utf8.ts";

/** Gives its input as bytes, and takes bytes, a bytearray, a str (as UTF-8) or an array (its elements in C order). */
export const raw: Codec = {
  format: "raw",
  decode: (bytes) => bytes,
  encode: (value: Value, limits: Partial<CodecLimits> = {}) => {
    const bytes = toBytes(value);
    const { maxOutputBytes = DEFAULT_LIMITS.maxOutputBytes } = limits;
    if (bytes.length > maxOutputBytes) {
      throw new TaskError("RESOURCE_LIMIT", `Cannot encode output: it exceeds the limit of ${maxOutputBytes} bytes`);
    }
    return bytes;
  },
};

function toBytes(value: Value): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ByteArray) return value.bytes;
  if (typeof value === "string") return encodeUtf8(value);
  if (value instanceof NDArray && value.objects === undefined) return cOrderBytes(value);
  const type = value instanceof NDArray ? "ndarray of objects" : pythonTypeName(value);
  throw new TaskError("TASK_FAILED", `Object of type ${type} has no raw bytes; it must be bytes, str or an array`);
}
