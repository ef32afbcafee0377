/**
 * Python values as the plain data that text formats and MessagePack can hold.
 * @module
 */

import { contiguousBytes } from "../arrays.ts";
import { elementReader } from "../../codecs/json_elements.ts";
import { littleEndianBytes } from "../../codecs/array_bytes.ts";
import { dtypeName, pythonTypeName } from "../../codecs/type_name.ts";
import { TaskError } from "../../task_error.ts";
import { ByteArray, FrozenSet, NDArray, Tuple, type Value } from "../../values.ts";
import { toPythonNumber } from "../_python/arithmetic.ts";
import { FormatError } from "./format.ts";

/** None, bool, int, float, str, bytes, lists and dicts of them. */
export type PlainData =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | PlainData[]
  | Map<PlainData, PlainData>;

/** How values become plain. */
export interface PlainOptions {
  readonly memoryLimitBytes: number;
  /** What bytes become: the format's own, or base64 text. */
  readonly bytes: "bytes" | "base64";
}

/** Levels of nesting. */
const MAX_DEPTH = 500;
/** Estimate of what one value takes while it is converted. */
const VALUE_BYTES = 64;

/**
 * Tuples and sets become lists, numpy scalars numbers, arrays nested lists when they came as such and else `{"dtype",
 * "shape", "data"}`. What is held in several places is written in each; that is counted against the task's memory.
 *
 * @throws {FormatError} for what has no plain form: complex numbers, dates, objects
 * @throws {TaskError} `RESOURCE_LIMIT`
 */
export function toPlainData(value: Value, options: PlainOptions): PlainData {
  let leftBytes = options.memoryLimitBytes;
  const charge = (bytes: number) => {
    leftBytes -= bytes;
    if (leftBytes < 0) {
      throw new TaskError(
        "RESOURCE_LIMIT",
        `Cannot convert value: it needs more than the task's ${options.memoryLimitBytes} bytes`,
      );
    }
  };
  const fromBytes = (bytes: Uint8Array): PlainData => {
    if (options.bytes === "bytes") return bytes;
    charge(bytes.length * 3);
    return bytes.toBase64();
  };
  const convert = (value: Value, depth: number): PlainData => {
    charge(VALUE_BYTES);
    if (depth > MAX_DEPTH) throw new FormatError(`it is nested deeper than ${MAX_DEPTH} levels, or within itself`);
    if (typeof value !== "object" || value === null) return value;
    if (value instanceof Uint8Array) return fromBytes(value);
    if (value instanceof ByteArray) return fromBytes(value.bytes);
    if (value instanceof Map) {
      const dict = new Map<PlainData, PlainData>();
      for (const [key, item] of value) dict.set(convert(key, depth + 1), convert(item, depth + 1));
      return dict;
    }
    if (value instanceof NDArray) return fromArray(value, depth);
    const items = tryItems(value);
    if (items !== undefined) return Array.from(items, (item) => convert(item, depth + 1));
    const number = toPythonNumber(value);
    if (typeof number === "bigint" || typeof number === "number") return number;
    throw new FormatError(`a ${pythonTypeName(value)} has no form in it`);
  };
  const fromArray = (array: NDArray, depth: number): PlainData => {
    if (!"biuf".includes(array.dtype.kind) || array.objects !== undefined) {
      throw new FormatError(`an array of dtype ${dtypeName(array.dtype)} has no form in it`);
    }
    if (array.form === "json-list") return nestedList(array, depth);
    return new Map<PlainData, PlainData>([
      ["dtype", dtypeName(array.dtype)],
      ["shape", array.shape.map(BigInt)],
      ["data", fromBytes(littleEndianBytes(contiguousBytes(array), array.dtype))],
    ]);
  };
  const nestedList = (array: NDArray, depth: number): PlainData => {
    charge(array.size * VALUE_BYTES);
    const read = elementReader(array.dtype, contiguousBytes(array));
    if (read === undefined) throw new FormatError(`an array of dtype ${dtypeName(array.dtype)} has no form in it`);
    let index = 0;
    const axis = (at: number): PlainData => {
      const length = array.shape[at];
      return length === undefined ? convert(read(index++), depth + 1) : Array.from({ length }, () => axis(at + 1));
    };
    return axis(0);
  };
  return convert(value, 0);
}

function tryItems(value: Value): Iterable<Value> | undefined {
  if (Array.isArray(value) || value instanceof Set) return value;
  return value instanceof Tuple || value instanceof FrozenSet ? value.items : undefined;
}
