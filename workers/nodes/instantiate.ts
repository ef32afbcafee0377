/**
 * From a node's definition and a request's config to a running node, and through one item to its answer.
 * @module
 */

import { TaskError } from "../task_error.ts";
import type { Value } from "../values.ts";
import { parseConfig } from "./_config.ts";
import type { Node, NodeContext, NodeDefinition } from "./node.ts";

/** What the runner of a task gives to its node; the node's name and its unknown parameters come from the request. */
export type TaskContext = Omit<NodeContext, "name" | "extraConfig">;

/**
 * Builds a node from a request's config. The caller calls its `cleanup`.
 *
 * @throws {TaskError} `INVALID_TASK` naming every parameter that is missing or wrong, `TASK_FAILED` when the node cannot
 * be built
 */
export async function createNode(
  definition: NodeDefinition,
  config: ReadonlyMap<string, string>,
  context: TaskContext,
): Promise<Node> {
  const { parameters, extraConfig } = parseConfig(definition, config);
  const { memoryLimitBytes, signal } = context;
  try {
    return await definition.create(parameters, {
      name: `remote_${definition.type}`,
      extraConfig,
      memoryLimitBytes,
      signal,
      warn: (message) => context.warn(message),
    });
  } catch (error) {
    throw toTaskError(error);
  }
}

/**
 * Answers ExecuteNode: builds the node, gives it one item, cleans up.
 *
 * A plain node's answer is what `process` returns. A streaming node sees a stream of one item, process and flush: no
 * output is `null`, one is the answer, several become a list. A definition's `execute` takes the place of both.
 *
 * @throws {TaskError} as the node throws them; anything else that it throws becomes `TASK_FAILED`, `Node execution
 * failed: <message>`, with the original as cause
 */
export async function executeNode(
  definition: NodeDefinition,
  config: ReadonlyMap<string, string>,
  input: Value,
  context: TaskContext,
): Promise<Value> {
  const node = await createNode(definition, config, context);
  try {
    throwIfAborted(context.signal);
    if (definition.execute !== undefined) return await definition.execute(node, input);
    // A plain node returns a value by its interface; only streaming nodes return iterables of them.
    if (!definition.streaming) return await (node.process(input) as Value | Promise<Value>);
    return await executeStream(node, input, context.signal);
  } catch (error) {
    throw toTaskError(error);
  } finally {
    cleanUp(node, context);
  }
}

async function executeStream(node: Node, input: Value, signal: AbortSignal): Promise<Value> {
  const outputs: Value[] = [];
  // A streaming node returns an iterable by its interface.
  for await (const output of await node.process(input) as Iterable<Value> | AsyncIterable<Value>) {
    outputs.push(output);
    throwIfAborted(signal);
  }
  for await (const output of node.flush?.() ?? []) {
    outputs.push(output);
    throwIfAborted(signal);
  }
  return outputs.length > 1 ? outputs : outputs[0] ?? null;
}

/** A failure to clean up does not take the answer away. */
export function cleanUp(node: Node, context: TaskContext): void {
  try {
    node.cleanup?.();
  } catch (error) {
    context.warn(`Cannot clean up node: ${messageOf(error)}`);
  }
}

/** @throws {TaskError} `CANCELLED` when the task was given up */
export function throwIfAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new TaskError("CANCELLED", "Cannot go on with node: the task was cancelled", { cause: signal.reason });
}

/** What a node throws, as the failure of its task. */
export function toTaskError(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  return new TaskError("TASK_FAILED", `Node execution failed: ${messageOf(error)}`, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
