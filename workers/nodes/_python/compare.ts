/**
 * Truth, equality and order as Python has them.
 * @module
 */

import { pythonTypeName } from "../../codecs/type_name.ts";
import { ByteArray, Complex, FrozenSet, NDArray, Tuple, type Value } from "../../values.ts";
import { isNumber, toPythonNumber } from "./arithmetic.ts";
import { PythonError } from "./error.ts";

/** Levels of nesting that two values are compared through. */
const MAX_DEPTH = 200;

/** Python's `bool(value)`. An array's is Python's error, unless it has one element, which is not looked into. */
export function truth(value: Value): boolean {
  const plain = toPythonNumber(value);
  if (plain === null) return false;
  if (typeof plain === "bigint") return plain !== 0n;
  if (typeof plain === "number") return plain !== 0;
  if (typeof plain === "string" || Array.isArray(plain) || plain instanceof Uint8Array) return plain.length > 0;
  if (plain instanceof Map || plain instanceof Set) return plain.size > 0;
  if (plain instanceof Tuple) return plain.items.length > 0;
  if (plain instanceof FrozenSet) return plain.items.size > 0;
  if (plain instanceof ByteArray) return plain.bytes.length > 0;
  if (plain instanceof Complex) return plain.re !== 0 || plain.im !== 0;
  if (plain instanceof NDArray) {
    throw new PythonError("ValueError", "The truth value of an array with more than one element is ambiguous.");
  }
  return true;
}

/** Python's `a == b`. Objects that the service does not look into are equal only to themselves. */
export function equals(a: Value, b: Value, depth = 0): boolean {
  if (depth > MAX_DEPTH) throw new PythonError("ValueError", "maximum recursion depth exceeded in comparison");
  const left = toPythonNumber(a);
  const right = toPythonNumber(b);
  if (isNumber(left) && isNumber(right)) return numbersEqual(left, right);
  if (left === right) return true;
  if (Array.isArray(left)) return Array.isArray(right) && itemsEqual(left, right, depth + 1);
  if (left instanceof Tuple) return right instanceof Tuple && itemsEqual(left.items, right.items, depth + 1);
  const leftBytes = tryBytes(left);
  const rightBytes = tryBytes(right);
  if (leftBytes !== undefined) return rightBytes !== undefined && compareBytes(leftBytes, rightBytes) === 0;
  if (left instanceof Map) return right instanceof Map && dictsEqual(left, right, depth + 1);
  return false;
}

function numbersEqual(a: bigint | number | Complex, b: bigint | number | Complex): boolean {
  if (a instanceof Complex || b instanceof Complex) {
    const [aRe, aIm] = a instanceof Complex ? [a.re, a.im] : [a, 0];
    const [bRe, bIm] = b instanceof Complex ? [b.re, b.im] : [b, 0];
    return numbersEqual(aRe, bRe) && aIm === bIm;
  }
  // JavaScript compares bigint and number by their exact values, as Python does.
  // deno-lint-ignore eqeqeq
  return a == b;
}

function itemsEqual(a: readonly Value[], b: readonly Value[], depth: number): boolean {
  return a.length === b.length && a.every((item, at) => equals(item, b[at] ?? null, depth));
}

function dictsEqual(a: Map<Value, Value>, b: Map<Value, Value>, depth: number): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !equals(value, other, depth)) return false;
  }
  return true;
}

/** Operators of order, by Python's signs. */
export type OrderOperator = "<" | "<=" | ">" | ">=";

/**
 * `a operator b`.
 * @throws {PythonError} TypeError for what Python cannot order
 */
export function ordered(operator: OrderOperator, a: Value, b: Value): boolean {
  const order = compare(a, b, operator, 0);
  // NaN has no order.
  if (order === undefined) return false;
  switch (operator) {
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
  }
}

function compare(a: Value, b: Value, operator: OrderOperator, depth: number): number | undefined {
  if (depth > MAX_DEPTH) throw new PythonError("ValueError", "maximum recursion depth exceeded in comparison");
  const left = toPythonNumber(a);
  const right = toPythonNumber(b);
  if (isReal(left) && isReal(right)) {
    // Between bigint and number as well, these operators are exact.
    // deno-lint-ignore eqeqeq
    return left < right ? -1 : left > right ? 1 : left == right ? 0 : undefined;
  }
  if (typeof left === "string" && typeof right === "string") return compareText(left, right);
  const leftItems = Array.isArray(left) && Array.isArray(right) ? left : left instanceof Tuple ? left.items : undefined;
  const rightItems = Array.isArray(left) && Array.isArray(right)
    ? right
    : right instanceof Tuple
    ? right.items
    : undefined;
  if (leftItems !== undefined && rightItems !== undefined) {
    for (let at = 0; at < leftItems.length && at < rightItems.length; at++) {
      const first = leftItems[at] ?? null;
      const second = rightItems[at] ?? null;
      if (!equals(first, second)) return compare(first, second, operator, depth + 1);
    }
    return leftItems.length - rightItems.length;
  }
  const leftBytes = tryBytes(left);
  const rightBytes = tryBytes(right);
  if (leftBytes !== undefined && rightBytes !== undefined) return compareBytes(leftBytes, rightBytes);
  const types = `'${pythonTypeName(a)}' and '${pythonTypeName(b)}'`;
  throw new PythonError("TypeError", `'${operator}' not supported between instances of ${types}`);
}

function isReal(value: Value): value is bigint | number {
  return typeof value === "bigint" || typeof value === "number";
}

/** Order by code points; JavaScript's own is by UTF-16 units. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === length) return a.length - b.length;
  // Within a pair, its start decides.
  if (at > 0 && (a.charCodeAt(at) & 0xfc00) === 0xdc00 && (a.charCodeAt(at - 1) & 0xfc00) === 0xd800) at--;
  return (a.codePointAt(at) ?? 0) - (b.codePointAt(at) ?? 0);
}

function tryBytes(value: Value): Uint8Array | undefined {
  return value instanceof Uint8Array ? value : value instanceof ByteArray ? value.bytes : undefined;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
