/**
 * Inputs to bytes, outputs to values, parameters to text.
 * @module
 */

import { codecFor, type CodecLimits, type Format } from "../../workers/codecs/mod.ts";
import type { Value } from "../../workers/values.ts";
import type { ExecutionMetrics } from "../../protos/generated/types.ts";
import { PayloadError } from "./errors.ts";
import { Encoded, type Input, toValue } from "./values.ts";

/** What a node's parameter may be given as. Strings travel as they are, so that the service reads `"1"` as `1`. */
export type ConfigValue = string | number | bigint | boolean | null | readonly ConfigValue[] | {
  readonly [key: string]: ConfigValue;
};

/** An output: its bytes, and on demand the value that they stand for. */
export class Output {
  /** The output as it came, encoded in `format`. */
  readonly bytes: Uint8Array;
  #value: Value | undefined;
  readonly #limits: CodecLimits;

  constructor(bytes: Uint8Array, readonly format: Format, limits: CodecLimits) {
    // grpc-js hands out Buffers, whose slice() and toString() are not those of a Uint8Array.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#limits = limits;
  }

  /**
   * The output decoded, see `workers/values.ts` for the model; `fromValue` makes it plain. Decoded once, when asked.
   * @throws {PayloadError} for bytes that are not of the format
   */
  get value(): Value {
    try {
      return this.#value ??= codecFor(this.format).decode(this.bytes, this.#limits);
    } catch (cause) {
      throw new PayloadError("output", cause);
    }
  }
}

/** Output of one execution, or one output of a stream, with what it cost. */
export class ExecutionResult extends Output {
  constructor(
    bytes: Uint8Array,
    format: Format,
    limits: CodecLimits,
    /** What the execution cost, as the service measured it. */
    readonly metrics: ExecutionMetrics | undefined,
  ) {
    super(bytes, format, limits);
  }
}

/** What the service answers to a task of user code that succeeded. */
export interface CustomTaskAnswer {
  readonly outputData: Uint8Array;
  readonly stdout: string;
  readonly stderr: string;
  readonly installedDeps: readonly string[];
  readonly metrics?: ExecutionMetrics | undefined;
}

/** Output of user code, with what it wrote to its console. */
export class CustomTaskResult extends ExecutionResult {
  /** What the code wrote by log, info and debug; the service cuts it off at its limit, and says so in the text. */
  readonly stdout: string;
  /** What the code wrote by warn and error; cut off likewise. */
  readonly stderr: string;
  /** Requirements that were made available to the code, each with its version. */
  readonly installedDependencies: readonly string[];

  constructor(answer: CustomTaskAnswer, format: Format, limits: CodecLimits) {
    super(answer.outputData, format, limits, answer.metrics);
    this.stdout = answer.stdout;
    this.stderr = answer.stderr;
    this.installedDependencies = answer.installedDeps;
  }

  /** The output as it came, the same as `bytes`. */
  get output(): Uint8Array {
    return this.bytes;
  }
}

/** What the service answers to a call of an object's method that succeeded. */
export interface ObjectAnswer {
  readonly resultData: Uint8Array;
  readonly stdout: string;
  readonly stderr: string;
  readonly metrics?: ExecutionMetrics | undefined;
}

/** What a method of an object returned, with what the object wrote to its console since the last answer. */
export class ObjectResult extends ExecutionResult {
  /** By log, info and debug; the service cuts it off at its limit, and says so in the text. */
  readonly stdout: string;
  /** By warn and error; cut off likewise. */
  readonly stderr: string;

  constructor(answer: ObjectAnswer, format: Format, limits: CodecLimits) {
    super(answer.resultData, format, limits, answer.metrics);
    this.stdout = answer.stdout;
    this.stderr = answer.stderr;
  }
}

/**
 * An input as bytes.
 * @throws {PayloadError} for a value that cannot be sent, or that the format cannot express
 */
export function encodeInput(input: Input, format: Format, limits: CodecLimits): Uint8Array {
  if (input instanceof Encoded) return input.bytes;
  try {
    return codecFor(format).encode(toValue(input), limits);
  } catch (cause) {
    throw new PayloadError("input", cause);
  }
}

/**
 * Parameters as the literals that the service reads.
 * @throws {TypeError} for numbers that are no JSON
 */
export function toConfig(config: Readonly<Record<string, ConfigValue>>): Record<string, string> {
  return Object.fromEntries(Object.entries(config).map(([name, value]) => [name, toLiteral(value)]));
}

function toLiteral(value: ConfigValue): string {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return value.toString();
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === "bigint") throw new TypeError("A bigint within a parameter must be given as text");
    if (typeof item === "number" && !Number.isFinite(item)) throw new TypeError(`A parameter cannot be ${item}`);
    return item;
  });
}
