/**
 * Looking into values: names, members, indexes, slices. Only dict keys and indexes are looked up, never an attribute.
 * @module
 */

import { pythonTypeName } from "../../codecs/type_name.ts";
import { Complex, FrozenSet, Tuple, type Value } from "../../values.ts";
import { isNumber, toPythonNumber } from "../_python/arithmetic.ts";
import { equals } from "../_python/compare.ts";
import { PythonError } from "../_python/error.ts";
import { pythonRepr } from "../_python/repr.ts";
import { codePointCount } from "../_python/text.ts";

/** A name: `_` is the record, others are its keys. */
export function lookUp(record: Value, name: string): Value {
  if (name === "_") return record;
  const value = record instanceof Map ? record.get(name) : undefined;
  if (value === undefined) throw new PythonError("NameError", `name '${name}' is not defined`);
  return value;
}

/** `target.name`, which is `target["name"]` here. */
export function member(target: Value, name: string): Value {
  if (target instanceof Map) return item(target, name);
  throw new PythonError("TypeError", `'${pythonTypeName(target)}' object has no key '${name}'`);
}

/** `target[index]`. */
export function item(target: Value, index: Value): Value {
  if (target instanceof Map) {
    const value = target.get(index);
    if (value === undefined) throw new PythonError("KeyError", `key ${pythonRepr(index)} is missing`);
    return value;
  }
  const items = tryIndexable(target);
  const type = pythonTypeName(target);
  if (items === undefined) throw new PythonError("TypeError", `'${type}' object is not subscriptable`);
  const number = toPythonNumber(index);
  if (typeof number !== "bigint") {
    throw new PythonError("TypeError", `${type} indices must be integers, not ${pythonTypeName(index)}`);
  }
  const at = Number(number);
  const value = items[at < 0 ? at + items.length : at];
  if (value === undefined) throw new PythonError("IndexError", `${type} index out of range`);
  return value;
}

/** `target[start:end]`; `null` is an end left out. */
export function slice(target: Value, bounds: { readonly start: Value; readonly end: Value }): Value {
  const items = tryIndexable(target);
  if (items === undefined) {
    throw new PythonError("TypeError", `'${pythonTypeName(target)}' object is not subscriptable`);
  }
  const [start, end] = [bounds.start, bounds.end].map((bound) => {
    const number = toPythonNumber(bound);
    if (number === null) return undefined;
    if (typeof number === "bigint") return Number(number);
    throw new PythonError("TypeError", "slice indices must be integers or None or have an __index__ method");
  });
  const part = items.slice(start, end);
  if (typeof target === "string") return part.join("");
  if (target instanceof Uint8Array) return target.slice(start, end);
  return target instanceof Tuple ? new Tuple(part) : part;
}

function tryIndexable(target: Value): Value[] | undefined {
  if (Array.isArray(target)) return target;
  if (target instanceof Tuple) return target.items;
  // A text without pairs is indexed by its units, which are its code points.
  if (typeof target === "string") return codePointCount(target) === target.length ? target.split("") : [...target];
  return target instanceof Uint8Array ? Array.from(target, BigInt) : undefined;
}

/** `needle in target`. */
export function contains(target: Value, needle: Value): boolean {
  if (typeof target === "string") {
    if (typeof needle === "string") return target.includes(needle);
    const type = pythonTypeName(needle);
    throw new PythonError("TypeError", `'in <string>' requires string as left operand, not ${type}`);
  }
  if (target instanceof Map) return target.has(needle);
  const items = tryIterate(target);
  if (items === undefined) {
    throw new PythonError("TypeError", `argument of type '${pythonTypeName(target)}' is not iterable`);
  }
  for (const candidate of items) {
    if (equals(candidate, needle)) return true;
  }
  return false;
}

/** What a `for` of Python would go through, of what is not text. */
export function tryIterate(target: Value): Iterable<Value> | undefined {
  if (Array.isArray(target) || target instanceof Set) return target;
  if (target instanceof Tuple || target instanceof FrozenSet) return target.items;
  return target instanceof Map ? target.keys() : undefined;
}

/** `-value` or `+value`. */
export function negate(value: Value, sign: "-" | "+"): Value {
  const number = toPythonNumber(value);
  if (!isNumber(number)) {
    throw new PythonError("TypeError", `bad operand type for unary ${sign}: '${pythonTypeName(value)}'`);
  }
  if (sign === "+") return number;
  return number instanceof Complex ? new Complex(-number.re, -number.im) : -number;
}
