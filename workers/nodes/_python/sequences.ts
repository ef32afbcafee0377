/**
 * `+` and `*` on Python's sequences.
 * @module
 */

import { pythonTypeName } from "../../codecs/type_name.ts";
import { TaskError } from "../../task_error.ts";
import { ByteArray, Tuple, type Value } from "../../values.ts";
import type { ArithmeticLimits } from "./arithmetic.ts";
import { PythonError } from "./error.ts";

type Sequence = string | Uint8Array | ByteArray | Value[] | Tuple;

/** Estimate of what an item of a list takes. */
const ITEM_BYTES = 8;
/** UTF-16 units that a string of V8 may have, less some. */
const MAX_TEXT_LENGTH = 2 ** 29 - 64;

/** Whether `+` and `*` treat the value as a sequence. */
export function isSequence(value: Value): value is Sequence {
  return typeof value === "string" || value instanceof Uint8Array || value instanceof ByteArray ||
    Array.isArray(value) || value instanceof Tuple;
}

/** `a + b` where `a` is a sequence. */
export function concatenate(a: Sequence, b: Value, limits: ArithmeticLimits): Value {
  if (isSequence(b)) requireSize(sizeOf(a) + sizeOf(b), limits);
  if (typeof a === "string") {
    if (typeof b === "string") return a + b;
  } else if (Array.isArray(a)) {
    if (Array.isArray(b)) return [...a, ...b];
  } else if (a instanceof Tuple) {
    if (b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
  } else {
    if (b instanceof Uint8Array || b instanceof ByteArray) {
      return sameBytes(a, joinBytes([bytesOf(a), bytesOf(b)]));
    }
    throw new PythonError("TypeError", `can't concat ${pythonTypeName(b)} to ${pythonTypeName(a)}`);
  }
  const type = pythonTypeName(a);
  throw new PythonError("TypeError", `can only concatenate ${type} (not "${pythonTypeName(b)}") to ${type}`);
}

/** `sequence * times`. */
export function repeat(sequence: Sequence, times: Value, limits: ArithmeticLimits): Value {
  if (typeof times !== "bigint") {
    const type = pythonTypeName(times);
    throw new PythonError("TypeError", `can't multiply sequence by non-int of type '${type}'`);
  }
  if (times >= 2n ** 63n || times < -(2n ** 63n)) {
    throw new PythonError("OverflowError", "cannot fit 'int' into an index-sized integer");
  }
  const size = sizeOf(sequence);
  const count = size === 0 || times < 0n ? 0 : Number(times);
  requireSize(size * count, limits);
  if (typeof sequence === "string") return sequence.repeat(count);
  if (Array.isArray(sequence)) return repeatItems(sequence, count);
  if (sequence instanceof Tuple) return new Tuple(repeatItems(sequence.items, count));
  return sameBytes(sequence, joinBytes(new Array<Uint8Array>(count).fill(bytesOf(sequence))));
}

function repeatItems(items: readonly Value[], count: number): Value[] {
  const result = new Array<Value>(items.length * count);
  for (let at = 0; at < result.length; at++) result[at] = items[at % items.length] ?? null;
  return result;
}

function sizeOf(sequence: Sequence): number {
  if (typeof sequence === "string") return sequence.length * 2;
  if (Array.isArray(sequence)) return sequence.length * ITEM_BYTES;
  if (sequence instanceof Tuple) return sequence.items.length * ITEM_BYTES;
  return bytesOf(sequence).length;
}

function requireSize(bytes: number, { memoryLimitBytes }: ArithmeticLimits): void {
  if (bytes <= memoryLimitBytes / 4 && bytes <= MAX_TEXT_LENGTH * 2) return;
  throw new TaskError(
    "RESOURCE_LIMIT",
    `Cannot build sequence: it would have ${bytes} bytes, at most a quarter of the task's ${memoryLimitBytes} are allowed`,
  );
}

function bytesOf(value: Uint8Array | ByteArray): Uint8Array {
  return value instanceof ByteArray ? value.bytes : value;
}

/** bytes + bytearray is bytes, bytearray + bytes is bytearray. */
function sameBytes(like: Uint8Array | ByteArray, bytes: Uint8Array): Value {
  return like instanceof ByteArray ? new ByteArray(bytes) : bytes;
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
