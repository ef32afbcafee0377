/**
 * The service's values as user code in JavaScript sees them, and what it returns as the service's.
 *
 * What user code returns is hostile: getters and proxies run its code while they are read, arrays claim lengths that
 * they do not have, one object may be reached along 2⁴⁰ paths. Each object is therefore converted once, and what is
 * made is counted against the task's memory.
 *
 * @module
 */

import { TaskError } from "./task_error.ts";
import { dtypeOf } from "./codecs/typed_arrays.ts";
import {
  ByteArray,
  Complex,
  type Dict,
  DType,
  FrozenSet,
  GlobalRef,
  NDArray,
  NumpyScalar,
  Reduced,
  Tuple,
  type Value,
} from "./values.ts";

/** What user code gets: JavaScript's nearest for each value. */
export type UserValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | UserValue[]
  | Set<UserValue>
  | Map<UserValue, UserValue>
  | { [key: string]: UserValue }
  | Complex
  | NDArray
  | NumpyScalar
  | DType
  | Reduced
  | GlobalRef;

/**
 * JavaScript's nearest for a value: ints that are safe become numbers, tuples arrays, dicts with text keys objects and
 * other dicts maps, bytearrays `Uint8Array`. What JavaScript lacks stays in the service's model.
 */
export function toUserValue(value: Value): UserValue {
  return toUser(value, new Map());
}

function toUser(value: Value, seen: Map<object, UserValue>): UserValue {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value !== "object" || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  if (Array.isArray(value) || value instanceof Tuple) {
    const items: UserValue[] = [];
    seen.set(value, items);
    for (const item of Array.isArray(value) ? value : value.items) items.push(toUser(item, seen));
    return items;
  }
  if (value instanceof Set || value instanceof FrozenSet) {
    const items = new Set<UserValue>();
    seen.set(value, items);
    for (const item of value instanceof Set ? value : value.items) items.add(toUser(item, seen));
    return items;
  }
  if (value instanceof ByteArray) return value.bytes;
  return value instanceof Map ? toUserDict(value, seen) : value;
}

function toUserDict(dict: Dict, seen: Map<object, UserValue>): UserValue {
  if (![...dict.keys()].every((key) => typeof key === "string")) {
    const map = new Map<UserValue, UserValue>();
    seen.set(dict, map);
    for (const [key, item] of dict) map.set(toUser(key, seen), toUser(item, seen));
    return map;
  }
  const object: { [key: string]: UserValue } = {};
  seen.set(dict, object);
  for (const [key, item] of dict) {
    // Defined, not assigned: "__proto__" is a key like any other.
    Object.defineProperty(object, String(key), {
      value: toUser(item, seen),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return object;
}

/** How a result is converted. */
export interface FromUserOptions {
  /** `json` has no sets: they become lists. */
  readonly format: string;
  readonly memoryLimitBytes: number;
  readonly maxDepth: number;
}

/** Bytes that a converted value of any kind is counted with, about what V8 takes for it. */
const VALUE_BYTES = 32;

/**
 * The value for a result of user code. A number that is a safe integer becomes an int, any other a float; `undefined`
 * counts as `null`, and as absent in an object; `toJSON` is honoured; `Date` becomes its ISO 8601 text.
 *
 * @throws {TaskError} `TASK_FAILED` for functions, symbols, promises and the like, `RESOURCE_LIMIT` for too deep or big
 */
export function fromUserValue(result: unknown, options: FromUserOptions): Value {
  return new Converter(options).convert(result, "result", 0);
}

class Converter {
  readonly #options: FromUserOptions;
  readonly #seen = new Map<object, Value>();
  /** Objects whose contents are being converted. */
  readonly #open = new Set<object>();
  #bytes = 0;

  constructor(options: FromUserOptions) {
    this.#options = options;
  }

  convert(value: unknown, path: string, depth: number): Value {
    this.#count(VALUE_BYTES);
    switch (typeof value) {
      case "undefined":
        return null;
      case "boolean":
      case "bigint":
        return value;
      case "string":
        this.#count(value.length);
        return value;
      case "number":
        return Number.isSafeInteger(value) && !Object.is(value, -0) ? BigInt(value) : value;
      case "function":
      case "symbol":
        throw new TaskError("TASK_FAILED", `Cannot return a ${typeof value} from a task (at ${clip(path)})`);
    }
    if (value === null) return null;
    const object = value as object; // neither null nor a primitive here
    if (this.#open.has(object) && this.#options.format === "json") {
      throw new TaskError("TASK_FAILED", `Cannot return a value that contains itself as JSON (at ${clip(path)})`);
    }
    const known = this.#seen.get(object);
    if (known !== undefined) return known;
    if (depth >= this.#options.maxDepth) {
      throw new TaskError(
        "RESOURCE_LIMIT",
        `Cannot return a value nested deeper than ${this.#options.maxDepth} levels`,
      );
    }
    this.#open.add(object);
    const converted = this.#convertObject(object, path, depth + 1);
    this.#open.delete(object);
    return converted;
  }

  #convertObject(value: object, path: string, depth: number): Value {
    if (isModelValue(value)) return value;
    if (Array.isArray(value)) return this.#convertArray(value, path, depth);
    if (value instanceof Tuple) {
      const items: Value[] = [];
      const tuple = new Tuple(items);
      this.#seen.set(value, tuple);
      value.items.forEach((item, index) => items.push(this.convert(item, `${path}[${index}]`, depth)));
      return tuple;
    }
    if (value instanceof Map) return this.#convertMap(value, path, depth);
    if (value instanceof Set) return this.#convertSet(value, path, depth);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return this.#convertBuffer(value);
    if (value instanceof Promise) {
      throw new TaskError("TASK_FAILED", `Cannot return a promise inside a result (at ${clip(path)}): await it`);
    }
    const toJson: unknown = Reflect.get(value, "toJSON");
    if (typeof toJson === "function") return this.convert(Reflect.apply(toJson, value, []), path, depth);
    if (value instanceof Error) {
      return this.#convertEntries(value, [["name", value.name], ["message", value.message]], path, depth);
    }
    const keys = Object.keys(value);
    this.#count(keys.length * VALUE_BYTES);
    return this.#convertEntries(value, keys.map((key) => [key, Reflect.get(value, key)]), path, depth);
  }

  #convertEntries(source: object, entries: readonly (readonly [string, unknown])[], path: string, depth: number): Dict {
    const dict: Dict = new Map();
    this.#seen.set(source, dict);
    for (const [key, item] of entries) {
      this.#count(key.length);
      if (item !== undefined) dict.set(key, this.convert(item, `${path}.${key}`, depth));
    }
    return dict;
  }

  #convertArray(array: readonly unknown[], path: string, depth: number): Value[] {
    // An array may claim four thousand million elements that are not there: they are paid for before they are made.
    this.#count(array.length * VALUE_BYTES);
    const items: Value[] = [];
    this.#seen.set(array, items);
    for (let index = 0; index < array.length; index++) {
      items.push(this.convert(array[index], `${path}[${index}]`, depth));
    }
    return items;
  }

  #convertMap(map: ReadonlyMap<unknown, unknown>, path: string, depth: number): Dict {
    const dict: Dict = new Map();
    this.#seen.set(map, dict);
    for (const [key, item] of map) {
      dict.set(this.convert(key, `a key of ${path}`, depth), this.convert(item, `${path}.get(…)`, depth));
    }
    return dict;
  }

  #convertSet(set: ReadonlySet<unknown>, path: string, depth: number): Value {
    const items: Value[] = [];
    for (const item of set) items.push(this.convert(item, `an element of ${path}`, depth));
    return this.#options.format === "json" ? items : new Set(items);
  }

  #convertBuffer(value: ArrayBuffer | ArrayBufferView): Value {
    const isView = ArrayBuffer.isView(value);
    const bytes = isView ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
    this.#count(bytes.length);
    // A copy: the memory may be shared with a thread that goes on writing.
    const copy = bytes.slice();
    const dtype = isView ? dtypeOf(value) : undefined;
    return dtype === undefined ? copy : new NDArray(dtype, [copy.length / dtype.itemSize], copy);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#options.memoryLimitBytes) {
      const limitMb = Math.round(this.#options.memoryLimitBytes / (1024 * 1024));
      throw new TaskError(
        "RESOURCE_LIMIT",
        `Cannot return a result that takes more than the task's ${limitMb} MB of memory`,
      );
    }
  }
}

const MODEL_CLASSES = [ByteArray, FrozenSet, Complex, NDArray, NumpyScalar, DType, Reduced, GlobalRef] as const;

type ModelValue = InstanceType<typeof MODEL_CLASSES[number]>;

function isModelValue(value: object): value is ModelValue {
  return MODEL_CLASSES.some((modelClass) => value instanceof modelClass);
}

function clip(path: string): string {
  return path.length > 200 ? `${path.slice(0, 200)}…` : path;
}
