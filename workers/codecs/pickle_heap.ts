/**
 * What a pickle may allocate and use as keys while it is decoded.
 * @module
 */

import { TaskError } from "../task_error.ts";
import { Complex, DType, FrozenSet, GlobalRef, NDArray, NumpyScalar, Reduced, Tuple, type Value } from "../values.ts";
import { allowedGlobal } from "./pickle_globals.ts";
import { pythonTypeName } from "./type_name.ts";

/** A pickle that is not well formed; the decoder adds where. It never leaves this folder. */
export class MalformedPickle extends Error {}

/** Ends decoding with `INVALID_TASK`: `Cannot unpickle: <what> at byte <n>`. */
export function malformed(what: string): never {
  throw new MalformedPickle(what);
}

/** Estimates of what values take in V8, from above. */
export const COST = {
  /** A place on the stack or in a list. */
  slot: 16,
  int: 24,
  float: 16,
  string: 32,
  view: 160,
  list: 96,
  tuple: 128,
  dict: 320,
  set: 288,
  entry: 64,
  object: 192,
} as const;

/**
 * V8 hashes a bigint by its lowest 64 bits only: wider ones can be made to collide at will, and a dict of n of them
 * costs n² steps. So many keys may share their lowest bits.
 */
const MAX_COLLIDING_KEYS = 1000;

/** Accounts for the values of one pickle. */
export class PickleHeap {
  /** Values so far that can nest. */
  containers = 0;
  #leftBytes: number;
  /** How many int keys beyond 64 bits have the same lowest 64. */
  readonly #wideIntKeys = new Map<bigint, number>();
  /** Tuples known to be hashable: a tuple in a key of many keys is looked at once. */
  readonly #hashable = new Set<Tuple>();

  constructor(readonly limitBytes: number) {
    this.#leftBytes = limitBytes;
  }

  /**
   * Accounts for an allocation, before it is made.
   * @throws {TaskError} `RESOURCE_LIMIT`
   */
  charge(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes < 0) {
      throw new TaskError("RESOURCE_LIMIT", `Cannot unpickle: it needs more than ${this.limitBytes} bytes of memory`);
    }
  }

  /** Accounts for a value that can nest. */
  chargeContainer(bytes: number): void {
    this.containers++;
    this.charge(bytes);
  }

  newSet(items: Iterable<Value>): Set<Value> {
    this.chargeContainer(COST.set);
    const set = new Set<Value>();
    for (const item of items) this.addItem(set, item);
    return set;
  }

  /** `set.add(item)`. */
  addItem(set: Set<Value>, item: Value): void {
    this.#checkHashable(item);
    this.charge(COST.entry);
    set.add(item);
  }

  /** `dict[key] = value`. */
  setItem(dict: Map<Value, Value>, key: Value, value: Value): void {
    if (typeof key !== "string") this.#checkHashable(key);
    this.charge(COST.entry);
    dict.set(key, value);
  }

  #checkHashable(key: Value): void {
    if (typeof key === "bigint") return this.#countWideInt(key);
    if (typeof key !== "object" || key === null) return;
    const pending: Value[] = [key];
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      if (value instanceof Tuple) {
        if (this.#hashable.has(value)) continue;
        this.charge(COST.entry + COST.slot * value.items.length);
        this.#hashable.add(value);
        for (const item of value.items) pending.push(item);
      } else if (!isHashable(value)) {
        malformed(`unhashable type: '${pythonTypeName(value)}'`);
      }
    }
  }

  #countWideInt(key: bigint): void {
    if (BigInt.asIntN(64, key) === key) return;
    const lowest = BigInt.asUintN(64, key);
    const count = (this.#wideIntKeys.get(lowest) ?? 0) + 1;
    if (count > MAX_COLLIDING_KEYS) {
      const message = `more than ${MAX_COLLIDING_KEYS} keys are ints beyond 64 bits with the same lowest bits`;
      throw new TaskError("RESOURCE_LIMIT", `Cannot unpickle: ${message}`);
    }
    this.charge(COST.entry);
    this.#wideIntKeys.set(lowest, count);
  }
}

function isHashable(value: Value): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (value instanceof Reduced) return allowedGlobal(value.callable).hashable;
  return value instanceof Uint8Array || value instanceof FrozenSet || value instanceof Complex ||
    value instanceof GlobalRef || value instanceof NumpyScalar || value instanceof DType;
}

/** Whether values nest deeper than `maxDepth`, on the longest way. Cycles are gone round once. */
export function nestsDeeper(root: Value, maxDepth: number): boolean {
  // Heights of what is finished; 0 for what is under way, which only a cycle meets again.
  const heights = new Map<object, number>();
  const path: { value: object; children: Value[]; next: number; height: number }[] = [];
  let value: Value | undefined = root;
  while (true) {
    const children: Value[] | undefined = value === undefined ? undefined : childrenOf(value);
    if (children !== undefined && typeof value === "object" && value !== null) {
      const known = heights.get(value);
      if (path.length + (known ?? 1) > maxDepth) return true;
      if (known === undefined) {
        heights.set(value, 0);
        path.push({ value, children, next: 0, height: 1 });
      } else {
        const parent = path.at(-1);
        if (parent !== undefined) parent.height = Math.max(parent.height, known + 1);
      }
    }
    let top = path.at(-1);
    while (top !== undefined && top.next === top.children.length) {
      heights.set(top.value, top.height);
      path.pop();
      const parent = path.at(-1);
      if (parent !== undefined) parent.height = Math.max(parent.height, top.height + 1);
      top = parent;
    }
    if (top === undefined) return false;
    value = top.children[top.next++];
  }
}

/** What a value nests; `undefined` for one that cannot. */
function childrenOf(value: Value): Value[] | undefined {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return undefined;
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple) return value.items;
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  if (value instanceof Set) return [...value];
  if (value instanceof FrozenSet) return [...value.items];
  if (value instanceof NDArray) return value.objects === undefined ? [value.dtype] : [...value.objects, value.dtype];
  if (value instanceof NumpyScalar) return [value.dtype];
  if (value instanceof DType) return value.state === undefined ? [] : [value.state];
  if (value instanceof Reduced) {
    const children: Value[] = [value.args, ...value.listItems ?? []];
    if (value.dictItems !== undefined) children.push(value.dictItems);
    if (value.state !== undefined) children.push(value.state);
    return children;
  }
  return undefined;
}
