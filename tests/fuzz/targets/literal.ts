/**
 * Values of a config: JSON, Python literals, text.
 * @module
 */

import assert from "node:assert/strict";
import { bytesOf } from "../../support/zip_writer.ts";
import { MAX_INT_DIGITS, parseJson } from "../../../workers/codecs/json_decode.ts";
import { parseLiteral } from "../../../workers/codecs/literal.ts";
import { tryParsePythonLiteral } from "../../../workers/codecs/python_literal.ts";
import { TaskError } from "../../../workers/task_error.ts";
import type { Value } from "../../../workers/values.ts";
import { pureTarget, type Target } from "../engine.ts";
import { anyJson } from "../json_values.ts";
import { mutate } from "../mutate.ts";

const PIECES = [
  "(",
  ")",
  "[",
  "]",
  "{",
  "}",
  ",",
  ":",
  "'",
  '"',
  "'''",
  '"""',
  "b'a'",
  "rb'\\x'",
  "u'é'",
  "'\\N{DASH}'",
  "'\\U0010ffff'",
  "'\\U00110000'",
  "'\\777'",
  "b'\\777'",
  "'\\\n'",
  "True",
  "None",
  "set()",
  "set",
  "0x_f",
  "0b12",
  "0o7_7",
  "00",
  "1_000",
  "1__0",
  "1e400",
  ".5",
  "5.",
  "1j",
  "-",
  "+",
  "- -1",
  "9".repeat(MAX_INT_DIGITS + 1),
  "\t",
  "\n",
  "1",
  "'k': 2",
];

/** Whatever a caller writes has a meaning, and none is an error. */
export const literal: Target = pureTarget({
  name: "literal",
  description: "values of a node's config",
  iterations: 8_000,
  reaches: ["text", "literal", "JSON"],
  generate(random) {
    const text = random.chance(0.2)
      ? JSON.stringify(anyJson(random, 3))
      : random.chance(0.1)
      ? random.pick(["(", "[", "{1:", "-", "'a'"]).repeat(random.skewed(3_000))
      : Array.from({ length: random.between(1, 10) }, () => random.pick(PIECES)).join(random.pick(["", "", " "]));
    return random.chance(0.2) ? mutate(bytesOf(text), random) : bytesOf(text);
  },
  run(input) {
    const text = new TextDecoder().decode(input);
    const value = parseLiteral(text);
    const json = tryJson(text);
    if (json !== undefined) {
      // Only what starts like a literal is looked at: the byte order mark, which JSON may start with, is text.
      assert.deepEqual(value, text.startsWith("\ufeff") ? text : json.value);
      return "JSON";
    }
    if (value === text) return "text";
    assert.deepEqual(tryParsePythonLiteral(text, 100), value);
    return "literal";
  },
});

function tryJson(text: string): { readonly value: Value } | undefined {
  try {
    return { value: parseJson(text, { maxDepth: 100 }) };
  } catch (error) {
    if (!(error instanceof TaskError)) throw error;
    return undefined;
  }
}
