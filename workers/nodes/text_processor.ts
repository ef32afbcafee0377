/**
 * TextProcessorNode.
 * @module
 */

import * as z from "zod";
import { pythonTypeName } from "../codecs/type_name.ts";
import { type Dict, FrozenSet, Tuple, type Value } from "../values.ts";
import { pythonStr } from "./_python/repr.ts";
import { codePointCount, reverseText, splitWords, titleCase } from "./_python/text.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const OPERATIONS: ReadonlyMap<Value, (text: string) => Value> = new Map<Value, (text: string) => Value>([
  ["uppercase", (text) => text.toUpperCase()],
  ["lowercase", (text) => text.toLowerCase()],
  ["reverse", reverseText],
  ["word_count", (text) => BigInt(splitWords(text).length)],
  ["char_count", (text) => BigInt(codePointCount(text))],
  ["title_case", titleCase],
  ["remove_spaces", (text) => text.replaceAll(" ", "")],
  ["first_word", (text) => splitWords(text)[0] ?? ""],
  ["last_word", (text) => splitWords(text).at(-1) ?? ""],
]);

/**
 * Works on `{text, operations}`.
 *
 * Gives `{original_text, operations, results, processed_by, node_config}` with a result under each operation's name, in
 * the order asked for; an unknown one adds `unknown_operation_<op>`. Input of another form gives `{error, input,
 * processed_by}`; text or operations of a wrong type `{error, text, operations, processed_by}`.
 */
class TextProcessor implements Node {
  readonly #context: NodeContext;
  readonly #processedBy: string;

  constructor(context: NodeContext) {
    this.#context = context;
    this.#processedBy = `TextProcessorNode[${context.name}]`;
  }

  process(input: Value): Dict {
    if (!(input instanceof Map)) return this.#refuse("Input must be a dictionary", { input });
    const text = input.get("text");
    if (text === undefined) return this.#refuse("Input must contain 'text' key", { input });
    const operations = input.get("operations") ?? (input.has("operations") ? null : ["uppercase"]);
    const names = tryIterate(operations);
    if (typeof text !== "string") {
      return this.#refuse(`'text' must be a str, not ${pythonTypeName(text)}`, { text, operations });
    }
    if (names === undefined) {
      return this.#refuse(`'${pythonTypeName(operations)}' object is not iterable`, { text, operations });
    }
    const results: Dict = new Map();
    for (const name of names) {
      const operation = OPERATIONS.get(name);
      if (operation !== undefined) results.set(name, operation(text));
      else results.set(`unknown_operation_${pythonStr(name)}`, `Unknown operation: ${pythonStr(name)}`);
    }
    return new Map<Value, Value>([
      ["original_text", text],
      ["operations", operations],
      ["results", results],
      ["processed_by", this.#processedBy],
      ["node_config", new Map(this.#context.extraConfig)],
    ]);
  }

  #refuse(error: string, fields: Readonly<Record<string, Value>>): Dict {
    return new Map<Value, Value>([["error", error], ...Object.entries(fields), ["processed_by", this.#processedBy]]);
  }
}

/** What a `for` of Python would go through. */
function tryIterate(value: Value): Iterable<Value> | undefined {
  if (typeof value === "string" || Array.isArray(value) || value instanceof Set) return value;
  if (value instanceof Tuple || value instanceof FrozenSet) return value.items;
  return value instanceof Map ? value.keys() : undefined;
}

export default defineNode({
  type: "TextProcessorNode",
  category: "text",
  description: "Changes, counts and takes apart text as Python's str methods do",
  parameters: z.object({}),
  streaming: false,
  create: (_parameters, context) => new TextProcessor(context),
});
