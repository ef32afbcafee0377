import assert from "node:assert/strict";
import {
  audio,
  exact,
  float,
  frame,
  fromValue,
  normalizeAddress,
  type PlainValue,
  toValue,
} from "../../src/client/mod.ts";
import { ByteArray, DTYPES, FrozenSet, NDArray, Tuple, type Value } from "../../workers/values.ts";

const conversions: { name: string; plain: PlainValue; value: Value }[] = [
  { name: "a whole number to an int", plain: 1, value: 1n },
  { name: "a fraction to a float", plain: 1.5, value: 1.5 },
  { name: "a number beyond 2^53 to a float", plain: 2 ** 60, value: 2 ** 60 },
  { name: "minus zero to a float", plain: -0, value: -0 },
  { name: "float(1) to a float", plain: float(1), value: 1 },
  { name: "exact() to itself", plain: [exact(new Map([["a", 1]]))], value: [new Map([["a", 1]])] },
  { name: "undefined to None", plain: undefined, value: null },
  {
    name: "an object to a dict",
    plain: { a: 1, b: undefined, c: [true] },
    value: new Map<Value, Value>([["a", 1n], ["c", [true]]]),
  },
  { name: "the items of a tuple", plain: new Tuple([1]), value: new Tuple([1n]) },
  { name: "a map and a set", plain: new Map([[1, new Set([2])]]), value: new Map([[1n, new Set([2n])]]) },
  { name: "bytes to bytes", plain: Uint8Array.of(1), value: Uint8Array.of(1) },
  {
    name: "a typed array to an array",
    plain: Float32Array.of(1),
    value: new NDArray(DTYPES.float32, [1], Uint8Array.of(0, 0, 0x80, 0x3f)),
  },
];

for (const { name, plain, value } of conversions) {
  Deno.test(`toValue() turns ${name}`, () => assert.deepEqual(toValue(plain), value));
}

Deno.test("toValue() refuses what has no counterpart", () => {
  const cycle: PlainValue[] = [];
  cycle.push(cycle);
  assert.throws(() => toValue(cycle), /contains itself/);
  // What plain JavaScript can pass although the type forbids it.
  for (const plain of [() => {}, Symbol("x"), new Date()]) {
    assert.throws(() => toValue(plain as unknown as PlainValue), TypeError);
  }
});

Deno.test("toValue() takes one value in two places", () => {
  const shared = [1];
  assert.deepEqual(toValue([shared, shared]), [[1n], [1n]]);
});

Deno.test("fromValue() gives JavaScript's nearest", () => {
  const value: Value = new Map<Value, Value>([
    ["int", 7n],
    ["big", 2n ** 70n],
    ["tuple", new Tuple([1n, "x"])],
    ["bytes", new ByteArray(Uint8Array.of(1))],
    ["set", new FrozenSet(new Set([1n]))],
    ["keys", new Map([[1n, null]])],
    ["__proto__", 1n],
  ]);
  const plain = fromValue(value) as Record<string, unknown>; // A dict whose keys are all strings.
  assert.equal(Object.getPrototypeOf(plain), Object.prototype);
  assert.deepEqual(Object.entries(plain), [
    ["int", 7],
    ["big", 2n ** 70n],
    ["tuple", [1, "x"]],
    ["bytes", Uint8Array.of(1)],
    ["set", new Set([1])],
    ["keys", new Map([[1, null]])],
    ["__proto__", 1],
  ]);
});

Deno.test("audio() lays channels one after the other", () => {
  const pair = audio([Float32Array.of(1, 2), Float32Array.of(3, 4)], 8000);
  const [samples, rate] = pair.items as [NDArray, bigint]; // Which is what audio() makes.
  assert.deepEqual(samples.shape, [2, 2]);
  assert.deepEqual([...new Float32Array(samples.bytes.buffer)], [1, 2, 3, 4]);
  assert.equal(rate, 8000n);
  assert.throws(() => audio([Float32Array.of(1), Float32Array.of()], 8000), RangeError);
});

Deno.test("frame() checks its shape", () => {
  const shape = { height: 1, width: 2, channels: 3 };
  assert.deepEqual(frame(new Uint8Array(6), shape).shape, [1, 2, 3]);
  assert.throws(() => frame(new Uint8Array(5), shape), RangeError);
});

const addresses = [
  ["localhost", "localhost:50051"],
  ["localhost:1234", "localhost:1234"],
  ["10.0.0.1:1", "10.0.0.1:1"],
  ["[::1]", "[::1]:50051"],
  ["[::1]:9", "[::1]:9"],
  ["unix:/run/rexec.sock", "unix:/run/rexec.sock"],
  ["dns:///rexec:50051", "dns:///rexec:50051"],
] as const;

for (const [given, normal] of addresses) {
  Deno.test(`normalizeAddress() takes ${given}`, () => assert.equal(normalizeAddress(given), normal));
}

for (const address of ["", "a b", "host:0", "host:70000"]) {
  Deno.test(`normalizeAddress() refuses ${JSON.stringify(address)}`, () => {
    assert.throws(() => normalizeAddress(address), RangeError);
  });
}
