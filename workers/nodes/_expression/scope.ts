/**
 * What an expression is evaluated in, and what it may cost.
 * @module
 */

import { TaskError } from "../../task_error.ts";
import { ByteArray, Tuple, type Value } from "../../values.ts";
import { bitLength } from "../_python/float_math.ts";

/** Operators and calls that one item may take, all records and expressions together. */
const MAX_STEPS = 20_000_000;

/** Steps between two looks at the signal. */
const SIGNAL_STEPS = 4096;

/** The record, and a budget that is shared by all the expressions of one item. */
export class Scope {
  /** What `_` is and where names are looked up. */
  record: Value = null;
  readonly memoryLimitBytes: number;
  readonly #signal: AbortSignal;
  #steps = 0;
  #leftBytes: number;

  constructor(options: { readonly memoryLimitBytes: number; readonly signal: AbortSignal }) {
    this.memoryLimitBytes = this.#leftBytes = options.memoryLimitBytes;
    this.#signal = options.signal;
  }

  /** Counts an operator or a call. @throws {TaskError} `RESOURCE_LIMIT`, `CANCELLED` */
  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > MAX_STEPS) {
      throw new TaskError("RESOURCE_LIMIT", `Cannot evaluate expressions: more than ${MAX_STEPS} steps`);
    }
    if (this.#steps % SIGNAL_STEPS < count && this.#signal.aborted) {
      throw new TaskError("CANCELLED", "Cannot evaluate expressions: the task was cancelled");
    }
  }

  /**
   * Counts the memory of a value that an expression made, and gives it back. What is thrown away is not given back, so
   * that the sum bounds the work as well.
   *
   * @throws {TaskError} `RESOURCE_LIMIT`
   */
  charge(value: Value): Value {
    const bytes = sizeOf(value);
    this.#leftBytes -= bytes;
    if (this.#leftBytes < 0) {
      throw new TaskError(
        "RESOURCE_LIMIT",
        `Cannot evaluate expressions: their values need more than the task's ${this.memoryLimitBytes} bytes`,
      );
    }
    return value;
  }
}

function sizeOf(value: Value): number {
  if (typeof value === "string") return value.length * 2;
  if (typeof value === "bigint") return value < 2n ** 64n && value > -(2n ** 64n) ? 0 : bitLength(value) / 8;
  if (Array.isArray(value)) return value.length * 8;
  if (value instanceof Tuple) return value.items.length * 8;
  if (value instanceof Uint8Array) return value.length;
  return value instanceof ByteArray ? value.bytes.length : 0;
}
