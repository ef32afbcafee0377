/**
 * CalculatorNode.
 * @module
 */

import * as z from "zod";
import { elementReader } from "../codecs/json_elements.ts";
import { pythonTypeName } from "../codecs/type_name.ts";
import { type Dict, NDArray, NumpyScalar, Tuple, type Value } from "../values.ts";
import { binaryOperation, type Operator } from "./_python/arithmetic.ts";
import { equals } from "./_python/compare.ts";
import { PythonError } from "./_python/error.ts";
import { pythonStr } from "./_python/repr.ts";
import { contiguousBytes } from "./arrays.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const OPERATORS: ReadonlyMap<Value, Operator> = new Map<Value, Operator>([
  ["add", "+"],
  ["subtract", "-"],
  ["multiply", "*"],
  ["divide", "/"],
  ["power", "**"],
  ["modulo", "%"],
]);

/**
 * Calculates `{operation, args: [a, b]}` with Python's arithmetic.
 *
 * Gives `{operation, args, result, processed_by, node_config}`, or for what Python would raise an error on
 * `{error, operation, args, processed_by}`; `{error, input, processed_by}` for input that has not that form.
 */
class Calculator implements Node {
  readonly #context: NodeContext;
  readonly #processedBy: string;

  constructor(context: NodeContext) {
    this.#context = context;
    this.#processedBy = `CalculatorNode[${context.name}]`;
  }

  process(input: Value): Dict {
    if (!(input instanceof Map)) return this.#refuse("Input must be a dictionary", input);
    const operation = input.get("operation");
    const args = input.get("args");
    if (operation === undefined || args === undefined) {
      return this.#refuse("Input must contain 'operation' and 'args' keys", input);
    }
    const answer: Dict = new Map<Value, Value>([["operation", operation], ["args", args]]);
    try {
      answer.set("result", this.#calculate(operation, args));
    } catch (error) {
      if (!(error instanceof PythonError)) throw error;
      return new Map<Value, Value>([["error", error.message], ...answer, ["processed_by", this.#processedBy]]);
    }
    answer.set("processed_by", this.#processedBy);
    answer.set("node_config", new Map(this.#context.extraConfig));
    return answer;
  }

  #calculate(operation: Value, args: Value): Value {
    if (lengthOf(args) < 2) {
      throw new PythonError("ValueError", `Operation '${pythonStr(operation)}' requires at least 2 arguments`);
    }
    const a = itemOf(args, 0);
    const b = itemOf(args, 1);
    const operator = OPERATORS.get(operation);
    if (operator === undefined) throw new PythonError("ValueError", `Unknown operation: ${pythonStr(operation)}`);
    if (operator === "/" && equals(b, 0n)) throw new PythonError("ValueError", "Division by zero");
    if (operator === "%" && equals(b, 0n)) throw new PythonError("ValueError", "Modulo by zero");
    return binaryOperation(operator, a, b, this.#context);
  }

  #refuse(error: string, input: Value): Dict {
    return new Map<Value, Value>([["error", error], ["input", input], ["processed_by", this.#processedBy]]);
  }
}

/** Python's `len(args)`. */
function lengthOf(args: Value): number {
  if (Array.isArray(args)) return args.length;
  if (args instanceof Tuple) return args.items.length;
  if (args instanceof Map || args instanceof Set) return args.size;
  if (typeof args === "string") return args.isWellFormed() ? [...args].length : args.length;
  if (args instanceof Uint8Array) return args.length;
  if (args instanceof NDArray && args.shape[0] !== undefined) return args.shape[0];
  throw new PythonError("TypeError", `object of type '${pythonTypeName(args)}' has no len()`);
}

/** Python's `args[index]`, for an index within the length. */
function itemOf(args: Value, index: number): Value {
  if (Array.isArray(args)) return args[index] ?? null;
  if (args instanceof Tuple) return args.items[index] ?? null;
  if (args instanceof Uint8Array) return BigInt(args[index] ?? 0);
  if (typeof args === "string") return [...args][index] ?? null;
  if (args instanceof Map) {
    const item = args.get(BigInt(index)) ?? args.get(index);
    if (item === undefined) throw new PythonError("KeyError", String(index));
    return item;
  }
  if (args instanceof NDArray && args.shape.length === 1) {
    const size = args.dtype.itemSize;
    const bytes = contiguousBytes(args).subarray(index * size, (index + 1) * size);
    if (args.objects === undefined && elementReader(args.dtype, bytes) !== undefined) {
      return new NumpyScalar(args.dtype, bytes);
    }
  }
  throw new PythonError("TypeError", `'${pythonTypeName(args)}' object is not subscriptable`);
}

export default defineNode({
  type: "CalculatorNode",
  category: "math",
  description: "Adds, subtracts, multiplies, divides, powers or takes the modulus of two numbers as Python does",
  parameters: z.object({}),
  streaming: false,
  create: (_parameters, context) => new Calculator(context),
});
