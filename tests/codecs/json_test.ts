import assert from "node:assert/strict";
import { json } from "../../workers/codecs/json.ts";
import {
  ByteArray,
  Complex,
  DType,
  DTYPES,
  FrozenSet,
  GlobalRef,
  NDArray,
  NumpyScalar,
  Reduced,
  Tuple,
  type Value,
} from "../../workers/values.ts";
import { seededRandom } from "../support/random.ts";

function decode(document: string): Value {
  return json.decode(new TextEncoder().encode(document));
}

function encode(value: Value): string {
  return new TextDecoder().decode(json.encode(value));
}

const DOCUMENTS: [document: string, value: Value, canonical?: string][] = [
  ["null", null],
  ["true", true],
  [" \t\r\n[ 1 , 2 ] ", [1n, 2n], "[1,2]"],
  ["1", 1n],
  ["-0", 0n, "0"],
  ["-1024", -1024n],
  ["999999999999999", 999999999999999n],
  ["9007199254740993", 9007199254740993n],
  ["-123456789012345678901234567890", -123456789012345678901234567890n],
  ["1.0", 1],
  ["-0.0", -0],
  ["1e3", 1000, "1000.0"],
  ["1E+2", 100, "100.0"],
  ["0.1", 0.1],
  ["-2.5e-3", -0.0025, "-0.0025"],
  ["0.30000000000000004", 0.30000000000000004],
  ["1.7976931348623157e+308", Number.MAX_VALUE],
  ["5e-324", 5e-324],
  ["1e999", Infinity, "Infinity"],
  ["1e+16", 1e16],
  ["1234567890123456.0", 1234567890123456],
  ["1e-05", 1e-5],
  ["0.0001", 1e-4],
  ["1.5e+20", 1.5e20],
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ['""', ""],
  ['"\\u0000\\"\\\\\\/\\b\\f\\n\\r\\t"', '\0"\\/\b\f\n\r\t', '"\\u0000\\"\\\\/\\b\\f\\n\\r\\t"'],
  ['"\\ud83c\\udfa7 \\u4e16"', "🎧 世", '"🎧 世"'],
  ['"a\\ud800b"', "a\ud800b"],
  ['"\u2028 \u007f 🎧"', "\u2028 \u007f 🎧"],
  [`"${"ab\\n".repeat(50)}"`, "ab\n".repeat(50)],
  ["{}", new Map()],
  ["[]", []],
  ['{"a":{"b":[{}]}}', new Map([["a", new Map([["b", [new Map()]]])]])],
  [
    '{"__proto__":{"polluted":1},"constructor":2}',
    new Map<Value, Value>([["__proto__", new Map([["polluted", 1n]])], ["constructor", 2n]]),
  ],
  ['{"a":1,"b":2,"a":3}', new Map([["a", 3n], ["b", 2n]]), '{"a":3,"b":2}'],
  ["\ufeff1", 1n, "1"],
];

for (const [document, value, canonical = document] of DOCUMENTS) {
  Deno.test(`json reads ${JSON.stringify(document).slice(0, 60)} and writes it back`, () => {
    assert.deepEqual(decode(document), value);
    assert.equal(encode(value), canonical);
  });
}

const MALFORMED: [document: string, message: RegExp][] = [
  ["", /^Cannot parse JSON: Expecting value: line 1 column 1 \(char 0\)$/],
  [" ", /Expecting value: line 1 column 2/],
  ["undefined", /Expecting value/],
  ["nul", /Expecting value/],
  ["[1,]", /Expecting value: line 1 column 4/],
  ["[1\n2]", /Expecting ',' delimiter: line 2 column 1 \(char 3\)/],
  ["[1", /Expecting ',' delimiter/],
  ['{"a":1,}', /property name/],
  ["{'a':1}", /Expecting property name enclosed in double quotes: line 1 column 2/],
  ['{"a" 1}', /Expecting ':' delimiter/],
  ['{"a":1 "b"}', /Expecting ',' delimiter/],
  ["{1:2}", /property name/],
  ["1 2", /Extra data: line 1 column 3/],
  ["01", /Extra data: line 1 column 2/],
  ["-", /Expecting value/],
  ["+1", /Expecting value/],
  ["-Inf", /Expecting value/],
  [".5", /Expecting value/],
  ["1.", /digit after the decimal point/],
  ["1e", /digit in the exponent/],
  ["1e+", /digit in the exponent/],
  ["0x10", /Extra data/],
  ['"abc', /Unterminated string starting: line 1 column 1/],
  ['"a\\', /escape/],
  ['"a\\n', /Unterminated/],
  ['"\\x41"', /Invalid \\escape/],
  ['"\\u12g4"', /Invalid \\uXXXX escape/],
  ['"a\tb"', /Invalid control character: line 1 column 3/],
  ['"\\n\nb"', /Invalid control character/],
  ["\u00a01", /Expecting value/],
];

for (const [document, message] of MALFORMED) {
  Deno.test(`json.decode() refuses ${JSON.stringify(document)}`, () => {
    assert.throws(() => decode(document), { name: "TaskError", code: "INVALID_TASK", message });
  });
}

Deno.test("json.decode() refuses what is not UTF-8, but for lone surrogates", () => {
  assert.throws(() => json.decode(new Uint8Array([0x22, 0xff, 0x22])), { code: "INVALID_TASK", message: /UTF-8/ });
  assert.equal(json.decode(new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22])), "\ud800");
});

const LIMITED: [name: string, run: () => void, message: RegExp][] = [
  ["lists in lists", () => decode("[".repeat(100_000) + "]".repeat(100_000)), /deeper than 1000/],
  ["dicts in dicts", () => decode('{"a":'.repeat(100_000)), /deeper than 1000/],
  ["an int of a million digits", () => decode("1".repeat(1_000_000)), /1000000 digits, allowed are 4300/],
  ["more than the memory", () => json.decode(new Uint8Array(1000).fill(0x20), { memoryLimitBytes: 1000 }), /memory/],
  ["a depth beyond the stack", () => json.decode(new Uint8Array(1e6).fill(0x5b), { maxDepth: 1e7 }), /deeper/],
  ["a level more than it may write", () => json.encode([[[]]], { maxDepth: 2 }), /deeper than 2 levels/],
  ["an int of many digits, written", () => encode(10n ** 4300n), /more than 4300 digits/],
  ["a list in itself", () => encode(cycle()), /within itself/],
  ["too much output", () => json.encode("a".repeat(99), { maxOutputBytes: 100 }), /limit of 100 bytes/],
  ["a fan-out of references", () => encode(fanOut()), /limit of 104857600 bytes/],
];

function cycle(): Value {
  const list: Value[] = [];
  list.push(list);
  return list;
}

function fanOut(): Value {
  let value: Value = ["0123456789"];
  for (let level = 0; level < 40; level++) value = [value, value];
  return value;
}

for (const [name, run, message] of LIMITED) {
  Deno.test(`json refuses ${name}`, () => {
    assert.throws(run, { name: "TaskError", code: "RESOURCE_LIMIT", message });
  });
}

Deno.test("json takes the default depth without coming near the end of the stack", () => {
  for (const [open, close] of [["[", "]"], ['{"a":', "}"]] as const) {
    const document = open.repeat(1000) + (open === "[" ? "" : "1") + close.repeat(1000);
    assert.equal(encode(decode(document)), document);
  }
});

Deno.test("json.encode() writes keys as json.dumps does", () => {
  const dict = new Map<Value, Value>([["a", 1n], [1n, 2n], [1.5, 3n], [true, 4n], [null, 5n], [NaN, 6n]]);
  assert.equal(encode(dict), '{"a":1,"1":2,"1.5":3,"true":4,"null":5,"NaN":6}');
  assert.throws(() => encode(new Map([[new Tuple([]), 1n]])), {
    code: "TASK_FAILED",
    message: "Cannot encode JSON: keys must be str, int, float, bool or None, not tuple",
  });
});

const UNSUPPORTED: [type: string, value: Value][] = [
  ["bytes", new Uint8Array()],
  ["bytearray", new ByteArray(new Uint8Array())],
  ["set", new Set()],
  ["frozenset", new FrozenSet(new Set())],
  ["complex", new Complex(0, 1)],
  ["dtype", DTYPES.int8],
  ["UUID", new Reduced(new GlobalRef("uuid", "UUID"), new Tuple([]))],
  ["complex64", new NumpyScalar(DTYPES.complex64, new Uint8Array(8))],
  ["ndarray with dtype complex64", new NDArray(DTYPES.complex64, [0], new Uint8Array(), false, "json-list")],
  ["ndarray with dtype |O8", new NDArray(new DType("O8", "|"), [0], new Uint8Array())],
];

for (const [type, value] of UNSUPPORTED) {
  Deno.test(`json.encode() names ${type} as what it cannot write`, () => {
    const message = `Cannot encode JSON: Object of type ${type} is not JSON serializable`;
    assert.throws(() => encode([value]), { name: "TaskError", code: "TASK_FAILED", message });
  });
}

Deno.test("json.encode() writes a tuple as list and numpy scalars as numbers", () => {
  const float = new NumpyScalar(DTYPES.float32, new Uint8Array([0, 0, 0xe0, 0x40]));
  const int = new NumpyScalar(new DType("i2", ">"), new Uint8Array([0xff, 0xfe]));
  assert.equal(encode(new Tuple([float, int, new NumpyScalar(DTYPES.bool, new Uint8Array([1]))])), "[7.0,-2,true]");
});

Deno.test("json.encode() writes arrays in the form that they came in", () => {
  // [[0, 1, 2], [3, 4, 5]] in Fortran order, big endian.
  const bytes = new Uint8Array([0, 0, 0, 3, 0, 1, 0, 4, 0, 2, 0, 5]);
  const array = (form: NDArray["form"]) => new NDArray(new DType("i2", ">"), [2, 3], bytes, true, form);
  const data = new Uint8Array([0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0]).toBase64();
  assert.equal(encode(array("json-list")), "[[0,1,2],[3,4,5]]");
  for (const form of ["json-base64", "numpy"] as const) {
    assert.equal(encode(array(form)), `{"dtype":"int16","shape":[2,3],"data":"${data}"}`);
  }
});

Deno.test("json.encode() writes arrays of no and of many elements", () => {
  const form = "json-list";
  assert.equal(encode(new NDArray(DTYPES.float32, [2, 0], new Uint8Array(), false, form)), "[[],[]]");
  assert.equal(encode(new NDArray(DTYPES.float64, [], new Uint8Array(8), false, form)), "0.0");
  const bytes = new Uint8Array(200_000).map((_, at) => at * 7);
  const text = encode(new NDArray(DTYPES.uint8, [200_000], bytes));
  assert.equal(text, `{"dtype":"uint8","shape":[200000],"data":"${bytes.toBase64()}"}`);
});

Deno.test("json.encode() reads elements of every numeric dtype", () => {
  const expected = { bool: "true", float16: "1.0", float32: "1.0", float64: "1.0" };
  const ones: [keyof typeof DTYPES, number[]][] = [
    ["bool", [1]],
    ["int8", [1]],
    ["uint8", [1]],
    ["int16", [1, 0]],
    ["uint16", [1, 0]],
    ["int32", [1, 0, 0, 0]],
    ["uint32", [1, 0, 0, 0]],
    ["int64", [1, 0, 0, 0, 0, 0, 0, 0]],
    ["uint64", [1, 0, 0, 0, 0, 0, 0, 0]],
    ["float16", [0, 0x3c]],
    ["float32", [0, 0, 0x80, 0x3f]],
    ["float64", [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]],
  ];
  for (const [name, bytes] of ones) {
    const text = new Map(Object.entries(expected)).get(name) ?? "1";
    assert.equal(encode(new NDArray(DTYPES[name], [1], new Uint8Array(bytes), false, "json-list")), `[${text}]`, name);
  }
});

Deno.test("json reads numbers as JSON.parse does", () => {
  const random = seededRandom(7);
  for (let round = 0; round < 20_000; round++) {
    const value = (random() - 0.5) * 10 ** Math.floor(random() * 40 - 20);
    for (const document of [value.toExponential(), value.toFixed(Math.floor(random() * 20)), value.toPrecision(17)]) {
      const parsed = decode(document);
      assert.ok(Object.is(Number(parsed), Number(document)) || parsed === 0n, document);
    }
    assert.equal(decode(encode(value)), value);
  }
});
