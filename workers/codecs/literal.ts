/**
 * Values of a request's config: JSON, else a Python literal, else text.
 * @module
 */

import { TaskError } from "../task_error.ts";
import type { Value } from "../values.ts";
import { parseJson } from "./json_decode.ts";
import { tryParsePythonLiteral } from "./python_literal.ts";

/** Levels of nesting that a config value may have; what is deeper counts as text. */
const MAX_DEPTH = 100;

/**
 * Reads a config value: a JSON literal, or what Python's `ast.literal_eval` takes, complex numbers excepted; anything
 * else is the text itself.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Tuple } from "../values.ts";
 * assert.equal(parseLiteral("1"), 1n);
 * assert.equal(parseLiteral("True"), true);
 * assert.deepEqual(parseLiteral("(1920, 1080)"), new Tuple([1920n, 1080n]));
 * assert.equal(parseLiteral("lanczos"), "lanczos");
 * ```
 */
export function parseLiteral(text: string): Value {
  // Most config values are names or numbers: what cannot begin a literal is not parsed for nothing.
  if (!/^\s*[-+.0-9"'([{tfnTFNIbBrRuUs]/.test(text)) return text;
  try {
    return parseJson(text, { maxDepth: MAX_DEPTH });
  } catch (error) {
    if (!(error instanceof TaskError)) throw error;
  }
  const literal = tryParsePythonLiteral(text, MAX_DEPTH);
  return literal === undefined ? text : literal;
}
