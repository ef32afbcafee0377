import assert from "node:assert/strict";
import { TaskError } from "../../workers/task_error.ts";
import { ByteArray, Complex, DTYPES, NumpyScalar, Tuple, type Value } from "../../workers/values.ts";
import { binaryOperation, type Operator } from "../../workers/nodes/_python/arithmetic.ts";
import { PythonError } from "../../workers/nodes/_python/error.ts";
import vectors from "../data/python-arithmetic.json" with { type: "json" };

const LIMITS = { memoryLimitBytes: 512 * 2 ** 20 };

type Encoded = string | { list: Encoded[] } | { tuple: Encoded[] } | { raises: string[] };

function decodeFloat(hex: string): number {
  return new DataView(Uint8Array.fromHex(hex).buffer).getFloat64(0);
}

function decode(encoded: Encoded): Value {
  if (typeof encoded === "object") {
    if ("list" in encoded) return encoded.list.map(decode);
    if ("tuple" in encoded) return new Tuple(encoded.tuple.map(decode));
    throw new TypeError("not a value");
  }
  const text = encoded.slice(2);
  switch (encoded.charAt(0)) {
    case "i":
      return BigInt(text);
    case "f":
      return decodeFloat(text);
    case "c": {
      const [re, im] = text.split(",").map(decodeFloat);
      return new Complex(re!, im!);
    }
    case "b":
      return text === "1";
    case "s":
      return text;
    case "y":
      return Uint8Array.fromHex(text);
    default:
      return null;
  }
}

/** Sines and cosines of V8 and of the C library differ in the last bits. */
function near(actual: Value, expected: Value): boolean {
  if (!(actual instanceof Complex) || !(expected instanceof Complex)) return false;
  const size = Math.hypot(expected.re, expected.im) || 1;
  return Math.hypot(actual.re - expected.re, actual.im - expected.im) / size < 1e-12;
}

Deno.test("binaryOperation() gives what CPython gives, to the bit and to the word", () => {
  const wrong: unknown[] = [];
  // The file's rows are of the form that scripts/gen_python_vectors.py documents.
  for (const [operator, a, b, expected] of vectors.rows as [Operator, Encoded, Encoded, Encoded][]) {
    let actual: Value | undefined;
    let raised: string[] | undefined;
    try {
      actual = binaryOperation(operator, decode(a), decode(b), LIMITS);
    } catch (error) {
      if (!(error instanceof PythonError)) throw error;
      raised = [error.kind, error.message];
    }
    try {
      if (typeof expected === "object" && "raises" in expected) assert.deepEqual(raised, expected.raises);
      else {
        const value = decode(expected);
        if (operator !== "**" || !near(actual ?? null, value)) assert.deepEqual(actual, value);
      }
    } catch {
      wrong.push([operator, a, b, "expected", expected, "got", raised ?? actual]);
    }
  }
  assert.deepEqual(wrong.slice(0, 20), [], `${wrong.length} of ${vectors.rows.length} rows differ`);
});

const BOMBS: [Operator, Value, Value][] = [
  ["**", 9n, 9n ** 9n],
  ["**", 2n, 10n ** 400n],
  ["*", 7n ** 2_000_000n, 7n ** 2_000_000n],
  ["*", "ab", 10n ** 15n],
  ["*", [1n], 10n ** 12n],
  ["*", new Tuple([1n]), 10n ** 12n],
  ["*", new Uint8Array(8), 10n ** 12n],
];
for (const [operator, a, b] of BOMBS) {
  const name = `${Array.isArray(a) ? "list" : a?.constructor.name} ${operator}`;
  Deno.test(`binaryOperation() refuses with RESOURCE_LIMIT before it computes ${name} ${String(b).slice(0, 30)}`, () => {
    assert.throws(
      () => binaryOperation(operator, a, b, LIMITS),
      (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
    );
  });
}

Deno.test("binaryOperation() holds an int to a quarter of the task's memory", () => {
  assert.throws(() => binaryOperation("**", 2n, 100_000n, { memoryLimitBytes: 1000 }), TaskError);
  assert.equal(binaryOperation("**", 2n, 1000n, { memoryLimitBytes: 1000 }), 2n ** 1000n);
});

Deno.test("binaryOperation() takes numpy scalars as Python numbers", () => {
  const float = new NumpyScalar(DTYPES.float64, new Uint8Array(Float64Array.of(2.5).buffer));
  const int = new NumpyScalar(DTYPES.int64, new Uint8Array(BigInt64Array.of(4n).buffer));
  const complex = new NumpyScalar(DTYPES.complex128, new Uint8Array(Float64Array.of(1, 2).buffer));
  assert.equal(binaryOperation("*", float, 2n, LIMITS), 5);
  assert.equal(binaryOperation("+", int, int, LIMITS), 8n);
  assert.deepEqual(binaryOperation("+", complex, int, LIMITS), new Complex(5, 2));
});

Deno.test("binaryOperation() keeps the left type of bytes and bytearray", () => {
  const bytes = Uint8Array.of(1);
  assert.deepEqual(binaryOperation("+", new ByteArray(bytes), bytes, LIMITS), new ByteArray(Uint8Array.of(1, 1)));
  assert.deepEqual(binaryOperation("+", bytes, new ByteArray(bytes), LIMITS), Uint8Array.of(1, 1));
});
