/**
 * BufferNode.
 * @module
 */

import * as z from "zod";
import type { Value } from "../values.ts";
import { defineNode, type Node } from "./node.ts";

const PARAMETERS = z.object({
  buffer_size: z.int().min(1).default(10).describe("Items that make one list"),
});

/** Gathers items; each full buffer, and at the end what is left, is one output: the list of them. */
class BufferNode implements Node {
  readonly #size: number;
  #items: Value[] = [];

  constructor({ buffer_size }: z.output<typeof PARAMETERS>) {
    this.#size = buffer_size;
  }

  *process(item: Value): Iterable<Value> {
    this.#items.push(item);
    if (this.#items.length >= this.#size) yield this.#take();
  }

  *flush(): Iterable<Value> {
    if (this.#items.length > 0) yield this.#take();
  }

  #take(): Value[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }
}

export default defineNode({
  type: "BufferNode",
  category: "base",
  description: "Gathers items into lists of buffer_size; the end of the stream gives the rest",
  parameters: PARAMETERS,
  streaming: true,
  create: (parameters) => new BufferNode(parameters),
});
