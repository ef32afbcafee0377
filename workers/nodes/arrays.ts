/**
 * Arrays in every form that clients send them, as numbers that a node can compute with, and back.
 *
 * @module
 */

import { DType, DTYPES, NDArray, type Value } from "../values.ts";

/** Elements of an array as JavaScript computes with them; 64-bit integers come as float64. */
export type Numbers =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array
  | Float64Array;

/** Dimensions that a nested list may have; numpy allows no more either. */
const MAX_DIMENSIONS = 32;

/** Length of a dimension that a base64 array's shape may name; the longest typed array that V8 makes. */
const MAX_LENGTH = 2 ** 32;

/** Numbers that nested lists may hold: 2 GiB as float64, far beyond what fits into a message. */
const MAX_LISTED = 2 ** 28;

/** dtypes by the names that JSON clients write: numpy's names and its type strings, `float32` or `<f4` say. */
const DTYPE_NAMES: ReadonlyMap<string, DType> = new Map(
  Object.entries(DTYPES).flatMap(([name, dtype]) => [
    [name, dtype],
    [dtype.code, dtype],
    [`<${dtype.code}`, dtype],
    [`|${dtype.code}`, dtype],
    [`=${dtype.code}`, dtype],
    [`>${dtype.code}`, dtype.itemSize === 1 ? dtype : new DType(dtype.code, ">")],
  ]),
);

/**
 * The array that a value stands for, in whichever form it came: a numpy array, JSON's nested lists of numbers, or
 * JSON's `{"dtype", "shape", "data": base64}`. The result's `form` says which, so that the answer can be given in it.
 *
 * Nested lists must be rectangular; they become bool, int64 or float64, as numpy would make them.
 *
 * @returns `undefined` for anything else, arrays of objects and malformed ones among it.
 */
export function tryArray(value: Value): NDArray | undefined {
  if (value instanceof NDArray) return value.objects === undefined ? value : undefined;
  if (Array.isArray(value)) return tryList(value);
  if (value instanceof Map) return tryBase64(value);
  return undefined;
}

/** Whether an array holds real numbers: integers, floats or booleans. */
export function isReal(array: NDArray): boolean {
  return "biuf".includes(array.dtype.kind) && array.dtype.itemSize <= 8;
}

/**
 * The elements of an array of real numbers in C order, in the narrowest JavaScript type that holds them all: float16
 * comes as float32, bool as uint8, 64-bit integers as float64 (those beyond 2⁵³ rounded).
 *
 * The result may share the array's memory: it is for reading.
 *
 * @throws {TypeError} for a dtype that is not a real number; ask {@linkcode isReal} first.
 */
export function readNumbers(array: NDArray): Numbers {
  const { dtype } = array;
  const bytes = contiguousBytes(array);
  const native = dtype.byteOrder === ">" ? swapped(bytes, dtype.itemSize) : aligned(bytes, dtype.itemSize);
  const { buffer, byteOffset } = native;
  const length = native.length / dtype.itemSize;
  switch (dtype.code) {
    case "b1":
    case "u1":
      return native;
    case "i1":
      return new Int8Array(buffer, byteOffset, length);
    case "i2":
      return new Int16Array(buffer, byteOffset, length);
    case "u2":
      return new Uint16Array(buffer, byteOffset, length);
    case "i4":
      return new Int32Array(buffer, byteOffset, length);
    case "u4":
      return new Uint32Array(buffer, byteOffset, length);
    case "i8":
      return Float64Array.from(new BigInt64Array(buffer, byteOffset, length), Number);
    case "u8":
      return Float64Array.from(new BigUint64Array(buffer, byteOffset, length), Number);
    case "f2":
      return new Float32Array(new Float16Array(buffer, byteOffset, length));
    case "f4":
      return new Float32Array(buffer, byteOffset, length);
    case "f8":
      return new Float64Array(buffer, byteOffset, length);
    default:
      throw new TypeError(`Cannot compute with elements of dtype "${dtype}"`);
  }
}

/** The elements as float32 in C order; shares the array's memory where it can, so it is for reading. */
export function readFloat32(array: NDArray): Float32Array {
  const numbers = readNumbers(array);
  return numbers instanceof Float32Array ? numbers : new Float32Array(numbers);
}

/**
 * The array's bytes in C order, in its own dtype and byte order. Shares the array's memory unless it was in Fortran
 * order, so it is for reading.
 */
export function contiguousBytes(array: NDArray): Uint8Array {
  const { bytes, shape, dtype } = array;
  // Fortran order differs only where two dimensions or more are longer than 1.
  if (!array.fortranOrder || shape.filter((length) => length > 1).length < 2) return bytes;
  const size = dtype.itemSize;
  const result = new Uint8Array(bytes.length);
  const strides: number[] = [];
  shape.reduce((stride, length) => (strides.push(stride), stride * length), size);
  const index = new Array<number>(shape.length).fill(0);
  let source = 0;
  for (let target = 0; target < result.length; target += size) {
    for (let byte = 0; byte < size; byte++) result[target + byte] = bytes[source + byte]!;
    // Count up in C order, the last dimension first, and move the source along.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += strides[axis]!;
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      source -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/** An array of the given shape over a typed array, whose memory it keeps; in C order, answering in `form`. */
export function toArray(numbers: Numbers, shape: readonly number[], form: NDArray["form"]): NDArray {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  return new NDArray(dtypeOf(numbers), shape, bytes, false, form);
}

/** The same elements under another shape of the same size, in C order; form and dtype stay. */
export function reshaped(array: NDArray, shape: readonly number[]): NDArray {
  return new NDArray(array.dtype, shape, contiguousBytes(array), false, array.form);
}

function dtypeOf(numbers: Numbers): DType {
  if (numbers instanceof Float32Array) return DTYPES.float32;
  if (numbers instanceof Float64Array) return DTYPES.float64;
  if (numbers instanceof Uint8Array) return DTYPES.uint8;
  if (numbers instanceof Int8Array) return DTYPES.int8;
  if (numbers instanceof Int16Array) return DTYPES.int16;
  if (numbers instanceof Uint16Array) return DTYPES.uint16;
  return numbers instanceof Int32Array ? DTYPES.int32 : DTYPES.uint32;
}

/** Bytes whose start is a multiple of the element size, which typed arrays ask for; copied only when it is not. */
function aligned(bytes: Uint8Array, itemSize: number): Uint8Array {
  return bytes.byteOffset % itemSize === 0 ? bytes : bytes.slice();
}

function swapped(bytes: Uint8Array, itemSize: number): Uint8Array {
  const result = new Uint8Array(bytes.length);
  for (let start = 0; start < bytes.length; start += itemSize) {
    for (let byte = 0; byte < itemSize; byte++) result[start + byte] = bytes[start + itemSize - 1 - byte]!;
  }
  return result;
}

/** JSON's `{"dtype", "shape", "data"}`. */
function tryBase64(dict: Map<Value, Value>): NDArray | undefined {
  const dtypeName = dict.get("dtype");
  const shapeItems = dict.get("shape");
  const data = dict.get("data");
  if (typeof dtypeName !== "string" || typeof data !== "string" || !Array.isArray(shapeItems)) return undefined;
  const dtype = DTYPE_NAMES.get(dtypeName);
  if (dtype === undefined || shapeItems.length > MAX_DIMENSIONS) return undefined;
  const shape: number[] = [];
  let size = 1;
  for (const length of shapeItems) {
    if (typeof length !== "bigint" || length < 0n || length > MAX_LENGTH) return undefined;
    shape.push(Number(length));
    size *= Number(length);
  }
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.fromBase64(data);
  } catch {
    return undefined;
  }
  if (bytes.length !== size * dtype.itemSize) return undefined;
  return new NDArray(dtype, shape, bytes, false, "json-base64");
}

/** JSON's nested lists. */
function tryList(list: Value[]): NDArray | undefined {
  const shape = listShape(list);
  if (shape === undefined) return undefined;
  const size = shape.reduce((product, length) => product * length, 1);
  // The first row alone must not choose how much is allocated, hence the shape's check beforehand.
  if (size > MAX_LISTED || !isRectangular(list, shape, 0)) return undefined;
  const values = new Float64Array(size);
  const leaves = { booleans: 0, floats: 0, count: 0 };
  if (!fillFromList(list, { lastAxis: shape.length - 1, axis: 0, values, leaves })) return undefined;
  if (leaves.booleans > 0) {
    // numpy would mix booleans into numbers; from JSON that is more likely a mistake.
    if (leaves.booleans < leaves.count) return undefined;
    return new NDArray(DTYPES.bool, shape, Uint8Array.from(values), false, "json-list");
  }
  if (leaves.floats > 0 || leaves.count === 0) return toArray(values, shape, "json-list");
  const integers = BigInt64Array.from(values, BigInt);
  return new NDArray(DTYPES.int64, shape, new Uint8Array(integers.buffer), false, "json-list");
}

/** Shape by the first item of each level; {@linkcode isRectangular} tells whether the others agree. */
function listShape(list: Value[]): number[] | undefined {
  const shape: number[] = [];
  for (let level: Value | undefined = list; Array.isArray(level); level = level[0]) {
    if (shape.length === MAX_DIMENSIONS) return undefined;
    shape.push(level.length);
  }
  return shape;
}

function isRectangular(list: Value[], shape: readonly number[], axis: number): boolean {
  if (list.length !== shape[axis]) return false;
  if (axis === shape.length - 1) return true;
  return list.every((item) => Array.isArray(item) && isRectangular(item, shape, axis + 1));
}

interface ListTarget {
  readonly axis: number;
  readonly lastAxis: number;
  readonly values: Float64Array;
  readonly leaves: { booleans: number; floats: number; count: number };
}

/** Writes the numbers of one level of a rectangular list; false when it holds something else. */
function fillFromList(list: Value[], target: ListTarget): boolean {
  const { axis, lastAxis, values, leaves } = target;
  if (axis < lastAxis) {
    const inner = { ...target, axis: axis + 1 };
    return list.every((item) => Array.isArray(item) && fillFromList(item, inner));
  }
  for (const item of list) {
    if (typeof item === "number") leaves.floats++;
    else if (typeof item === "boolean") leaves.booleans++;
    // Integers beyond 2⁵³ would lose digits on their way through float64.
    else if (typeof item !== "bigint" || item > Number.MAX_SAFE_INTEGER || item < Number.MIN_SAFE_INTEGER) return false;
    values[leaves.count++] = Number(item);
  }
  return true;
}
