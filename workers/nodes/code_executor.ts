/**
 * CodeExecutorNode.
 * @module
 */

import * as z from "zod";
import { definePythonNode } from "./_python_node.ts";

export default definePythonNode({
  type: "CodeExecutorNode",
  description: "Runs the Python code of its input, which sees `input_data` and leaves its answer in `result`",
  parameters: z.object({
    enable_safe_imports: z.boolean().default(false).describe(
      "Whether the code finds the usual harmless modules imported already",
    ),
  }),
});
