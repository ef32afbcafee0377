import assert from "node:assert/strict";
import { parseLiteral } from "../../workers/codecs/literal.ts";
import { Tuple, type Value } from "../../workers/values.ts";

const bytes = (...items: number[]) => new Uint8Array(items);

const LITERALS: [text: string, value: Value][] = [
  // JSON
  ["1", 1n],
  ["1.0", 1],
  ["true", true],
  ["null", null],
  ['"x"', "x"],
  ['{"a": [1]}', new Map([["a", [1n]]])],
  // Python
  ["True", true],
  ["False", false],
  ["None", null],
  [" None ", null],
  ["'x'", "x"],
  ["''", ""],
  ["(1920, 1080)", new Tuple([1920n, 1080n])],
  ["1920, 1080", new Tuple([1920n, 1080n])],
  ["()", new Tuple([])],
  ["(1,)", new Tuple([1n])],
  ["(1)", 1n],
  ["[1, 2,]", [1n, 2n]],
  ["[True, None, 'a']", [true, null, "a"]],
  ["{'a': 1, 2: (3,),}", new Map<Value, Value>([["a", 1n], [2n, new Tuple([3n])]])],
  ["{1, 2}", new Set([1n, 2n])],
  ["set()", new Set()],
  ["-5", -5n],
  ["--5", 5n],
  ["-.5", -0.5],
  ["1.", 1],
  ["1_000", 1000n],
  ["1_0.2_5e1", 102.5],
  ["0xff", 255n],
  ["0o17", 15n],
  ["0b101", 5n],
  ["00", 0n],
  ["b'a\\xff'", bytes(97, 255)],
  ["rb'\\x'", bytes(92, 120)],
  ["u'é'", "é"],
  [String.raw`'\x41\u4e16\U0001f3a7\101\n\'\q'`, "A世🎧A\n'\\q"],
  [String.raw`r'\n'`, "\\n"],
  ["'a' \"b\"", "ab"],
  ["'''a\nb'''", "a\nb"],
  ["123456789012345678901234567890", 123456789012345678901234567890n],
];

for (const [text, value] of LITERALS) {
  Deno.test(`parseLiteral() reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseLiteral(text), value));
}

const TEXTS = [
  "",
  " ",
  "lanczos",
  "nearest neighbour",
  "Truely",
  "007",
  "1.2.3",
  "10:30",
  "1e",
  "0x",
  "1__0",
  "(1, 2",
  "(,)",
  "[1 2]",
  "{1: 2, 3}",
  "{[1]}",
  "{[1]: 2}",
  "'open",
  "'a' b'b'",
  "b'é'",
  "'\\x4'",
  "'\\N{DASH}'",
  "f'x'",
  "1 + 2",
  "1j",
  "-'a'",
  "set([1])",
  "__import__('os')",
  "('".repeat(1000),
  "[".repeat(100_000),
  "(".repeat(100_000) + ")".repeat(100_000),
  "9".repeat(5000),
];

for (const text of TEXTS) {
  Deno.test(`parseLiteral() takes ${JSON.stringify(text.slice(0, 30))} as text`, () => {
    assert.equal(parseLiteral(text), text);
  });
}
