/**
 * StatefulCounter.
 * @module
 */

import * as z from "zod";
import { Tuple, type Value } from "../values.ts";
import { defineNode, type Node } from "./node.ts";

const PARAMETERS = z.object({
  initial_value: z.int().default(0).describe("What the first item gives"),
});

/** Counts items: the n-th gives `(initial_value + n - 1,)`, whatever it is. */
class StatefulCounter implements Node {
  #value: bigint;

  constructor({ initial_value }: z.output<typeof PARAMETERS>) {
    this.#value = BigInt(initial_value);
  }

  *process(_item: Value): Iterable<Value> {
    yield new Tuple([this.#value]);
    this.#value++;
  }
}

export default defineNode({
  type: "StatefulCounter",
  category: "base",
  description: "Answers each item of a stream with a counter's value, then adds 1",
  parameters: PARAMETERS,
  streaming: true,
  create: (parameters) => new StatefulCounter(parameters),
});
