/**
 * Runs nodes as ExecuteNode does.
 * @module
 */

import { executeNode, type TaskContext } from "../../workers/nodes/instantiate.ts";
import { findNode } from "../../workers/nodes/mod.ts";
import type { Value } from "../../workers/values.ts";

/** A task's context that gathers the warnings. */
export function taskContext(options: Partial<TaskContext> = {}): TaskContext & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return {
    memoryLimitBytes: 512 * 2 ** 20,
    signal: new AbortController().signal,
    warn: (message) => warnings.push(message),
    ...options,
    warnings,
  };
}

/** Runs a node by its type. */
export function run(
  type: string,
  input: Value,
  config: Readonly<Record<string, string>> = {},
  context: TaskContext = taskContext(),
): Promise<Value> {
  return executeNode(findNode(type), new Map(Object.entries(config)), input, context);
}
