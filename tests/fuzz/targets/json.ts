/**
 * The JSON codec, against the runtime's own parser.
 * @module
 */

import assert from "node:assert/strict";
import { bytesOf } from "../../support/zip_writer.ts";
import { decodeJson, MAX_INT_DIGITS } from "../../../workers/codecs/json_decode.ts";
import { encodeJson } from "../../../workers/codecs/json_encode.ts";
import type { Value } from "../../../workers/values.ts";
import { pureTarget, type Target } from "../engine.ts";
import { anyJson, type Json } from "../json_values.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../random.ts";
import { attempt } from "../task_errors.ts";

const LIMITS = { maxDepth: 100, memoryLimitBytes: 2_000_000, maxOutputBytes: 1_000_000 };

/** What Python takes beyond RFC 8259. */
const PYTHON_ONLY = /NaN|Infinity/;

const PIECES = [
  "[",
  "]",
  "{",
  "}",
  ",",
  ":",
  '"k":',
  '"',
  "\\u",
  "\\ud83c\\udfa7",
  "NaN",
  "-Infinity",
  "Infinity",
  "true",
  "nul",
  "-0",
  "01",
  "1.",
  ".5",
  "1e400",
  "1e-400",
  "1E+5",
  "9".repeat(16),
  "0.1234567890123456789",
  "9".repeat(MAX_INT_DIGITS + 1),
  " ",
  "\n",
  "\ufeff",
  "\u00a0",
];

/** RFC 8259 with Python's additions. */
export const json: Target = pureTarget({
  name: "json",
  description: "the JSON codec",
  iterations: 8_000,
  reaches: ["fine", "INVALID_TASK", "RESOURCE_LIMIT"],
  generate(random) {
    const bytes = bytesOf(text(random));
    return random.chance(0.3) ? mutate(bytes, random) : bytes;
  },
  run(input) {
    const read = attempt(["INVALID_TASK", "RESOURCE_LIMIT"], () => decodeJson(input, LIMITS));
    const expected = tryParse(input);
    if ("refused" in read) {
      assert(read.refused === "RESOURCE_LIMIT" || expected === undefined, "JSON that is refused");
      return read.refused;
    }
    if (expected === undefined) assert.match(new TextDecoder().decode(input), PYTHON_ONLY, "accepted, but no JSON");
    else assertSame(read.value, expected.value);
    const written = attempt(["RESOURCE_LIMIT"], () => encodeJson(read.value, LIMITS));
    if ("refused" in written) return `${written.refused} on the way back`;
    assert.deepEqual(decodeJson(written.value, { ...LIMITS, memoryLimitBytes: 20_000_000 }), read.value);
    return "fine";
  },
});

function text(random: Random): string {
  if (random.chance(0.1)) return "[".repeat(random.skewed(300)) + (random.chance(0.5) ? "" : "]".repeat(100));
  if (random.chance(0.3)) return Array.from({ length: random.between(1, 12) }, () => random.pick(PIECES)).join("");
  const whole = JSON.stringify(anyJson(random), undefined, random.pick([0, 1]));
  if (random.chance(0.6)) return whole;
  const at = random.below(whole.length);
  return whole.slice(0, at) + random.pick(PIECES) + whole.slice(at + random.below(3));
}

function tryParse(input: Uint8Array): { readonly value: Json } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(input)) };
  } catch {
    return undefined;
  }
}

/** Whether both parsers mean the same, but that here ints are ints. */
function assertSame(value: Value, expected: Json): void {
  if (typeof value === "bigint") assert.equal(Number(value), expected === 0 ? 0 : expected);
  else if (Array.isArray(value)) {
    assert(Array.isArray(expected) && expected.length === value.length);
    value.forEach((item, index) => assertSame(item, expected[index] ?? null));
  } else if (value instanceof Map) {
    assert(typeof expected === "object" && expected !== null && !Array.isArray(expected));
    assert.deepEqual([...value.keys()].toSorted(), Object.keys(expected).toSorted());
    for (const [key, item] of value) {
      assert(typeof key === "string" && Object.hasOwn(expected, key));
      assertSame(item, expected[key] ?? null);
    }
  } else assert.equal(value, expected);
}
