/**
 * Comparing and measuring values that share parts and hold themselves.
 * @module
 */

import assert from "node:assert/strict";
import { dtypeState } from "../../workers/codecs/pickle_numpy.ts";
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
} from "../../workers/values.ts";

/** A value taken apart: what it is besides its parts, and these in order. */
interface Anatomy {
  readonly kind: string;
  readonly own: unknown;
  readonly parts: readonly (Value | undefined)[];
}

function anatomy(value: Value & object): Anatomy {
  if (value instanceof Uint8Array) return { kind: "bytes", own: value.toHex(), parts: [] };
  if (value instanceof ByteArray) return { kind: "bytearray", own: value.bytes.toHex(), parts: [] };
  if (Array.isArray(value)) return { kind: "list", own: value.length, parts: value };
  if (value instanceof Tuple) return { kind: "tuple", own: value.items.length, parts: value.items };
  if (value instanceof Map) return { kind: "dict", own: value.size, parts: [...value].flat() };
  if (value instanceof Set) return { kind: "set", own: value.size, parts: [...value] };
  if (value instanceof FrozenSet) return { kind: "frozenset", own: value.items.size, parts: [...value.items] };
  if (value instanceof Complex) return { kind: "complex", own: [value.re, value.im], parts: [] };
  if (value instanceof GlobalRef) return { kind: "global", own: [value.module, value.name], parts: [] };
  // Without a state it means the plain one, which the encoder writes.
  if (value instanceof DType) {
    return { kind: "dtype", own: value.toString(), parts: [value.state ?? dtypeState(value)] };
  }
  if (value instanceof NumpyScalar) return { kind: "scalar", own: value.bytes.toHex(), parts: [value.dtype] };
  if (value instanceof NDArray) {
    const { shape, fortranOrder, bytes, dtype, objects } = value;
    return { kind: "array", own: [shape, fortranOrder, bytes.toHex()], parts: [dtype, objects] };
  }
  assert(value instanceof Reduced);
  const { callable, call, args, state, listItems, dictItems } = value;
  return { kind: "reduced", own: call, parts: [callable, args, state, listItems, dictItems] };
}

/** Whether two values are equal, part by part; each pair is looked at once, so that shared parts cost nothing. */
export function assertSameValue(actual: Value, expected: Value): void {
  const seen = new Map<object, Set<object>>();
  const pending: [Value | undefined, Value | undefined][] = [[actual, expected]];
  for (let pair = pending.pop(); pair !== undefined; pair = pending.pop()) {
    const [left, right] = pair;
    if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) {
      assert.equal(left, right);
      continue;
    }
    const partners = seen.get(left) ?? new Set();
    if (partners.has(right)) continue;
    seen.set(left, partners.add(right));
    const ofLeft = anatomy(left);
    const ofRight = anatomy(right);
    assert.deepEqual([ofLeft.kind, ofLeft.own], [ofRight.kind, ofRight.own]);
    ofLeft.parts.forEach((part, index) => pending.push([part, ofRight.parts[index]]));
  }
}

/** Memory that a value holds at the least, in bytes: 8 for each place, and what texts, ints and bytes need. */
export function heldBytes(value: Value): number {
  const seen = new Set<unknown>();
  const pending: (Value | undefined)[] = [value];
  let held = 0;
  while (pending.length > 0) {
    const next = pending.pop();
    if (next === undefined || seen.has(next)) continue;
    if (typeof next === "string") held += next.length;
    else if (typeof next === "bigint") held += next >> 64n === 0n ? 8 : next.toString(16).length / 2;
    else if (typeof next === "object" && next !== null) {
      const { parts } = anatomy(next);
      held += 16 + 8 * parts.length +
        (next instanceof Uint8Array && !seen.has(next.buffer) ? next.buffer.byteLength : 0);
      if (next instanceof Uint8Array) seen.add(next.buffer);
      pending.push(...parts);
    }
    if (typeof next !== "number" && typeof next !== "boolean") seen.add(next);
  }
  return held;
}
