import assert from "node:assert/strict";
import { codecFor, DEFAULT_LIMITS } from "../../workers/codecs/mod.ts";
import { pythonTypeName } from "../../workers/codecs/type_name.ts";
import { ByteArray, DType, DTYPES, NDArray, NumpyScalar, Tuple, type Value } from "../../workers/values.ts";

/** What every codec must do, with a value that it can carry unchanged. */
const CODECS: [format: string, value: Value][] = [
  ["json", new Map<Value, Value>([["text", "é🎧"], ["numbers", [1n, 1, -0, 2n ** 70n]], ["nothing", null]])],
  ["pickle", new Map<Value, Value>([[new Uint8Array([1]), new Tuple([1n, 1, "\ud800"])], [null, new Set([true])]])],
  ["raw", new Uint8Array([0, 1, 255])],
];

for (const [format, value] of CODECS) {
  const codec = codecFor(format);

  Deno.test(`${format} codec gives back what it was given`, () => {
    assert.equal(codec.format, format);
    assert.deepEqual(codec.decode(codec.encode(value)), value);
  });

  Deno.test(`${format} codec reads bytes that lie anywhere in a buffer`, () => {
    const encoded = codec.encode(value);
    const buffer = new Uint8Array(encoded.length + 10).fill(0x2e);
    buffer.set(encoded, 5);
    assert.deepEqual(codec.decode(buffer.subarray(5, 5 + encoded.length)), value);
  });

  Deno.test(`${format} codec gives outputs that do not share a buffer`, () => {
    const first = codec.encode(value).slice();
    const again = codec.encode(value);
    codec.encode("something else");
    assert.deepEqual(again, first);
  });

  Deno.test(`${format} codec holds to maxOutputBytes exactly`, () => {
    for (const text of ["x", "x".repeat(300_000)]) {
      const { length } = codec.encode(text);
      assert.equal(codec.encode(text, { maxOutputBytes: length }).length, length);
      const limited = { ...DEFAULT_LIMITS, maxOutputBytes: length - 1 };
      assert.throws(() => codec.encode(text, limited), { name: "TaskError", code: "RESOURCE_LIMIT" });
    }
    assert.deepEqual(codec.decode(codec.encode(value)), value, "the next document is written as ever");
  });
}

Deno.test("codecFor() takes no name for pickle", () => {
  assert.equal(codecFor("").format, "pickle");
});

Deno.test("codecFor() names the formats that there are", () => {
  for (const format of ["x", "JSON", "__proto__"]) {
    const message = `Unknown serialization format: "${format}"; available: json, pickle, raw`;
    assert.throws(() => codecFor(format), { name: "TaskError", code: "INVALID_TASK", message });
  }
});

Deno.test("raw codec writes bytes, bytearrays, text and the elements of arrays in C order", () => {
  const raw = codecFor("raw");
  assert.deepEqual(raw.encode(new ByteArray(new Uint8Array([1]))), new Uint8Array([1]));
  assert.deepEqual(raw.encode("é"), new Uint8Array([0xc3, 0xa9]));
  const fortran = new NDArray(DTYPES.uint8, [2, 3], new Uint8Array([0, 3, 1, 4, 2, 5]), true);
  assert.deepEqual(raw.encode(fortran), new Uint8Array([0, 1, 2, 3, 4, 5]));
});

Deno.test("raw codec names the type that has no bytes", () => {
  const values: [Value, string][] = [[1n, "int"], [[], "list"], [null, "NoneType"]];
  for (const [value, type] of values) {
    assert.throws(() => codecFor("raw").encode(value), { code: "TASK_FAILED", message: new RegExp(`type ${type} `) });
  }
});

Deno.test("pythonTypeName() gives Python's names", () => {
  const scalar = (dtype: DType) => new NumpyScalar(dtype, new Uint8Array());
  const names: [Value, string][] = [
    [null, "NoneType"],
    [true, "bool"],
    [1n, "int"],
    [1, "float"],
    ["", "str"],
    [new Map(), "dict"],
    [new Tuple([]), "tuple"],
    [scalar(DTYPES.float32), "float32"],
    [scalar(new DType("U3", "<")), "str_"],
  ];
  for (const [value, name] of names) assert.equal(pythonTypeName(value), name);
});
