import assert from "node:assert/strict";
import type { Dict, Value } from "../../workers/values.ts";
import { Tuple } from "../../workers/values.ts";
import vectors from "../data/python-text.json" with { type: "json" };
import { run } from "./_run.ts";

const ALL = [
  "uppercase",
  "lowercase",
  "reverse",
  "word_count",
  "char_count",
  "title_case",
  "remove_spaces",
  "first_word",
  "last_word",
];

async function results(text: string, operations: Value): Promise<Dict> {
  const output = await run("TextProcessorNode", new Map<Value, Value>([["text", text], ["operations", operations]]));
  assert.ok(output instanceof Map);
  const found = output.get("results");
  assert.ok(found instanceof Map);
  return found;
}

for (const [text, ...expected] of vectors.rows as [string, ...(string | number)[]][]) {
  Deno.test(`TextProcessorNode gives CPython's results for ${JSON.stringify(text)}`, async () => {
    assert.deepEqual(
      [...await results(text, ALL)],
      ALL.map((name, at) => [name, typeof expected[at] === "number" ? BigInt(expected[at]) : expected[at]]),
    );
  });
}

Deno.test("TextProcessorNode gives the fields of its answer in order, with the config that it does not know", async () => {
  const input = new Map<Value, Value>([["text", "ab c"], ["operations", ["first_word", "uppercase"]]]);
  assert.deepEqual(
    [...await run("TextProcessorNode", input, { tag: "(1, 2)" }) as Dict],
    [
      ["original_text", "ab c"],
      ["operations", ["first_word", "uppercase"]],
      ["results", new Map([["first_word", "ab"], ["uppercase", "AB C"]])],
      ["processed_by", "TextProcessorNode[remote_TextProcessorNode]"],
      ["node_config", new Map([["tag", new Tuple([1n, 2n])]])],
    ],
  );
});

Deno.test("TextProcessorNode makes upper case when no operations are named", async () => {
  const output = await run("TextProcessorNode", new Map([["text", "x"]])) as Dict;
  assert.deepEqual(output.get("results"), new Map([["uppercase", "X"]]));
  assert.deepEqual(output.get("operations"), ["uppercase"]);
});

Deno.test("TextProcessorNode names unknown operations", async () => {
  assert.deepEqual(
    await results("x", new Tuple(["shout", 5n, "lowercase"])),
    new Map([
      ["unknown_operation_shout", "Unknown operation: shout"],
      ["unknown_operation_5", "Unknown operation: 5"],
      ["lowercase", "x"],
    ]),
  );
});

const BY = "TextProcessorNode[remote_TextProcessorNode]";
const REFUSED: [string, Value, [string, Value][]][] = [
  ["a list", [1n], [["error", "Input must be a dictionary"], ["input", [1n]]]],
  ["None", null, [["error", "Input must be a dictionary"], ["input", null]]],
  ["no text", new Map(), [["error", "Input must contain 'text' key"], ["input", new Map()]]],
  [
    "text that is an int",
    new Map([["text", 5n]]),
    [["error", "'text' must be a str, not int"], ["text", 5n], ["operations", ["uppercase"]]],
  ],
  [
    "operations that are no list",
    new Map<Value, Value>([["text", "x"], ["operations", null]]),
    [["error", "'NoneType' object is not iterable"], ["text", "x"], ["operations", null]],
  ],
];
for (const [name, input, fields] of REFUSED) {
  Deno.test(`TextProcessorNode answers ${name} with an error and does not fail`, async () => {
    assert.deepEqual([...await run("TextProcessorNode", input) as Dict], [...fields, ["processed_by", BY]]);
  });
}
