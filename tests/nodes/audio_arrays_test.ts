import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  contiguousBytes,
  isReal,
  readFloat32,
  readNumbers,
  reshaped,
  toArray,
  tryArray,
} from "../../workers/nodes/arrays.ts";
import { DType, DTYPES, NDArray, Tuple, type Value } from "../../workers/values.ts";

/** Bytes of the values 1 and 2 in each dtype, big endian, as numpy's `tobytes` gives them. */
const ONE_AND_TWO: [code: string, bytes: number[]][] = [
  ["b1", [1, 0]],
  ["i1", [1, 2]],
  ["u1", [1, 2]],
  ["i2", [0, 1, 0, 2]],
  ["u2", [0, 1, 0, 2]],
  ["i4", [0, 0, 0, 1, 0, 0, 0, 2]],
  ["u4", [0, 0, 0, 1, 0, 0, 0, 2]],
  ["i8", [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]],
  ["u8", [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]],
  ["f2", [0x3C, 0, 0x40, 0]],
  ["f4", [0x3F, 0x80, 0, 0, 0x40, 0, 0, 0]],
  ["f8", [0x3F, 0xF0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]],
];

for (const [code, big] of ONE_AND_TWO) {
  Deno.test(`readNumbers() reads ${code} of either byte order, aligned or not`, () => {
    const expected = code === "b1" ? [1, 0] : [1, 2];
    const size = Number(code[1]);
    const little = [...big.slice(0, size).reverse(), ...big.slice(size).reverse()];
    for (const [order, bytes] of [[">", big], ["<", little]] as const) {
      const shifted = Uint8Array.from([9, ...bytes]).subarray(1);
      for (const data of [Uint8Array.from(bytes), shifted]) {
        const array = new NDArray(new DType(code, order), [2], data);
        strictEqual(isReal(array), true);
        deepStrictEqual([...readNumbers(array)], expected);
        deepStrictEqual(readFloat32(array), Float32Array.from(expected));
      }
    }
  });
}

Deno.test("contiguousBytes() puts Fortran order into C order", () => {
  // What numpy.asfortranarray(numpy.arange(24, dtype="<u2").reshape(2, 3, 4)).tobytes("A") holds.
  const elements = [0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23];
  const bytes = new Uint8Array(Uint16Array.from(elements).buffer);
  const array = new NDArray(DTYPES.uint16, [2, 3, 4], bytes, true);
  const ordered = Uint16Array.from({ length: 24 }, (_, i) => i);
  deepStrictEqual(contiguousBytes(array), new Uint8Array(ordered.buffer));
  deepStrictEqual(readNumbers(array), ordered);
  deepStrictEqual(reshaped(array, [24]).bytes, new Uint8Array(ordered.buffer));
});

Deno.test("contiguousBytes() shares the memory of arrays that are in order already", () => {
  for (
    const [shape, fortran] of [[[2, 3], false], [[6], true], [[1, 6], true], [[0, 6], true]] as [number[], boolean][]
  ) {
    const array = new NDArray(DTYPES.uint8, shape, new Uint8Array(6), fortran);
    strictEqual(contiguousBytes(array), array.bytes);
  }
});

for (
  const [name, list, dtype, shape, numbers] of [
    ["integers", [1n, -2n], "<i8", [2], [1, -2]],
    ["floats", [0.5, 1.5], "<f8", [2], [0.5, 1.5]],
    ["integers among floats", [1n, 0.5], "<f8", [2], [1, 0.5]],
    ["booleans", [true, false], "|b1", [2], [1, 0]],
    ["nothing", [], "<f8", [0], []],
    ["two rows", [[1n, 2n, 3n], [4n, 5n, 6n]], "<i8", [2, 3], [1, 2, 3, 4, 5, 6]],
    ["empty rows", [[], []], "<f8", [2, 0], []],
    ["three dimensions", [[[1n], [2n]], [[3n], [4n]]], "<i8", [2, 2, 1], [1, 2, 3, 4]],
  ] as [string, Value[], string, number[], number[]][]
) {
  Deno.test(`tryArray() reads nested lists of ${name}`, () => {
    const array = tryArray(list)!;
    strictEqual(`${array.dtype}`, dtype);
    strictEqual(array.form, "json-list");
    deepStrictEqual(array.shape, shape);
    deepStrictEqual([...readNumbers(array)], numbers);
  });
}

/** Lists that share their parts, so that a few bytes stand for 2⁶⁰ numbers. */
const FAN_OUT = Array.from({ length: 30 }).reduce<Value[]>((list) => [list, list, list, list], [1n]);

for (
  const [name, value] of [
    ["ragged lists", [[1n, 2n], [3n]]],
    ["ragged lists after a long first", [Array(1000).fill(1n), []]],
    ["numbers beside lists", [[1n], 2n]],
    ["lists beside numbers", [1n, [2n]]],
    ["strings", ["a"]],
    ["None among numbers", [1n, null]],
    ["booleans among numbers", [true, 1n]],
    ["integers that float64 would round", [2n ** 53n + 1n]],
    ["lists too deep for numpy", Array.from({ length: 33 }).reduce<Value>((list) => [list as Value], 1n)],
    ["lists that fan out", FAN_OUT],
    ["a number", 1n],
    ["a tuple", new Tuple([1n])],
  ] as [string, Value][]
) {
  Deno.test(`tryArray() does not take ${name} for an array`, () => {
    strictEqual(tryArray(value), undefined);
  });
}

function dict(dtype: Value, shape: Value, data: Value): Map<Value, Value> {
  return new Map([["dtype", dtype], ["shape", shape], ["data", data]]);
}

for (const name of ["uint16", "u2", "<u2", "=u2", ">u2"]) {
  Deno.test(`tryArray() reads base64 of dtype ${name}`, () => {
    const array = tryArray(dict(name, [1n, 2n], "AAEAAg=="))!;
    strictEqual(array.form, "json-base64");
    deepStrictEqual(array.shape, [1, 2]);
    deepStrictEqual([...readNumbers(array)], name === ">u2" ? [1, 2] : [256, 512]);
  });
}

for (
  const [name, value] of [
    ["an unknown dtype", dict("decimal", [1n], "AA==")],
    ["too few bytes", dict("uint8", [3n], "AAA=")],
    ["too many bytes", dict("uint8", [1n], "AAA=")],
    ["a negative length", dict("uint8", [-1n], "")],
    ["an endless length", dict("uint8", [0n, 2n ** 70n], "")],
    ["a float as length", dict("uint8", [1], "AA==")],
    ["data that is no base64", dict("uint8", [1n], "?")],
    ["no data", dict("uint8", [1n], null)],
    ["no shape", dict("uint8", null, "AA==")],
    ["other keys", new Map<Value, Value>([["frame", 1n]])],
  ] as [string, Value][]
) {
  Deno.test(`tryArray() does not take a dict with ${name} for an array`, () => {
    strictEqual(tryArray(value), undefined);
  });
}

Deno.test("tryArray() takes numpy arrays of numbers, but not of objects", () => {
  const array = new NDArray(DTYPES.float32, [1], new Uint8Array(4));
  strictEqual(tryArray(array), array);
  const objects = new NDArray(new DType("O8", "|"), [1], new Uint8Array(0));
  objects.objects = ["x"];
  strictEqual(tryArray(objects), undefined);
});

Deno.test("toArray() names the dtype of every typed array and keeps its memory", () => {
  for (
    const [numbers, dtype] of [
      [Int8Array.of(1), "|i1"],
      [Uint8Array.of(1), "|u1"],
      [Int16Array.of(1), "<i2"],
      [Uint16Array.of(1), "<u2"],
      [Int32Array.of(1), "<i4"],
      [Uint32Array.of(1), "<u4"],
      [Float32Array.of(1), "<f4"],
      [Float64Array.of(1), "<f8"],
    ] as const
  ) {
    const array = toArray(numbers, [1], "json-list");
    strictEqual(`${array.dtype}`, dtype);
    strictEqual(array.bytes.buffer, numbers.buffer);
  }
});
