/**
 * ExtractAudioDataNode.
 * @module
 */

import * as z from "zod";
import { Tuple, type Value } from "../values.ts";
import { reshaped, tryArray } from "./arrays.ts";
import { defineNode } from "./node.ts";

/** The samples of a pair, flattened in C order as numpy's `flatten` does; `None` for anything else. */
function extract(item: Value): Value {
  const pair = item instanceof Tuple ? item.items : item;
  if (!Array.isArray(pair) || pair.length !== 2) return null;
  const samples = tryArray(pair[0]!);
  // Two rows of numbers are an array, not a pair of samples and a rate.
  if (samples === undefined || tryArray(pair[1]!) !== undefined) return null;
  return reshaped(samples, [samples.size]);
}

export default defineNode({
  type: "ExtractAudioDataNode",
  category: "audio",
  description: "Takes the samples out of a pair (samples, sample_rate), as a flat array",
  parameters: z.object({}),
  streaming: false,
  create: (_, context) => ({
    process(item) {
      const samples = extract(item);
      if (samples === null) context.warn("ExtractAudioDataNode gave None: the item is not a pair with an array");
      return samples;
    },
  }),
});
