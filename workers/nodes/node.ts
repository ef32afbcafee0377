/**
 * What a node is: one definition beside its function, from which the service builds, validates, lists and documents it.
 * @module
 */

import type { z } from "zod";
import type { Value } from "../values.ts";

/** Categories of ListNodes. */
export type NodeCategory = "base" | "audio" | "video" | "transform" | "math" | "text" | "execution";

/** What a node may use besides its input. */
export interface NodeContext {
  /** The node's own name, `remote_<node_type>`. */
  readonly name: string;
  /** Parameters of the request that the node does not know by name, as they were sent; nodes report it as `node_config`. */
  readonly extraConfig: ReadonlyMap<string, Value>;
  /** Bytes that the task may still allocate; a node that is about to make more throws `RESOURCE_LIMIT` first. */
  readonly memoryLimitBytes: number;
  /** Aborts when the caller goes away or the time is up. */
  readonly signal: AbortSignal;
  /** Writes a line to the task's log: input that was passed through or skipped, say. */
  warn(message: string): void;
}

/** A running node. It may keep state between items; `cleanup` is always called, also after an error. */
export interface Node {
  /**
   * Processes one item.
   * A plain node returns its output, `null` for none; a streaming node yields zero or more outputs.
   */
  process(item: Value): Value | Promise<Value> | Iterable<Value> | AsyncIterable<Value>;
  /** Gives what the node still holds when its input ends. */
  flush?(): Iterable<Value> | AsyncIterable<Value>;
  /** Frees what `create` acquired, WebAssembly memory say. */
  cleanup?(): void;
}

/** Definition of a node. `Schema` is the zod object of its parameters, whose descriptions ListNodes shows. */
export interface NodeDefinition<Schema extends z.ZodObject = z.ZodObject> {
  /** The name that clients ask for. */
  readonly type: string;
  readonly category: NodeCategory;
  /** One sentence for people who choose a node. */
  readonly description: string;
  /** The parameters: types, defaults, checks and texts (`.describe()`), all in one. */
  readonly parameters: Schema;
  /**
   * A streaming node's `process` yields zero or more outputs for an item. ExecuteNode treats its input as a stream of
   * one item: process, flush; one output is the answer, several become a list, none is `None`.
   */
  readonly streaming: boolean;
  /** What runs it; a node of Python is never built here. TypeScript by default. */
  readonly runtime?: "python";
  /** Builds the node. May load WebAssembly, hence the promise. */
  create(parameters: z.output<Schema>, context: NodeContext): Node | Promise<Node>;
  /**
   * The answer to ExecuteNode, where it is not what `process` gives, or for streaming nodes what process and flush
   * give together: the resampler's chunks as one array, say.
   */
  execute?(node: Node, item: Value): Value | Promise<Value>;
}

/** Types a definition by its schema. */
export function defineNode<Schema extends z.ZodObject>(definition: NodeDefinition<Schema>): NodeDefinition {
  // The registry holds definitions of every schema; `create` only ever gets what its own schema has parsed.
  return definition as unknown as NodeDefinition;
}
