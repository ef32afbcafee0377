/**
 * The values that cross the wire, as nodes and codecs see them.
 *
 * Python tells `1` from `1.0`, a tuple from a list, `bytes` from `bytearray`; JavaScript does not. This model keeps
 * every such difference, so that a value comes back from a round trip with the type that it had:
 *
 * | Python | here |
 * | --- | --- |
 * | None, bool | `null`, `boolean` |
 * | int | `bigint` |
 * | float | `number` |
 * | str | `string` (lone surrogates kept) |
 * | bytes, bytearray | `Uint8Array`, {@linkcode ByteArray} |
 * | list, tuple | `Value[]`, {@linkcode Tuple} |
 * | dict | `Map<Value, Value>`, keys in order |
 * | set, frozenset | `Set<Value>`, {@linkcode FrozenSet} |
 * | complex | {@linkcode Complex} |
 * | numpy array, scalar, dtype | {@linkcode NDArray}, {@linkcode NumpyScalar}, {@linkcode DType} |
 * | any other allowed object (datetime, Decimal, UUID, range, OrderedDict …) | {@linkcode Reduced} |
 *
 * @module
 */

/** Any value that a codec can read or write. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | ByteArray
  | Value[]
  | Tuple
  | Dict
  | Set<Value>
  | FrozenSet
  | Complex
  | NDArray
  | NumpyScalar
  | DType
  | Reduced
  | GlobalRef;

/** A Python dict: any hashable value as key, in insertion order. */
export type Dict = Map<Value, Value>;

/** A Python tuple. */
export class Tuple {
  constructor(readonly items: Value[]) {}
}

/** A Python bytearray. */
export class ByteArray {
  constructor(readonly bytes: Uint8Array) {}
}

/** A Python frozenset. */
export class FrozenSet {
  constructor(readonly items: Set<Value>) {}
}

/** A Python complex number. */
export class Complex {
  constructor(readonly re: number, readonly im: number) {}
}

/** A reference to an allowed class or function itself, `builtins.complex` say, rather than to what it makes. */
export class GlobalRef {
  constructor(readonly module: string, readonly name: string) {}
}

/**
 * An object that the service carries but never looks into: how to rebuild it, as pickle's `__reduce__` gives it.
 * Only reconstructors on the codec's allow-list ever become one.
 */
export class Reduced {
  /** Argument of `__setstate__`, absent when there was none. */
  state: Value | undefined = undefined;
  /** Items for `append`/`extend`, in order. */
  listItems: Value[] | undefined = undefined;
  /** Pairs for `__setitem__`, in order. */
  dictItems: Dict | undefined = undefined;

  constructor(
    readonly callable: GlobalRef,
    readonly args: Tuple,
    /** How it was called: `callable(*args)`, or `callable.__new__(callable, *args)`. */
    readonly call: "reduce" | "newobj" = "reduce",
  ) {}
}

/** Kinds of array elements that nodes can compute with. */
export type NumericKind = "b" | "i" | "u" | "f" | "c";

/**
 * A numpy dtype.
 *
 * `code` is numpy's array-protocol type string without the byte order, `f4` or `U3` say
 * (https://numpy.org/doc/stable/reference/arrays.interface.html); `state` keeps what a pickled structured, object or
 * datetime dtype needs to be rebuilt.
 */
export class DType {
  constructor(
    /** For example `f4`, `i8`, `u1`, `b1`, `c8`, `U3`, `S2`, `M8`, `O8`, `V12`. */
    readonly code: string,
    /** `<` little endian, `>` big endian, `|` not applicable. */
    readonly byteOrder: "<" | ">" | "|",
    /** The pickled `__setstate__` tuple, kept where it says more than `code` and `byteOrder` do. */
    readonly state?: Tuple,
  ) {}

  /** Kind letter: b, i, u, f, c for numbers, others for what nodes do not compute with. */
  get kind(): string {
    return this.code.charAt(0);
  }

  /** Size of one element in bytes. A `U3` has 4 bytes a character. */
  get itemSize(): number {
    const size = Number(this.code.slice(1));
    return this.kind === "U" ? size * 4 : size;
  }

  /** numpy's type string, `<f4` say. */
  toString(): string {
    return this.byteOrder + this.code;
  }
}

/** dtypes that nodes make and understand by name. */
export const DTYPES = {
  bool: new DType("b1", "|"),
  int8: new DType("i1", "|"),
  uint8: new DType("u1", "|"),
  int16: new DType("i2", "<"),
  uint16: new DType("u2", "<"),
  int32: new DType("i4", "<"),
  uint32: new DType("u4", "<"),
  int64: new DType("i8", "<"),
  uint64: new DType("u8", "<"),
  float16: new DType("f2", "<"),
  float32: new DType("f4", "<"),
  float64: new DType("f8", "<"),
  complex64: new DType("c8", "<"),
  complex128: new DType("c16", "<"),
} as const;

/** Where an array came from, so that a node can answer in the form that it was asked in. */
export type ArrayForm =
  /** A numpy array of a pickle. */
  | "numpy"
  /** JSON, `{"dtype", "shape", "data": base64}`. */
  | "json-base64"
  /** JSON, nested lists of numbers. */
  | "json-list";

/** A numpy array. Its bytes lie in C order, or in Fortran order where `fortranOrder` says so. */
export class NDArray {
  /** Elements of an `O` array, which has no bytes; C order. */
  objects: Value[] | undefined = undefined;

  constructor(
    readonly dtype: DType,
    /** Length of each dimension; empty for a 0-d array. */
    readonly shape: readonly number[],
    /** The elements, `size · dtype.itemSize` bytes; not necessarily aligned. */
    readonly bytes: Uint8Array,
    readonly fortranOrder = false,
    readonly form: ArrayForm = "numpy",
  ) {}

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, length) => product * length, 1);
  }
}

/** A numpy scalar, `numpy.float32(7)` say. */
export class NumpyScalar {
  constructor(readonly dtype: DType, readonly bytes: Uint8Array) {}
}
