/**
 * A node that stays: one input after the other, until it is closed.
 * @module
 */

import type { Value } from "../values.ts";
import { cleanUp, createNode, type TaskContext, throwIfAborted, toTaskError } from "./instantiate.ts";
import type { Node, NodeDefinition } from "./node.ts";

/** A node over a stream of inputs. Whoever opens it closes it. */
export class NodeStream {
  readonly #node: Node;
  readonly #isStreaming: boolean;
  readonly #context: TaskContext;

  private constructor(node: Node, isStreaming: boolean, context: TaskContext) {
    this.#node = node;
    this.#isStreaming = isStreaming;
    this.#context = context;
  }

  /** Builds the node. @throws {TaskError} as {@linkcode createNode} does */
  static async open(
    definition: NodeDefinition,
    config: ReadonlyMap<string, string>,
    context: TaskContext,
  ): Promise<NodeStream> {
    return new NodeStream(await createNode(definition, config, context), definition.streaming, context);
  }

  /**
   * Processes one input: a streaming node gives zero or more outputs, a plain one its output, or none where that is
   * `null`.
   * @throws {TaskError} as the node throws them; anything else that it throws becomes `TASK_FAILED`
   */
  async process(input: Value, give: (output: Value) => void): Promise<void> {
    const { signal } = this.#context;
    try {
      throwIfAborted(signal);
      const result = this.#node.process(input);
      if (this.#isStreaming) {
        // A streaming node returns an iterable by its interface.
        await this.#giveAll(await result as Iterable<Value> | AsyncIterable<Value>, give);
      } else {
        // A plain node returns a value by its interface.
        const output = await (result as Value | Promise<Value>);
        if (output !== null) give(output);
      }
    } catch (error) {
      throw toTaskError(error);
    }
  }

  /** Gives what a streaming node still holds at the end of its inputs. @throws {TaskError} as `process` does */
  async flush(give: (output: Value) => void): Promise<void> {
    if (!this.#isStreaming) return;
    try {
      await this.#giveAll(this.#node.flush?.() ?? [], give);
    } catch (error) {
      throw toTaskError(error);
    }
  }

  /** Frees what the node has. */
  close(): void {
    cleanUp(this.#node, this.#context);
  }

  async #giveAll(outputs: Iterable<Value> | AsyncIterable<Value>, give: (output: Value) => void): Promise<void> {
    // Most nodes yield without waiting for anything: their outputs need no turn of the event loop each.
    if (Symbol.iterator in outputs) {
      for (const output of outputs) give(output);
      return;
    }
    for await (const output of outputs) {
      give(output);
      throwIfAborted(this.#context.signal);
    }
  }
}
