/**
 * numpy's arrays, scalars and dtypes out of the calls that their pickles consist of.
 *
 * Source: `array_reduce`, `array_setstate`, `arraydescr_reduce` and `arraydescr_setstate` of numpy's
 * `_core/src/multiarray`, and `_core/numeric.py` for `_frombuffer`.
 * @module
 */

import { ByteArray, DType, GlobalRef, NDArray, NumpyScalar, Tuple, type Value } from "../values.ts";
import { littleEndianBytes } from "./array_bytes.ts";
import { COST, malformed, type PickleHeap } from "./pickle_heap.ts";

/** numpy 2's limit; numpy 1 has 32. */
const MAX_DIMENSIONS = 64;

const FIXED_CODES: ReadonlySet<string> = new Set(
  "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 f12 f16 c8 c16 c24 c32 M8 m8 O4 O8".split(" "),
);

/** The same object with fields that can be set: pickle makes an array first and fills it then. */
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

const NO_BYTES = new Uint8Array();

/** `_reconstruct(ndarray, (0,), b"b")`: an empty array, to be filled by {@linkcode setArrayState}. */
export function reconstructArray(heap: PickleHeap, args: Tuple): NDArray {
  const [type] = args.items;
  if (args.items.length !== 3 || !(type instanceof GlobalRef) || type.module !== "numpy" || type.name !== "ndarray") {
    malformed("_reconstruct of something that is no numpy.ndarray");
  }
  heap.chargeContainer(COST.object);
  return new NDArray(new DType("i1", "|"), [0], NO_BYTES);
}

/** `array.__setstate__((version, shape, dtype, is_fortran, data))`; the oldest have no version. */
export function setArrayState(heap: PickleHeap, array: NDArray, state: Value): void {
  if (!(state instanceof Tuple)) malformed("the state of an array is no tuple");
  const items = state.items.length === 4 ? state.items : state.items.slice(1);
  const [shape, dtype, fortranOrder, data] = items;
  if (items.length !== 4 || !(dtype instanceof DType)) malformed("the state of an array has no dtype");
  const target: Mutable<NDArray> = array;
  target.shape = toShape(shape);
  target.dtype = dtype;
  target.fortranOrder = fortranOrder === true || fortranOrder === 1n;
  if (Array.isArray(data)) {
    if (dtype.kind !== "O" && dtype.kind !== "V") malformed(`the elements of an array of ${dtype} are a list`);
    if (data.length !== array.size) malformed(`an array has ${data.length} elements, its shape ${array.size}`);
    heap.charge(COST.slot * data.length);
    target.bytes = NO_BYTES;
    array.objects = data.slice();
    return;
  }
  if (!(data instanceof Uint8Array)) malformed("the data of an array are no bytes");
  target.bytes = data;
  array.objects = undefined;
  checkSize(array);
  if (dtype.byteOrder === ">") { // numpy turns it as well
    heap.charge(COST.object + data.length);
    target.bytes = littleEndianBytes(data, dtype);
    target.dtype = new DType(dtype.code, "<", dtype.state && withByteOrder(dtype.state, "<"));
  }
}

/** `_frombuffer(buffer, dtype, shape, order)` of protocol 5. */
export function arrayFromBuffer(heap: PickleHeap, args: Tuple): NDArray {
  const [buffer, dtype, shape, order] = args.items;
  if (args.items.length !== 4) malformed("_frombuffer needs a buffer, a dtype, a shape and an order");
  return arrayOn(heap, buffer, dtype, shape, order);
}

/** `ndarray(shape, dtype, buffer, 0, None, order)`, as our own encoder writes arrays of foreign byte order. */
export function makeArray(heap: PickleHeap, args: Tuple): NDArray {
  const [shape, dtype, buffer, offset, strides, order] = args.items;
  if (args.items.length !== 6 || offset !== 0n || strides !== null) malformed("ndarray needs a whole buffer");
  return arrayOn(heap, buffer, dtype, shape, order);
}

function arrayOn(
  heap: PickleHeap,
  buffer: Value | undefined,
  dtype: Value | undefined,
  shape: Value | undefined,
  order: Value | undefined,
): NDArray {
  const bytes = buffer instanceof ByteArray ? buffer.bytes : buffer;
  if (!(dtype instanceof DType) || !(bytes instanceof Uint8Array)) malformed("an array has no buffer or no dtype");
  heap.chargeContainer(COST.object);
  const array = new NDArray(dtype, toShape(shape), bytes, order === "F");
  checkSize(array);
  return array;
}

/** `scalar(dtype, data)`. */
export function makeScalar(heap: PickleHeap, args: Tuple): NumpyScalar {
  const [dtype, data] = args.items;
  if (args.items.length !== 2 || !(dtype instanceof DType) || !(data instanceof Uint8Array)) {
    malformed("scalar needs a dtype and bytes");
  }
  if (dtype.kind === "O") malformed("a scalar of objects has no bytes");
  if (data.length !== dtype.itemSize) malformed(`a scalar of ${dtype} has ${data.length} bytes`);
  heap.chargeContainer(COST.object);
  return new NumpyScalar(dtype, data);
}

/** `dtype("f4", align, copy)`. */
export function makeDType(heap: PickleHeap, args: Tuple): DType {
  const [text] = args.items;
  const match = typeof text === "string" ? /^([<>|=]?)([biufcSUVOMm])(\d{0,9})$/.exec(text) : null;
  if (match === null) return malformed("dtype is not given by a type string that numpy writes");
  const kind = match[2]!; // the group takes part in every match
  const code = kind + (match[3] === "" ? "0" : Number(match[3]));
  if (!"SUV".includes(kind) && !FIXED_CODES.has(code)) malformed(`dtype ${JSON.stringify(text)} is unknown`);
  heap.chargeContainer(COST.object);
  const unordered = code.endsWith("1") && code.length === 2 || "SVO".includes(kind);
  return new DType(code, unordered && kind !== "U" ? "|" : match[1] === ">" ? ">" : "<");
}

/** `dtype.__setstate__((version, byteorder, subarray, names, fields, itemsize, alignment, flags[, metadata]))`. */
export function setDTypeState(dtype: DType, state: Value): void {
  if (!(state instanceof Tuple) || state.items.length < 8 || state.items.length > 9) {
    malformed("the state of a dtype is no tuple of 8 or 9");
  }
  const [, order, subarray, names, , , , , metadata = null] = state.items;
  const target: Mutable<DType> = dtype;
  if (order === ">" || order === "|") target.byteOrder = order;
  else if (order === "<" || order === "=") target.byteOrder = "<"; // pickles say "=" nowhere but in old files
  else malformed("the byte order of a dtype is unknown");
  if (subarray !== null || names !== null || metadata !== null || "VMm".includes(dtype.kind)) target.state = state;
}

function withByteOrder(state: Tuple, order: string): Tuple {
  return new Tuple(state.items.with(1, order));
}

function toShape(value: Value | undefined): number[] {
  if (!(value instanceof Tuple)) return malformed("the shape of an array is no tuple");
  if (value.items.length > MAX_DIMENSIONS) malformed(`an array has ${value.items.length} dimensions`);
  return value.items.map((length) => {
    if (typeof length !== "bigint" || length < 0n || length > Number.MAX_SAFE_INTEGER) {
      return malformed("the shape of an array has something that is no length");
    }
    return Number(length);
  });
}

function checkSize(array: NDArray): void {
  const { dtype, shape, bytes } = array;
  if (dtype.kind === "O") malformed("the elements of an array of objects are no list");
  const expected = array.size * dtype.itemSize;
  if (bytes.length !== expected) {
    malformed(`an array of shape (${shape.join(", ")}) and dtype ${dtype} has ${bytes.length} bytes`);
  }
}

/** The state of a dtype that says no more than its code and byte order, as numpy writes it. */
export function dtypeState(dtype: DType): Tuple {
  const { kind, itemSize } = dtype;
  // Item size, alignment and flags, -1 where the code says it all: `arraydescr_reduce`.
  const [size, alignment, flags] = kind === "U"
    ? [BigInt(itemSize), 4n, 8n]
    : kind === "S" || kind === "V"
    ? [BigInt(itemSize), 1n, 0n]
    : [-1n, -1n, kind === "O" ? 63n : 0n];
  return new Tuple([3n, dtype.byteOrder, null, null, null, size, alignment, flags]);
}
