/**
 * DataTransform.
 * @module
 */

import * as z from "zod";
import { pythonTypeName } from "../codecs/type_name.ts";
import { Tuple, type Value } from "../values.ts";
import { Scope } from "./_expression/scope.ts";
import { compileOperations, type Step, TransformError } from "./_transform/compile.ts";
import { Operation } from "./_transform/operations.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const PARAMETERS = z.object({
  operations: z.array(Operation).max(1000).default([]).describe(
    'Steps, applied in order: {"op": "pick" | "drop" | "rename" | "map" | "filter" | "flatten" | "cast", …}',
  ),
  on_error: z.enum(["fail", "skip"]).default("fail").describe(
    "What becomes of a record that an operation cannot be applied to: the task fails, or the record is left out with a " +
      "warning",
  ),
});

/**
 * Puts a dict, or each dict of a list, through a pipeline of operations.
 *
 * A dict gives a dict, `None` when it was filtered out, a list when it became several; a list or tuple gives a list or
 * tuple. Anything else passes through with a warning, as do items of a list that are no dicts, where an operation needs
 * them to be.
 */
class DataTransform implements Node {
  readonly #steps: readonly Step[];
  readonly #skips: boolean;
  readonly #context: NodeContext;

  constructor(parameters: z.output<typeof PARAMETERS>, context: NodeContext) {
    this.#steps = compileOperations(parameters.operations);
    this.#skips = parameters.on_error === "skip";
    this.#context = context;
  }

  process(input: Value): Value {
    if (this.#steps.length === 0) return input;
    const scope = new Scope(this.#context);
    if (Array.isArray(input)) return this.#transform(input, scope);
    if (input instanceof Tuple) return new Tuple(this.#transform(input.items, scope));
    if (!(input instanceof Map)) {
      this.#context.warn(
        `DataTransform passed an item through: it is no dict and no list but ${pythonTypeName(input)}`,
      );
      return input;
    }
    const records = this.#transform([input], scope);
    return records.length > 1 ? records : records[0] ?? null;
  }

  #transform(input: readonly Value[], scope: Scope): Value[] {
    let records: Value[] = [...input];
    for (const step of this.#steps) {
      let passed = 0;
      const next: Value[] = [];
      for (const [index, record] of records.entries()) {
        scope.step();
        if (step.needsDict && !(record instanceof Map)) {
          passed++;
          next.push(record);
          continue;
        }
        // One by one: what a spread puts on the stack is bounded.
        for (const output of this.#apply(step, { record, index, scope })) next.push(output);
      }
      if (passed > 0) {
        this.#context.warn(`DataTransform: ${step.label} passed ${passed} items through that are no dicts`);
      }
      scope.charge(next);
      records = next;
    }
    return records;
  }

  #apply(step: Step, { record, index, scope }: { record: Value; index: number; scope: Scope }): Value[] {
    try {
      return step.apply(record, scope);
    } catch (error) {
      if (!(error instanceof TransformError)) throw error;
      const message = `Cannot transform record ${index}: ${error.message}`;
      if (!this.#skips) throw new TransformError(message, { cause: error });
      this.#context.warn(`${message}; it is left out`);
      return [];
    }
  }
}

export default defineNode({
  type: "DataTransform",
  category: "transform",
  description: "Picks, drops, renames, computes, filters, flattens and casts the fields of records",
  parameters: PARAMETERS,
  streaming: false,
  create: (parameters, context) => new DataTransform(parameters, context),
});
