/**
 * JavaScript's values as the service's, and back.
 *
 * The service tells `1` from `1.0`, JavaScript does not: a number that is a safe integer becomes an int, any other a
 * float. Where that is not meant, say {@linkcode float}, or {@linkcode exact} for a whole value.
 *
 * @module
 */

import {
  ByteArray,
  Complex,
  DType,
  DTYPES,
  FrozenSet,
  GlobalRef,
  NDArray,
  NumpyScalar,
  Reduced,
  Tuple,
  type Value,
} from "../../workers/values.ts";
import { dtypeOf } from "../../workers/codecs/typed_arrays.ts";

/** A value that is taken as it is, every `number` a float and every `bigint` an int. */
export class Exact {
  constructor(readonly value: Value) {}
}

/** Bytes that are an encoded message already. */
export class Encoded {
  constructor(readonly bytes: Uint8Array) {}
}

/** What the client takes for a value; `undefined` counts as `null`, and as absent in an object. */
export type PlainValue =
  | undefined
  | Value
  | Exact
  | TypedArray
  | readonly PlainValue[]
  | ReadonlyMap<PlainValue, PlainValue>
  | ReadonlySet<PlainValue>
  | { readonly [key: string]: PlainValue };

/** What the client takes for an input: a value, or bytes that are encoded already. */
export type Input = PlainValue | Encoded;

type TypedArray =
  | Int8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

/** A float, also where it is whole: `float(1)` is Python's `1.0`. */
export function float(value: number): Exact {
  return new Exact(value);
}

/** A value of the service's own model, an earlier output say, not to be converted. */
export function exact(value: Value): Exact {
  return new Exact(value);
}

/** Bytes that are encoded in the call's format already. */
export function encoded(bytes: Uint8Array): Encoded {
  return new Encoded(bytes);
}

/** Audio as nodes take it: a pair of a float32 array (channels, samples) and the rate in Hz. */
export function audio(channels: readonly Float32Array[], sampleRate: number): Tuple {
  const length = channels[0]?.length ?? 0;
  if (channels.some((channel) => channel.length !== length)) throw new RangeError("Channels must be of equal length");
  const samples = new Float32Array(channels.length * length);
  channels.forEach((channel, index) => samples.set(channel, index * length));
  return audioPair(samples, { channels: channels.length, sampleRate });
}

/** Audio whose samples lie one channel after the other; keeps their memory. */
export function audioPair(samples: Float32Array, shape: { channels: number; sampleRate: number }): Tuple {
  const { channels, sampleRate } = shape;
  if (!Number.isInteger(samples.length / channels)) throw new RangeError("Channels must be of equal length");
  return new Tuple([
    new NDArray(DTYPES.float32, [channels, samples.length / channels], bytesOf(samples)),
    BigInt(sampleRate),
  ]);
}

/** A frame as nodes take it: a uint8 array (height, width, channels). Keeps the memory of `pixels`. */
export function frame(pixels: Uint8Array, shape: { height: number; width: number; channels: number }): NDArray {
  const { height, width, channels } = shape;
  if (pixels.length !== height * width * channels) throw new RangeError("pixels.length must be that of the shape");
  return new NDArray(DTYPES.uint8, [height, width, channels], pixels);
}

/**
 * The service's value for one of JavaScript.
 *
 * Objects and maps become dicts, arrays lists, sets sets, a `Uint8Array` bytes and other typed arrays numpy arrays of
 * one dimension; values of the service's model that JavaScript lacks (`Tuple`, `NDArray` …) stay.
 *
 * @throws {TypeError} for what has no counterpart: functions, symbols, instances of other classes, cycles
 */
export function toValue(plain: PlainValue): Value {
  return convert(plain, []);
}

// The path serves two ends: it finds cycles, and is never longer than the value is deep.
function convert(plain: PlainValue, path: readonly object[]): Value {
  if (plain === undefined || plain === null) return null;
  if (typeof plain === "number") return Number.isSafeInteger(plain) && !Object.is(plain, -0) ? BigInt(plain) : plain;
  if (typeof plain !== "object") {
    if (typeof plain === "string" || typeof plain === "boolean" || typeof plain === "bigint") return plain;
    throw new TypeError(`Cannot send a ${typeof plain}`);
  }
  if (plain instanceof Exact) return plain.value;
  if (isModelValue(plain)) return plain;
  if (path.includes(plain)) throw new TypeError("Cannot send a value that contains itself");
  const inner = [...path, plain];
  if (plain instanceof Tuple) return new Tuple(plain.items.map((item) => convert(item, inner)));
  if (Array.isArray(plain)) return plain.map((item) => convert(item, inner));
  if (plain instanceof Map) {
    return new Map(Array.from(plain, ([key, value]) => [convert(key, inner), convert(value, inner)]));
  }
  if (plain instanceof Set) return new Set(Array.from(plain, (item) => convert(item, inner)));
  if (ArrayBuffer.isView(plain)) return toArray(plain);
  const prototype: unknown = Object.getPrototypeOf(plain);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`Cannot send an object of class ${plain.constructor?.name ?? "unknown"}`);
  }
  const entries = Object.entries(plain).filter(([, value]) => value !== undefined);
  return new Map(entries.map(([key, value]) => [key, convert(value, inner)]));
}

type ModelValue = Uint8Array | ByteArray | FrozenSet | Complex | NDArray | NumpyScalar | DType | Reduced | GlobalRef;

const MODEL_CLASSES = [
  Uint8Array,
  ByteArray,
  FrozenSet,
  Complex,
  NDArray,
  NumpyScalar,
  DType,
  Reduced,
  GlobalRef,
] as const;

function isModelValue(value: object): value is ModelValue {
  return MODEL_CLASSES.some((modelClass) => value instanceof modelClass);
}

function toArray(array: ArrayBufferView): NDArray {
  const dtype = dtypeOf(array);
  if (dtype === undefined) throw new TypeError(`Cannot send an object of class ${array.constructor.name}`);
  const bytes = bytesOf(array);
  return new NDArray(dtype, [bytes.length / dtype.itemSize], bytes);
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** What {@linkcode fromValue} gives. */
export type JsValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Complex
  | NDArray
  | NumpyScalar
  | DType
  | Reduced
  | GlobalRef
  | JsValue[]
  | Set<JsValue>
  | Map<JsValue, JsValue>
  | { [key: string]: JsValue };

/**
 * JavaScript's nearest for a value of the service: ints that are safe become numbers, tuples arrays, dicts whose keys
 * are all strings objects (others maps), bytearrays `Uint8Array`. What JavaScript lacks stays.
 */
export function fromValue(value: Value): JsValue {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(fromValue);
  if (value instanceof Tuple) return value.items.map(fromValue);
  if (value instanceof Set) return new Set(Array.from(value, fromValue));
  if (value instanceof FrozenSet) return new Set(Array.from(value.items, fromValue));
  if (value instanceof ByteArray) return value.bytes;
  if (!(value instanceof Map)) return value;
  const entries = Array.from(value, ([key, item]): [Value, JsValue] => [key, fromValue(item)]);
  if (entries.every((entry): entry is [string, JsValue] => typeof entry[0] === "string")) {
    return Object.fromEntries(entries); // Defines "__proto__" as a key like any other.
  }
  return new Map(entries.map(([key, item]) => [fromValue(key), item]));
}
