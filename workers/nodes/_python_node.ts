/**
 * Nodes that Python runs: defined here for ListNodes, the docs and the check of their parameters' names.
 * @module
 */

import type { z } from "zod";
import { TaskError } from "../task_error.ts";
import { defineNode, type NodeDefinition } from "./node.ts";

/** Defines a node that the service sends to a sandbox of Python; the worker of nodes refuses it. */
export function definePythonNode<Schema extends z.ZodObject>(
  definition: Pick<NodeDefinition<Schema>, "type" | "description" | "parameters">,
): NodeDefinition {
  return defineNode({
    ...definition,
    category: "execution",
    streaming: false,
    runtime: "python",
    create() {
      throw new TaskError("INVALID_TASK", `Cannot run ${definition.type}: it is run by Python, which is not here`);
    },
  });
}
