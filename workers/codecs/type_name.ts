/**
 * Names of types as Python's messages have them.
 * @module
 */

import { ByteArray, Complex, DType, FrozenSet, GlobalRef, NDArray, NumpyScalar, Reduced, Tuple } from "../values.ts";

const NUMPY_NAMES: ReadonlyMap<string, string> = new Map([
  ["b1", "bool"],
  ["i1", "int8"],
  ["i2", "int16"],
  ["i4", "int32"],
  ["i8", "int64"],
  ["u1", "uint8"],
  ["u2", "uint16"],
  ["u4", "uint32"],
  ["u8", "uint64"],
  ["f2", "float16"],
  ["f4", "float32"],
  ["f8", "float64"],
  ["f16", "longdouble"],
  ["c8", "complex64"],
  ["c16", "complex128"],
  ["c32", "clongdouble"],
]);

const NUMPY_KINDS: ReadonlyMap<string, string> = new Map([
  ["S", "bytes_"],
  ["U", "str_"],
  ["V", "void"],
  ["O", "object_"],
  ["M", "datetime64"],
  ["m", "timedelta64"],
]);

/** numpy's name of a dtype, `float32` say; its type string where it has no name. */
export function dtypeName(dtype: DType): string {
  return NUMPY_NAMES.get(dtype.code) ?? dtype.toString();
}

/**
 * `type(value).__name__` in Python; for what is no {@linkcode Value}, the name that JavaScript has for it.
 */
export function pythonTypeName(value: unknown): string {
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "float";
    case "string":
      return "str";
    case "object":
      return value === null ? "NoneType" : objectTypeName(value);
    default:
      return typeof value;
  }
}

function objectTypeName(value: object): string {
  if (Array.isArray(value)) return "list";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof Map) return "dict";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Set) return "set";
  if (value instanceof NDArray) return "ndarray";
  if (value instanceof ByteArray) return "bytearray";
  if (value instanceof FrozenSet) return "frozenset";
  if (value instanceof Complex) return "complex";
  if (value instanceof DType) return "dtype";
  if (value instanceof Reduced) return value.callable.name;
  if (value instanceof GlobalRef) return "type";
  if (value instanceof NumpyScalar) {
    return NUMPY_NAMES.get(value.dtype.code) ?? NUMPY_KINDS.get(value.dtype.kind) ?? "generic";
  }
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" ? name : "object";
}
