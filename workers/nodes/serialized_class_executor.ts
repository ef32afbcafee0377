/**
 * SerializedClassExecutorNode.
 * @module
 */

import * as z from "zod";
import { definePythonNode } from "./_python_node.ts";

export default definePythonNode({
  type: "SerializedClassExecutorNode",
  description: "Calls a method of a Python object that its input brings as a cloudpickle, and gives the object back",
  parameters: z.object({}),
});
