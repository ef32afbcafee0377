/**
 * Writes Python pickles, protocol 4.
 *
 * Source: `_Pickler` of CPython's Lib/pickle.py. Containers, bytes and arrays are memoized by identity, str and globals
 * by value, so that shared and recursive values stay what they are. Arrays are written as numpy 1 writes them, which
 * numpy 2 reads as well.
 *
 * @module
 */

import { TaskError } from "../task_error.ts";
import {
  ByteArray,
  Complex,
  DType,
  FrozenSet,
  GlobalRef,
  NDArray,
  NumpyScalar,
  Reduced,
  Tuple,
  type Value,
} from "../values.ts";
import { requireConsistent } from "./array_bytes.ts";
import { type CodecLimits, DEFAULT_LIMITS } from "./codec.ts";
import { allowedGlobal } from "./pickle_globals.ts";
import { intToBytes } from "./pickle_text.ts";
import { FramedWriter } from "./pickle_writer.ts";
import { dtypeState } from "./pickle_numpy.ts";
import { pythonTypeName } from "./type_name.ts";

const MARK = 0x28;
const STOP = 0x2e;
const POP = 0x30;
const POP_MARK = 0x31;
const BININT = 0x4a;
const BININT1 = 0x4b;
const BININT2 = 0x4d;
const NONE = 0x4e;
const REDUCE = 0x52;
const APPEND = 0x61;
const BUILD = 0x62;
const APPENDS = 0x65;
const BINGET = 0x68;
const LONG_BINGET = 0x6a;
const SETITEM = 0x73;
const TUPLE = 0x74;
const SETITEMS = 0x75;
const EMPTY_DICT = 0x7d;
const EMPTY_LIST = 0x5d;
const EMPTY_TUPLE = 0x29;
const PROTO = 0x80;
const NEWOBJ = 0x81;
const TUPLE1 = 0x85;
const NEWTRUE = 0x88;
const NEWFALSE = 0x89;
const LONG1 = 0x8a;
const LONG4 = 0x8b;
const EMPTY_SET = 0x8f;
const ADDITEMS = 0x90;
const FROZENSET = 0x91;
const STACK_GLOBAL = 0x93;
const MEMOIZE = 0x94;

const PROTOCOL = 4;
/** Items that one APPENDS, SETITEMS or ADDITEMS takes, as in CPython. */
const BATCH = 1000;
const ZERO = new Tuple([0n]);
const B = new Uint8Array([0x62]);

/** Writes one pickle. */
export function encodePickle(value: Value, limits: Partial<CodecLimits> = {}): Uint8Array {
  const { maxDepth, maxOutputBytes } = { ...DEFAULT_LIMITS, ...limits };
  try {
    return new PickleEncoder(maxDepth, maxOutputBytes).run(value);
  } catch (error) {
    // The stack is enough for the default depth by far; a caller may have asked for more.
    if (error instanceof RangeError) throw tooDeep(maxDepth, error);
    throw error;
  }
}

class PickleEncoder {
  readonly #out: FramedWriter;
  readonly #maxDepth: number;
  #depth = 0;
  readonly #memo = new Map<object | string, number>();
  readonly #globals = new Map<string, number>();

  constructor(maxDepth: number, maxOutputBytes: number) {
    this.#maxDepth = maxDepth;
    this.#out = new FramedWriter(maxOutputBytes);
  }

  run(value: Value): Uint8Array {
    this.#out.header(PROTO, PROTOCOL);
    this.#save(value);
    this.#out.byte(STOP);
    return this.#out.finish();
  }

  #save(value: Value): void {
    this.#out.boundary();
    switch (typeof value) {
      case "string":
        return this.#saveText(value);
      case "bigint":
        return this.#saveInt(value);
      case "number":
        return this.#out.float(value);
      case "boolean":
        return this.#out.byte(value ? NEWTRUE : NEWFALSE);
      case "object":
        if (value === null) return this.#out.byte(NONE);
        return this.#saveObject(value);
      default:
        return unsupported(value);
    }
  }

  #saveObject(value: Value & object): void {
    if (this.#recall(value)) return;
    if (value instanceof Uint8Array) {
      this.#out.bytesValue(value);
      return this.#memoize(value);
    }
    if (++this.#depth > this.#maxDepth) throw tooDeep(this.#maxDepth);
    if (Array.isArray(value)) this.#saveList(value);
    else if (value instanceof Map) this.#saveDict(value);
    else if (value instanceof Tuple) this.#saveTuple(value);
    else if (value instanceof NDArray) this.#saveArray(value);
    else if (value instanceof DType) this.#saveDType(value);
    else if (value instanceof NumpyScalar) this.#saveScalar(value);
    else if (value instanceof Set) this.#saveSet(value);
    else if (value instanceof FrozenSet) this.#saveFrozenSet(value);
    else if (value instanceof ByteArray) this.#saveByteArray(value);
    else if (value instanceof Complex) this.#saveComplex(value);
    else if (value instanceof Reduced) this.#saveReduced(value);
    else if (value instanceof GlobalRef) this.#saveGlobal(allowedGlobal(value).ref);
    else unsupported(value);
    this.#depth--;
  }

  #saveText(text: string): void {
    const known = this.#memo.get(text);
    if (known !== undefined) return this.#get(known);
    this.#out.text(text);
    this.#memoize(text);
  }

  #saveInt(value: bigint): void {
    const out = this.#out;
    const number = Number(value);
    if (number >= 0 && number <= 0xff) out.opcode(BININT1, number, 1);
    else if (number >= 0 && number <= 0xffff) out.opcode(BININT2, number, 2);
    else if (number >= -(2 ** 31) && number < 2 ** 31) out.opcode(BININT, number, 4);
    else {
      const bytes = intToBytes(value);
      if (bytes.length <= 0xff) out.opcode(LONG1, bytes.length, 1);
      else out.opcode(LONG4, bytes.length, 4);
      out.append(bytes);
    }
  }

  #saveList(list: Value[]): void {
    this.#out.byte(EMPTY_LIST);
    this.#memoize(list);
    this.#appendItems(list);
  }

  #appendItems(items: Value[]): void {
    for (let at = 0; at < items.length; at += BATCH) {
      const end = Math.min(items.length, at + BATCH);
      if (end - at === 1) {
        this.#save(items[at]!);
        this.#out.byte(APPEND);
      } else {
        this.#out.byte(MARK);
        for (let index = at; index < end; index++) this.#save(items[index]!);
        this.#out.byte(APPENDS);
      }
    }
  }

  #saveDict(dict: Map<Value, Value>): void {
    this.#out.byte(EMPTY_DICT);
    this.#memoize(dict);
    this.#setItems(dict);
  }

  #setItems(dict: Map<Value, Value>): void {
    let inBatch = 0;
    for (const [key, value] of dict) {
      if (inBatch === 0 && dict.size > 1) this.#out.byte(MARK);
      this.#save(key);
      this.#save(value);
      if (dict.size === 1) this.#out.byte(SETITEM);
      else if (++inBatch === BATCH) {
        this.#out.byte(SETITEMS);
        inBatch = 0;
      }
    }
    if (inBatch > 0) this.#out.byte(SETITEMS);
  }

  #saveTuple(tuple: Tuple): void {
    const out = this.#out;
    const { items } = tuple;
    if (items.length === 0) return out.byte(EMPTY_TUPLE);
    if (items.length > 3) out.byte(MARK);
    for (const item of items) this.#save(item);
    const known = this.#memo.get(tuple);
    if (known !== undefined) { // it holds itself, and was written while its items were: that one is it
      if (items.length > 3) out.byte(POP_MARK);
      else for (let count = items.length; count > 0; count--) out.byte(POP);
      return this.#get(known);
    }
    out.byte(items.length > 3 ? TUPLE : TUPLE1 + items.length - 1);
    this.#memoize(tuple);
  }

  #saveSet(set: Set<Value>): void {
    this.#out.byte(EMPTY_SET);
    this.#memoize(set);
    let inBatch = 0;
    for (const item of set) {
      if (inBatch === 0) this.#out.byte(MARK);
      this.#save(item);
      if (++inBatch === BATCH) {
        this.#out.byte(ADDITEMS);
        inBatch = 0;
      }
    }
    if (inBatch > 0) this.#out.byte(ADDITEMS);
  }

  #saveFrozenSet(set: FrozenSet): void {
    this.#out.byte(MARK);
    for (const item of set.items) this.#save(item);
    const known = this.#memo.get(set);
    if (known !== undefined) {
      this.#out.byte(POP_MARK);
      return this.#get(known);
    }
    this.#out.byte(FROZENSET);
    this.#memoize(set);
  }

  #saveByteArray(array: ByteArray): void {
    this.#saveNamed("builtins", "bytearray");
    if (array.bytes.length === 0) this.#out.byte(EMPTY_TUPLE);
    else {
      this.#save(array.bytes);
      this.#out.byte(TUPLE1);
    }
    this.#out.byte(REDUCE);
    this.#memoize(array);
  }

  #saveComplex(value: Complex): void {
    this.#saveNamed("builtins", "complex");
    this.#out.float(value.re);
    this.#out.float(value.im);
    this.#out.byte(TUPLE1 + 1);
    this.#out.byte(REDUCE);
    this.#memoize(value);
  }

  #saveArray(array: NDArray): void {
    requireConsistent(array);
    if (array.dtype.byteOrder === ">" && array.objects === undefined) return this.#saveForeignArray(array);
    const out = this.#out;
    this.#saveNamed("numpy.core.multiarray", "_reconstruct");
    this.#saveNamed("numpy", "ndarray");
    this.#save(ZERO);
    this.#save(B);
    out.byte(TUPLE1 + 2);
    out.byte(REDUCE);
    this.#memoize(array);
    out.byte(MARK);
    this.#saveInt(1n); // version
    this.#saveTuple(new Tuple(array.shape.map(BigInt)));
    this.#save(array.dtype);
    this.#save(array.fortranOrder);
    this.#save(array.objects ?? array.bytes);
    out.byte(TUPLE);
    out.byte(BUILD);
  }

  /** `__setstate__` of numpy turns foreign byte order into the machine's; the constructor keeps it. */
  #saveForeignArray(array: NDArray): void {
    const out = this.#out;
    this.#saveNamed("numpy", "ndarray");
    out.byte(MARK);
    this.#saveTuple(new Tuple(array.shape.map(BigInt)));
    this.#save(array.dtype);
    this.#saveByteArray(new ByteArray(array.bytes));
    this.#saveInt(0n); // offset
    out.byte(NONE); // strides
    this.#save(array.fortranOrder ? "F" : "C");
    out.byte(TUPLE);
    out.byte(REDUCE);
    this.#memoize(array);
  }

  #saveDType(dtype: DType): void {
    const out = this.#out;
    this.#saveNamed("numpy", "dtype");
    this.#save(dtype.code);
    out.byte(NEWFALSE); // align
    out.byte(NEWTRUE); // copy
    out.byte(TUPLE1 + 2);
    out.byte(REDUCE);
    this.#memoize(dtype);
    this.#save(dtype.state ?? dtypeState(dtype));
    out.byte(BUILD);
  }

  #saveScalar(scalar: NumpyScalar): void {
    this.#saveNamed("numpy.core.multiarray", "scalar");
    this.#save(scalar.dtype);
    this.#save(scalar.bytes);
    this.#out.byte(TUPLE1 + 1);
    this.#out.byte(REDUCE);
    this.#memoize(scalar);
  }

  #saveReduced(object: Reduced): void {
    const out = this.#out;
    const allowed = allowedGlobal(object.callable);
    if (allowed.use !== "carry") {
      const { module, name } = object.callable;
      throw new TaskError("SECURITY_VIOLATION", `Cannot pickle: global "${module}.${name}" is not allowed in a call`);
    }
    this.#saveGlobal(allowed.ref);
    this.#save(object.args);
    out.byte(object.call === "newobj" ? NEWOBJ : REDUCE);
    const known = this.#memo.get(object);
    if (known !== undefined) { // its arguments hold it
      out.byte(POP);
      return this.#get(known);
    }
    this.#memoize(object);
    if (object.listItems !== undefined) this.#appendItems(object.listItems);
    if (object.dictItems !== undefined) this.#setItems(object.dictItems);
    if (object.state !== undefined) {
      this.#save(object.state);
      out.byte(BUILD);
    }
  }

  #saveGlobal(ref: GlobalRef): void {
    this.#saveNamed(ref.module, ref.name);
  }

  #saveNamed(module: string, name: string): void {
    const key = `${module}.${name}`;
    const known = this.#globals.get(key);
    if (known !== undefined) return this.#get(known);
    this.#saveText(module);
    this.#saveText(name);
    this.#out.byte(STACK_GLOBAL);
    this.#out.byte(MEMOIZE);
    this.#globals.set(key, this.#memo.size + this.#globals.size);
  }

  #memoize(value: object | string): void {
    this.#out.byte(MEMOIZE);
    this.#memo.set(value, this.#memo.size + this.#globals.size);
  }

  /** Writes a reference to what was written before. */
  #recall(value: object): boolean {
    const index = this.#memo.get(value);
    if (index === undefined) return false;
    this.#get(index);
    return true;
  }

  #get(index: number): void {
    if (index <= 0xff) this.#out.opcode(BINGET, index, 1);
    else this.#out.opcode(LONG_BINGET, index, 4);
  }
}

function tooDeep(maxDepth: number, cause?: unknown): TaskError {
  const message = `Cannot pickle: nested deeper than ${maxDepth} levels`;
  return new TaskError("RESOURCE_LIMIT", message, cause === undefined ? {} : { cause });
}

function unsupported(value: unknown): never {
  throw new TaskError("TASK_FAILED", `Cannot pickle: a value of type '${pythonTypeName(value)}'`);
}
