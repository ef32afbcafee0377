/**
 * PassThroughNode.
 * @module
 */

import * as z from "zod";
import { defineNode } from "./node.ts";

export default defineNode({
  type: "PassThroughNode",
  category: "base",
  description: "Gives its input back, unchanged to the type",
  parameters: z.object({}),
  streaming: false,
  create: () => ({ process: (item) => item }),
});
