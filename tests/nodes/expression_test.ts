import assert from "node:assert/strict";
import { TaskError } from "../../workers/task_error.ts";
import { DTYPES, NDArray, Tuple, type Value } from "../../workers/values.ts";
import { ExpressionError } from "../../workers/nodes/_expression/expression_error.ts";
import { parseExpression } from "../../workers/nodes/_expression/parse.ts";
import { Scope } from "../../workers/nodes/_expression/scope.ts";

const RECORD = new Map<Value, Value>([
  ["a", 7n],
  ["b", 2],
  ["name", "Ada Lovelace"],
  ["tags", ["x", "y", "z"]],
  ["pair", new Tuple([1n, 2n])],
  ["nested", new Map<Value, Value>([["k", new Map<Value, Value>([["deep", 5n]])], [3n, "three"]])],
  ["none", null],
  ["odd key", true],
  ["smile", "a😀b"],
]);

function evaluate(source: string, options: { memoryLimitBytes?: number; record?: Value } = {}): Value {
  const scope = new Scope({ memoryLimitBytes: 2 ** 20, signal: new AbortController().signal, ...options });
  scope.record = options.record ?? RECORD;
  return parseExpression(source)(scope);
}

const RESULTS: [string, Value][] = [
  ["1 + 2 * 3", 7n],
  ["(1 + 2) * 3", 9n],
  ["-2 ** 2", -4n],
  ["2 ** -1", 0.5],
  ["2 ** 3 ** 2", 512n],
  ["-7 // 2", -4n],
  ["-7 % 3", 2n],
  ["7 / 2", 3.5],
  ["1.0", 1],
  ["1e3", 1000],
  ["1_000", 1000n],
  ["10000000000000000000001", 10000000000000000000001n],
  [".5", 0.5],
  ["a + b", 9],
  ["a > 5 and b < 5", true],
  ["0 < a < 10", true],
  ["0 < a < 3", false],
  ["not a == 7", false],
  ["not a == 7 or b == 2", true],
  ["none or 'default'", "default"],
  ["a and 0", 0n],
  ["'big' if a > 5 else 'small'", "big"],
  ["1 if none else 2 if none else 3", 3n],
  ["name.k if none else 1", 1n],
  ["tags[0]", "x"],
  ["tags[-1]", "z"],
  ["tags[1:]", ["y", "z"]],
  ["tags[:1] + ['w']", ["x", "w"]],
  ["name[:3]", "Ada"],
  ["smile[1]", "😀"],
  ["pair[0:1]", new Tuple([1n])],
  ["nested.k.deep", 5n],
  ["nested['k']['deep']", 5n],
  ["nested[3]", "three"],
  ['_["odd key"]', true],
  ["'x' in tags", true],
  ["'q' not in tags", true],
  ["'Ada' in name", true],
  ["'k' in nested", true],
  ["none is None", true],
  ["a is not None", true],
  ["a == 7.0", true],
  ["'a\\n\\u0041\\'' + \"q\"", "a\nA'q"],
  ["len(name)", 12n],
  ["len(smile)", 3n],
  ["upper(name)", "ADA LOVELACE"],
  ["round(2.5)", 2n],
  ["round(2.675, 2)", 2.67],
  ["round(1234, -2)", 1200n],
  ["round(-0.04, 1)", -0],
  ["min(a, b, 3)", 2],
  ["max(pair)", 2n],
  ["sum(pair) + sum([])", 3n],
  ["int('42') + int(3.9) + int(True)", 46n],
  ["float('1e3')", 1000],
  ["str(1.0) + str(none) + str([1, 'a'])", "1.0None[1, 'a']"],
  ["split(name)", ["Ada", "Lovelace"]],
  ["split('a,b', ',')", ["a", "b"]],
  ["join('-', tags)", "x-y-z"],
  ["replace(name, 'Ada', 'Countess')", "Countess Lovelace"],
  ["replace('ab', '', '-')", "-a-b-"],
  ["startswith(name, 'Ada') and endswith(name, 'ace')", true],
  ["strip('  x ') + title('ab cd')", "xAb Cd"],
  ["get(_, 'missing', 5)", 5n],
  ["get(none, 'missing')", null],
  ["abs(-3) + floor(2.7) + ceil(2.1)", 8n],
  ["sqrt(9)", 3],
  ["any([0, 1]) and not all([0, 1])", true],
  ["sorted([3, 1, 2])", [1n, 2n, 3n]],
  ["keys(nested)", ["k", 3n]],
  ["[1, 2,]", [1n, 2n]],
  ["true and not false", true],
];
for (const [source, expected] of RESULTS) {
  Deno.test(`parseExpression() evaluates ${source}`, () => assert.deepEqual(evaluate(source), expected));
}

const ERRORS: [string, string, number][] = [
  ["missing + 1", "name 'missing' is not defined", 0],
  ["a / 0", "division by zero", 2],
  ["1 + 'x'", "unsupported operand type(s) for +: 'int' and 'str'", 2],
  ["tags[5]", "list index out of range", 4],
  ["nested.nope", "key 'nope' is missing", 6],
  ["name.length", "'str' object has no key 'length'", 4],
  ["tags.map", "'list' object has no key 'map'", 4],
  ["none[0]", "'NoneType' object is not subscriptable", 4],
  ["1 < 'x'", "'<' not supported between instances of 'int' and 'str'", 2],
  ["int('x')", "invalid literal for int() with base 10: 'x'", 0],
  ["eval('1')", "there is no function eval; there are ", 0],
  ["upper(1)", "expected str, got int", 0],
  ["upper()", "upper() takes 1 argument, not 0", 0],
  ["1 +", "unexpected end", 3],
  ["(1", "expected ), found the end", 2],
  ["a b", "unexpected b", 2],
  ["a = 1", "unexpected =", 2],
  ["a; b", "unexpected ;", 1],
  ["'open", "text without closing quote", 0],
  ["lambda", "unexpected lambda", 0],
  ["[x for x in a]", "expected ,, found for", 3],
  ["a.b()", "unexpected (", 3],
  ["(upper)(name)", "unexpected (", 7],
  ["", "unexpected end", 0],
  ["a[]", "an index is missing", 1],
  ["(".repeat(500) + "1" + ")".repeat(500), "it is nested deeper than 64 levels", 64],
  ["-".repeat(500) + "1", "it is nested deeper than 64 levels", 64],
  ["1" + "+1".repeat(3000), "it is longer than 4000 characters", 4000],
];
for (const [source, message, at] of ERRORS) {
  Deno.test(`parseExpression() says where and what is wrong: ${source.slice(0, 40)}`, () => {
    assert.throws(() => evaluate(source), (error) => {
      assert.ok(error instanceof ExpressionError);
      assert.ok(error.message.startsWith(message), error.message);
      assert.equal(error.at, at);
      return true;
    });
  });
}

const NO_WAY_OUT = [
  "_.__proto__",
  "_.constructor",
  "_['constructor']",
  "__proto__",
  "constructor",
  "toString",
  "name.constructor",
  "name['length']",
  "tags['length']",
  "tags['__proto__']",
  "a.constructor",
  "nested.has",
  "constructor('x')",
  "toString()",
  "hasOwnProperty('a')",
  "__proto__()",
];
for (const source of NO_WAY_OUT) {
  Deno.test(`parseExpression() reaches nothing but the data: ${source}`, () => {
    assert.throws(() => evaluate(source), ExpressionError);
  });
}

const BOMBS = [
  "'x' * 10 ** 9",
  "9 ** 9 ** 9",
  "[0] * 10 ** 9",
  "join('x' * 1000, split('a ' * 1000))",
  "replace('a' * 1000, 'a', 'b' * 1000)",
];
for (const source of BOMBS) {
  Deno.test(`parseExpression() refuses ${source} with RESOURCE_LIMIT`, () => {
    assert.throws(() => evaluate(source), (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT");
  });
}

Deno.test("parseExpression() charges what expressions build, also what they throw away", () => {
  const scope = new Scope({ memoryLimitBytes: 10_000, signal: new AbortController().signal });
  const expression = parseExpression("len('x' * 1000)");
  assert.throws(() => {
    for (let i = 0; i < 6; i++) expression(scope);
  }, (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT");
});

Deno.test("parseExpression() evaluates a chain of the longest expression", () => {
  assert.equal(evaluate("1" + "+1".repeat(1999)), 2000n);
});

Deno.test("parseExpression() reports an array's truth as Python does", () => {
  const array = new NDArray(DTYPES.uint8, [2], new Uint8Array(2));
  assert.throws(() => evaluate("bool(_)", { record: array }), /truth value of an array/);
});
