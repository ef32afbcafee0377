/**
 * The nodes that this service has.
 *
 * A node is added by adding its file to this folder, with its definition as default export; `scripts/gen_nodes.ts` then
 * writes the list that is imported here.
 *
 * @module
 */

import { TaskError } from "../task_error.ts";
import { describeDefinitions, type NodeDescription } from "./_describe.ts";
import { DEFINITIONS } from "./_registry.ts";
import type { NodeDefinition } from "./node.ts";

export type { NodeDescription, ParameterDescription } from "./_describe.ts";

/** Every node by the name that clients ask for, in alphabetical order. */
export const nodeDefinitions: ReadonlyMap<string, NodeDefinition> = index(DEFINITIONS.flat());

/**
 * Finds a node.
 * @throws {TaskError} `INVALID_TASK` when there is none, listing what there is
 */
export function findNode(type: string): NodeDefinition {
  const definition = nodeDefinitions.get(type);
  if (definition !== undefined) return definition;
  const available = [...nodeDefinitions.keys()].map((name) => `'${name}'`).join(", ");
  const shown = type.length > 100 ? `${type.slice(0, 100)}…` : type;
  throw new TaskError("INVALID_TASK", `Unknown node type: ${shown}. Available: [${available}]`);
}

/** Describes every node for ListNodes, as plain records in alphabetical order. */
export function describeNodes(): NodeDescription[] {
  return describeDefinitions(nodeDefinitions.values());
}

function index(definitions: readonly NodeDefinition[]): ReadonlyMap<string, NodeDefinition> {
  const map = new Map<string, NodeDefinition>();
  for (const definition of definitions.toSorted((a, b) => a.type < b.type ? -1 : 1)) {
    if (map.has(definition.type)) throw new TypeError(`Cannot register node: there are two "${definition.type}"`);
    map.set(definition.type, definition);
  }
  return map;
}
