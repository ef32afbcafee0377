/**
 * Writes JSON as Python's `json.dumps` would, but compact and in UTF-8 rather than ASCII with escapes.
 *
 * Arrays are written in the form that they came in: nested lists, or `{"dtype", "shape", "data"}` with the elements as
 * base64, in C order and little endian. A numpy scalar is a number.
 *
 * @module
 */

import { TaskError } from "../task_error.ts";
import { type DType, NDArray, NumpyScalar, Tuple, type Value } from "../values.ts";
import { cOrderBytes, littleEndianBytes } from "./array_bytes.ts";
import { ByteWriter } from "./byte_writer.ts";
import { type CodecLimits, DEFAULT_LIMITS } from "./codec.ts";
import { elementReader } from "./json_elements.ts";
import { MAX_INT_DIGITS } from "./json_decode.ts";
import { pythonFloat } from "./python_float.ts";
import { dtypeName, pythonTypeName } from "./type_name.ts";

/** Text is gathered up to this length, then written. */
const CHUNK_LENGTH = 16 * 1024;
const MAX_INT = 10n ** BigInt(MAX_INT_DIGITS);
const ENCODER = new TextEncoder();
/** Strings up to this length are looked at in a loop, which beats the fixed price of JSON.stringify. */
const SHORT_TEXT = 40;

/** Writes one document. */
export function encodeJson(value: Value, limits: Partial<CodecLimits> = {}): Uint8Array {
  const { maxDepth, maxOutputBytes } = { ...DEFAULT_LIMITS, ...limits };
  try {
    return new JsonWriter(maxDepth, maxOutputBytes).run(value);
  } catch (error) {
    // The stack is enough for the default depth by far; a caller may have asked for more.
    if (error instanceof RangeError) throw tooDeep(maxDepth, error);
    throw error;
  }
}

class JsonWriter {
  readonly #out: ByteWriter;
  readonly #maxDepth: number;
  #depth = 0;
  #text = "";

  constructor(maxDepth: number, maxOutputBytes: number) {
    this.#maxDepth = maxDepth;
    this.#out = new ByteWriter(maxOutputBytes);
  }

  run(value: Value): Uint8Array {
    this.#write(value);
    this.#flush();
    return this.#out.finish();
  }

  #write(value: Value): void {
    switch (typeof value) {
      case "string":
        return this.#emit(quote(value));
      case "bigint":
        return this.#emit(intText(value));
      case "number":
        return this.#emit(floatText(value));
      case "boolean":
        return this.#emit(value ? "true" : "false");
    }
    if (value === null) return this.#emit("null");
    if (value instanceof NumpyScalar) return this.#writeScalar(value);
    if (++this.#depth > this.#maxDepth) throw tooDeep(this.#maxDepth);
    if (Array.isArray(value)) this.#writeList(value);
    else if (value instanceof Map) this.#writeDict(value);
    else if (value instanceof Tuple) this.#writeList(value.items);
    else if (value instanceof NDArray) this.#writeArray(value);
    else unsupported(pythonTypeName(value));
    this.#depth--;
  }

  #writeList(items: readonly Value[]): void {
    this.#emit("[");
    let isFirst = true;
    for (const item of items) {
      if (!isFirst) this.#text += ",";
      isFirst = false;
      this.#write(item);
    }
    this.#emit("]");
  }

  #writeDict(dict: Map<Value, Value>): void {
    let separator = "{";
    for (const [key, value] of dict) {
      this.#text += separator + keyText(key) + ":";
      separator = ",";
      this.#write(value);
    }
    this.#emit(dict.size === 0 ? "{}" : "}");
  }

  #writeScalar({ dtype, bytes }: NumpyScalar): void {
    const read = elementReader(dtype, bytes);
    if (read === undefined) return unsupported(pythonTypeName(new NumpyScalar(dtype, bytes)));
    this.#write(read(0));
  }

  #writeArray(array: NDArray): void {
    if (array.form === "json-list") return this.#writeNested(array);
    if (!"biufcSU".includes(array.dtype.kind) || array.objects !== undefined) unsupportedArray(array.dtype);
    const bytes = littleEndianBytes(cOrderBytes(array), array.dtype);
    const { dtype: { kind, code } } = array;
    const name = kind === "U" ? `<${code}` : dtypeName(array.dtype);
    this.#emit(`{"dtype":${JSON.stringify(name)},"shape":[${array.shape.join(",")}],"data":"`);
    this.#flush();
    this.#out.reserve(Math.ceil(bytes.length / 3) * 4);
    // Pieces of whole triples, so that no copy of the size of the array lies between.
    for (let at = 0; at < bytes.length; at += 3 * CHUNK_LENGTH) {
      this.#emit(bytes.subarray(at, at + 3 * CHUNK_LENGTH).toBase64());
    }
    this.#emit('"}');
  }

  #writeNested(array: NDArray): void {
    const { shape, objects, dtype } = array;
    const bytes = objects === undefined ? cOrderBytes(array) : array.bytes;
    const read = objects === undefined ? elementReader(dtype, bytes) : (index: number) => objects[index] ?? null;
    if (read === undefined) return unsupportedArray(dtype);
    let index = 0;
    const writeAxis = (axis: number) => {
      if (axis === shape.length) return this.#write(read(index++));
      this.#emit("[");
      for (let count = 0; count < shape[axis]!; count++) {
        if (count > 0) this.#text += ",";
        writeAxis(axis + 1);
      }
      this.#emit("]");
    };
    writeAxis(0);
  }

  #emit(text: string): void {
    this.#text += text;
    if (this.#text.length > CHUNK_LENGTH) this.#flush();
  }

  #flush(): void {
    const text = this.#text;
    this.#text = "";
    const out = this.#out;
    if (text.length <= CHUNK_LENGTH * 2 && out.length + 3 * text.length <= out.maxBytes) {
      out.reserve(3 * text.length);
      out.length += ENCODER.encodeInto(text, out.bytes.subarray(out.length)).written;
    } else {
      out.append(ENCODER.encode(text));
    }
  }
}

/** A JSON string. Lone surrogates are escaped, everything else beyond ASCII is not. */
function quote(text: string): string {
  if (text.length > SHORT_TEXT) return JSON.stringify(text);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x22 || code === 0x5c || code >= 0xd800 && code <= 0xdfff) return JSON.stringify(text);
  }
  return `"${text}"`;
}

/** Keys as `json.dumps` makes them of what is no str. */
function keyText(key: Value): string {
  switch (typeof key) {
    case "string":
      return quote(key);
    case "bigint":
      return `"${intText(key)}"`;
    case "number":
      return `"${floatText(key)}"`;
    case "boolean":
      return key ? '"true"' : '"false"';
  }
  if (key === null) return '"null"';
  const message = `keys must be str, int, float, bool or None, not ${pythonTypeName(key)}`;
  throw new TaskError("TASK_FAILED", `Cannot encode JSON: ${message}`);
}

function intText(value: bigint): string {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return String(number); // faster than the bigint's own
  if (value >= MAX_INT || value <= -MAX_INT) {
    throw new TaskError("RESOURCE_LIMIT", `Cannot encode JSON: an int of more than ${MAX_INT_DIGITS} digits`);
  }
  return value.toString();
}

function floatText(value: number): string {
  // JavaScript's words for what is not finite are Python's for JSON.
  return Number.isFinite(value) ? pythonFloat(value) : String(value);
}

function unsupportedArray(dtype: DType): never {
  return unsupported(`ndarray with dtype ${dtypeName(dtype)}`);
}

function unsupported(type: string): never {
  throw new TaskError("TASK_FAILED", `Cannot encode JSON: Object of type ${type} is not JSON serializable`);
}

function tooDeep(maxDepth: number, cause?: unknown): TaskError {
  const message = `Cannot encode JSON: nested deeper than ${maxDepth} levels, or within itself`;
  return new TaskError("RESOURCE_LIMIT", message, cause === undefined ? {} : { cause });
}
