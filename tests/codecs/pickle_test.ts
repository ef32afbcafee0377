import assert from "node:assert/strict";
import { pickle } from "../../workers/codecs/pickle.ts";
import {
  ByteArray,
  Complex,
  type Dict,
  DTYPES,
  FrozenSet,
  GlobalRef,
  NDArray,
  NumpyScalar,
  Reduced,
  Tuple,
  type Value,
} from "../../workers/values.ts";
import { text } from "./support.ts";
import vectorFile from "../data/pickle-vectors.json" with { type: "json" };

interface Vector {
  name: string;
  protocol: number;
  pickle: string;
}

const vectors: readonly Vector[] = vectorFile.vectors;

function vectorBytes(name: string, protocol: number): Uint8Array {
  const vector = vectors.find((vector) => vector.name === name && vector.protocol === protocol);
  assert.ok(vector, `no vector ${name}`);
  return Uint8Array.fromBase64(vector.pickle);
}

function roundTrip(value: Value): Value {
  return pickle.decode(pickle.encode(value));
}

Deno.test("pickle decodes every vector of CPython to what its own encoding decodes to", () => {
  assert.equal(vectors.length, 600);
  for (const vector of vectors) {
    const first = pickle.decode(Uint8Array.fromBase64(vector.pickle));
    assert.deepEqual(roundTrip(first), first, `${vector.name}, protocol ${vector.protocol}`);
  }
});

const EXPECTED: Record<string, Value> = {
  none: null,
  true: true,
  int8: -128n,
  int16: 40000n,
  int53p1: 9007199254740993n,
  int64: -(2n ** 63n),
  float_integral: 3,
  neg_zero: -0,
  ninf: -Infinity,
  nan: NaN,
  denormal: 5e-324,
  unicode: "ħéllo 世界 🎧",
  lone_surrogate: "a\ud800b",
  bytearray: new ByteArray(new Uint8Array([0, 255])),
  empty_bytes: new Uint8Array(),
  tuple0: new Tuple([]),
  tuple4: new Tuple([1n, 2n, 3n, 4n]),
  nested: [new Tuple([1n, [2n, new Map([["k", new Tuple([3n])]])]])],
  dict_mixed_keys: new Map<Value, Value>([["1", "s"], [1n, "i"], [null, "n"], [2.5, "f"]]),
  proto_key: new Map<Value, Value>([["__proto__", new Map([["polluted", 1n]])], ["constructor", 2n]]),
  set: new Set([1n, 2n, 3n]),
  frozenset: new FrozenSet(new Set(["a", "b"])),
  complex: new Complex(1, 2),
  calculator_input: new Map<Value, Value>([["operation", "add"], ["args", [1n, 2]]]),
  range: new Reduced(new GlobalRef("builtins", "range"), new Tuple([3n, 30n, 4n])),
  decimal: new Reduced(new GlobalRef("decimal", "Decimal"), new Tuple(["3.14"])),
  np_bool: new NDArray(DTYPES.bool, [2], new Uint8Array([1, 0])),
  np_int16: new NDArray(DTYPES.int16, [4], new Uint8Array([0, 0, 1, 0, 2, 0, 100, 0])),
  np_scalar_float32: new NumpyScalar(DTYPES.float32, new Uint8Array([0, 0, 0xe0, 0x40])),
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  Deno.test(`pickle reads ${name} alike in protocols 0 to 5`, () => {
    for (let protocol = 0; protocol <= 5; protocol++) {
      assert.deepEqual(pickle.decode(vectorBytes(name, protocol)), expected, `protocol ${protocol}`);
    }
  });
}

Deno.test("pickle keeps shape and memory order of a Fortran array", () => {
  for (let protocol = 0; protocol <= 5; protocol++) {
    const array = pickle.decode(vectorBytes("np_fortran", protocol));
    assert.ok(array instanceof NDArray);
    assert.deepEqual([array.shape, array.fortranOrder, array.dtype.toString()], [[3, 4], true, "<i4"]);
    assert.equal(array.bytes[4], 4, "the second element lies in the first column");
  }
});

Deno.test("pickle keeps the byte order that numpy would: turned by __setstate__, kept in a buffer", () => {
  const turned = pickle.decode(vectorBytes("np_big_endian", 4));
  const kept = roundTrip(pickle.decode(vectorBytes("np_big_endian", 5)));
  assert.ok(turned instanceof NDArray && kept instanceof NDArray);
  assert.deepEqual([turned.dtype.toString(), [...turned.bytes.slice(4, 8)]], ["<f4", [0, 0, 0x80, 0x3f]]);
  assert.deepEqual([kept.dtype.toString(), [...kept.bytes.slice(4, 8)]], [">f4", [0x3f, 0x80, 0, 0]]);
});

Deno.test("pickle keeps object arrays as values and structured dtypes as their state", () => {
  const objects = pickle.decode(vectorBytes("np_object", 2));
  const structured = pickle.decode(vectorBytes("np_structured", 2));
  assert.ok(objects instanceof NDArray && structured instanceof NDArray);
  assert.deepEqual(objects.objects, [1n, "a", null]);
  assert.equal(structured.dtype.code, "V12");
  assert.ok(structured.dtype.state instanceof Tuple);
});

Deno.test("pickle.decode() gives views on its input", () => {
  const input = pickle.encode(new Uint8Array(100_000));
  const output = pickle.decode(input);
  assert.ok(output instanceof Uint8Array);
  assert.equal(output.buffer, input.buffer);
});

Deno.test("pickle keeps shared references shared", () => {
  const inner: Value[] = [1n];
  const bytes = new Uint8Array([1]);
  const result = roundTrip([inner, inner, bytes, bytes]);
  assert.ok(Array.isArray(result));
  assert.equal(result[0], result[1]);
  assert.equal(result[2], result[3]);
});

Deno.test("pickle keeps values that hold themselves", () => {
  const list: Value[] = [];
  list.push(list);
  const again = roundTrip(list);
  assert.ok(Array.isArray(again));
  assert.equal(again[0], again);
  for (const extra of [[], [1n, 2n, 3n]]) { // TUPLE1 and TUPLE leave the stack in different ways
    const hold: Value[] = [];
    const tuple = new Tuple([hold, ...extra]);
    hold.push(tuple);
    const result = roundTrip(tuple);
    assert.ok(result instanceof Tuple && Array.isArray(result.items[0]));
    assert.equal(result.items[0][0], result);
    assert.deepEqual(result.items.slice(1), extra);
  }
  const state: Dict = new Map();
  const object = new Reduced(new GlobalRef("uuid", "UUID"), new Tuple([state]), "newobj");
  const frozen = new FrozenSet(new Set([object]));
  state.set("set", frozen);
  const result = roundTrip(frozen);
  assert.ok(result instanceof FrozenSet);
  const [holder] = result.items;
  assert.ok(holder instanceof Reduced && holder.args.items[0] instanceof Map);
  assert.equal(holder.args.items[0].get("set"), result);
});

Deno.test("pickle keeps an object that its own arguments hold", () => {
  const hold: Value[] = [];
  const object = new Reduced(new GlobalRef("collections", "deque"), new Tuple([hold]));
  hold.push(object);
  const result = roundTrip(object);
  assert.ok(result instanceof Reduced && Array.isArray(result.args.items[0]));
  assert.equal(result.args.items[0][0], result);
});

Deno.test("pickle.encode() writes ints of every width", () => {
  for (const exponent of [0, 7, 8, 15, 16, 31, 32, 63, 64, 2039, 2040, 4000]) {
    for (const delta of [-1n, 0n, 1n]) {
      const value = (1n << BigInt(exponent)) + delta;
      assert.equal(roundTrip(value), value);
      assert.equal(roundTrip(-value), -value);
    }
  }
});

Deno.test("pickle.encode() frames its output and keeps large values out of frames", () => {
  const items: Value = [
    new Uint8Array(70_000),
    "é".repeat(40_000),
    ...Array.from({ length: 30_000 }, (_, i) => BigInt(i)),
  ];
  const bytes = pickle.encode(items);
  assert.deepEqual([...bytes.subarray(0, 3)], [0x80, 4, 0x5d], "the frame before the bytes is too short for a header");
  assert.deepEqual(pickle.decode(bytes), items);
  assert.deepEqual([...pickle.encode("a").subarray(0, 4)], [0x80, 4, 0x95, 5]);
  assert.deepEqual(pickle.encode(null), new Uint8Array([0x80, 4, 0x4e, 0x2e]), "too short for a frame");
});

Deno.test("pickle holds 1, 1.0 and True for three keys", () => {
  const dict = pickle.decode(text("(K\x01NI01\nNF1\nNd."));
  assert.deepEqual(dict, new Map<Value, Value>([[1n, null], [true, null], [1, null]]));
});

const OPCODES: [name: string, pickle: string, expected: Value][] = [
  ["INT as hex", "I0x10\n.", 16n],
  ["LONG", "L-12L\n.", -12n],
  ["LONG1 without bytes", "\x8a\x00.", 0n],
  ["LONG4", "\x8b\x02\0\0\0\xff\xff.", -1n],
  ["FLOAT", "F-1.5e3\n.", -1500],
  ["FLOAT inf", "F-inf\n.", -Infinity],
  ["STRING with escapes", "S'a\\x41\\'\\n\\101\\q'\n.", "aA'\nA\\q"],
  ["SHORT_BINSTRING", "U\x02ab.", "ab"],
  ["BINSTRING", "T\x02\0\0\0ab.", "ab"],
  ["UNICODE with escapes", "V\xe9\\u4e16\\U0001f3a7\\\\u0041\n.", "é世🎧\\\\u0041"],
  ["BINUNICODE8", "\x8d\x01\0\0\0\0\0\0\0a.", "a"],
  ["BINBYTES8", "\x8e\x01\0\0\0\0\0\0\0a.", new Uint8Array([97])],
  ["POP of a value", "K\x01K\x020.", 1n],
  ["POP of a MARK", "K\x01(0.", 1n],
  ["POP_MARK", "K\x01(K\x02K\x031.", 1n],
  ["DUP", "]K\x012\x86a.", [new Tuple([1n, 1n])]],
  ["LIST, DICT, TUPLE with marks", "((lK\x01(dt.", new Tuple([[], 1n, new Map()])],
  ["PUT 1 before PUT 0", "Np1\n0K\x02p0\n0g1\n.", null],
  ["INST", "(K\x01K\x02ibuiltins\nrange\n.", new Reduced(new GlobalRef("builtins", "range"), new Tuple([1n, 2n]))],
  ["OBJ", "(cbuiltins\nslice\nNNNo.", new Reduced(new GlobalRef("builtins", "slice"), new Tuple([null, null, null]))],
  [
    "NEWOBJ_EX",
    "cuuid\nUUID\n)}\x92.",
    new Reduced(new GlobalRef("uuid", "UUID"), new Tuple([]), "newobj"),
  ],
  ["ADDITEMS", "\x8f(K\x01K\x02\x90.", new Set([1n, 2n])],
  ["FROZENSET", "(K\x01\x91.", new FrozenSet(new Set([1n]))],
  ["BYTEARRAY8", "\x96\x01\0\0\0\0\0\0\0a.", new ByteArray(new Uint8Array([97]))],
  ["REDUCE of builtins.set", "cbuiltins\nset\n(]K\x01atR.", new Set([1n])],
  ["a class by Python 2's name", "c__builtin__\nxrange\n.", new GlobalRef("builtins", "range")],
  ["what follows STOP", "N.garbage", null],
];

for (const [name, input, expected] of OPCODES) {
  Deno.test(`pickle.decode() executes ${name}`, () => assert.deepEqual(pickle.decode(text(input)), expected));
}

Deno.test("pickle.decode() keeps a memo entry of any index without making room for those before it", () => {
  assert.deepEqual(pickle.decode(text("]r\xff\xff\xff\xff0j\xff\xff\xff\xff.")), []);
});

const GLOBALS = [
  ["os", "system"],
  ["posix", "system"],
  ["builtins", "eval"],
  ["builtins", "exec"],
  ["builtins", "getattr"],
  ["builtins", "__import__"],
  ["builtins", "__import__.__call__"],
  ["builtins", "open"],
  ["__builtin__", "apply"],
  ["collections", "ChainMap"],
  ["fractions", "Fraction"],
  ["numpy", "load"],
  ["numpy.core.multiarray", "fromfile"],
  ["__main__", "Mine"],
  ["__proto__", "constructor"],
] as const;

for (const [module, name] of GLOBALS) {
  Deno.test(`pickle.decode() refuses ${module}.${name} by every way to name it`, () => {
    const short = (word: string) => `\x8c${String.fromCharCode(word.length)}${word}`;
    const message = `Cannot unpickle: global "${module}.${name}" is not allowed`;
    // What follows the name is no pickle: the refusal comes first.
    for (
      const input of [
        `c${module}\n${name}\n\xff`,
        `${short(module)}${short(name)}\x93\xff`,
        `(i${module}\n${name}\n\xff`,
      ]
    ) {
      assert.throws(() => pickle.decode(text(input)), { name: "TaskError", code: "SECURITY_VIOLATION", message });
    }
  });
}

Deno.test("pickle.encode() refuses globals that decode() would refuse", () => {
  const system = new GlobalRef("os", "system");
  for (const value of [system, new Reduced(system, new Tuple(["true"])), [new Reduced(system, new Tuple([]))]]) {
    assert.throws(() => pickle.encode(value), { code: "SECURITY_VIOLATION", message: /"os\.system"/ });
  }
  const encode = new Reduced(new GlobalRef("_codecs", "encode"), new Tuple([]));
  assert.throws(() => pickle.encode(encode), { code: "SECURITY_VIOLATION" });
});

const HOSTILE: [name: string, code: string, message: RegExp, input: string][] = [
  ["nothing", "INVALID_TASK", /^Cannot unpickle: pickle is cut off at byte 0$/, ""],
  ["no STOP", "INVALID_TASK", /cut off at byte 2/, "K\x01"],
  ["an empty stack", "INVALID_TASK", /stack underflow/, "."],
  ["POP of nothing", "INVALID_TASK", /stack underflow at byte 0/, "0."],
  ["APPEND to nothing", "INVALID_TASK", /stack underflow/, "a."],
  ["SETITEM of nothing", "INVALID_TASK", /stack underflow/, "s."],
  ["BUILD of nothing", "INVALID_TASK", /stack underflow/, "b."],
  ["an opcode that reaches under its mark", "INVALID_TASK", /stack underflow/, "K\x01(\x85."],
  ["marks only", "INVALID_TASK", /cut off/, "((("],
  ["TUPLE without MARK", "INVALID_TASK", /no MARK/, "Nt."],
  ["an unknown memo entry", "INVALID_TASK", /memo has no entry 7 at byte 0/, "h\x07."],
  ["an unknown opcode", "INVALID_TASK", /unknown opcode 0xff/, "\xff."],
  ["a future protocol", "INVALID_TASK", /unsupported pickle protocol 255/, "\x80\xff."],
  ["endless DUP", "INVALID_TASK", /cut off/, "N" + "2".repeat(1_000_000)],
  [
    "bytes of 2^60",
    "INVALID_TASK",
    /cut off: 1152921504606847000 bytes announced, 0 left, at byte 0/,
    "\x8e\0\0\0\0\0\0\0\x10",
  ],
  ["a bytearray of 2^64", "INVALID_TASK", /cut off/, "\x96" + "\xff".repeat(8)],
  ["a str of 2^32", "INVALID_TASK", /cut off/, "X\xff\xff\xff\xff"],
  ["a negative length", "INVALID_TASK", /negative length/, "T\xff\xff\xff\xff"],
  ["a frame beyond the end", "INVALID_TASK", /cut off/, "\x95\xff\0\0\0\0\0\0\0N."],
  ["an int of a million digits", "RESOURCE_LIMIT", /1000000 digits/, "I" + "9".repeat(1_000_000) + "\n."],
  ["an int of 2 MB", "RESOURCE_LIMIT", /2097152 bytes/, "\x8b\0\0\x20\0" + "\x01".repeat(2 ** 21) + "."],
  ["an int that is none", "INVALID_TASK", /"1x" is no int/, "I1x\n."],
  ["a str that is not UTF-8", "INVALID_TASK", /not UTF-8/, "\x8c\x01\xff."],
  ["an open string", "INVALID_TASK", /not quoted/, "S'a\n."],
  ["tuples in tuples", "RESOURCE_LIMIT", /deeper than 1000/, "N" + "\x85".repeat(1_000_000) + "."],
  ["lists in lists", "RESOURCE_LIMIT", /deeper than 1000/, "(".repeat(100_000) + "l".repeat(100_000) + "."],
  ["persistent ids", "SECURITY_VIOLATION", /persistent ids are not allowed/, "Pid\n."],
  ["persistent ids from the stack", "SECURITY_VIOLATION", /persistent ids are not allowed/, "K\x01Q."],
  ["extension codes", "SECURITY_VIOLATION", /extension code 1 is not allowed/, "\x82\x01."],
  ["extension codes of two bytes", "SECURITY_VIOLATION", /extension code 258 is not allowed/, "\x83\x02\x01."],
  ["extension codes of four bytes", "SECURITY_VIOLATION", /extension code 16777216 is/, "\x84\x00\x00\x00\x01."],
  ["out-of-band buffers", "INVALID_TASK", /out-of-band buffers are not supported/, "\x97."],
  ["a list as key", "INVALID_TASK", /unhashable type: 'list'/, "}]K\x01s."],
  ["a dict as its own key", "INVALID_TASK", /unhashable type: 'dict'/, "\x80\x02}q\x00h\x00h\x00s."],
  ["a tuple of a list as key", "INVALID_TASK", /unhashable type: 'list'/, "\x8f(]\x85\x90."],
  ["a call of a str", "INVALID_TASK", /a str is not callable/, "\x8c\x01a)R."],
  ["a call of a mere name", "INVALID_TASK", /builtins.int is allowed as a name only/, "cbuiltins\nint\nK\x01\x85R."],
  ["a bytes of any size", "INVALID_TASK", /arguments of builtins.bytes/, "cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R."],
  ["NEWOBJ of a function", "INVALID_TASK", /name only/, "c_codecs\nencode\n)\x81."],
  ["a factory that is no class", "INVALID_TASK", /factory/, "ccollections\ndefaultdict\nc_codecs\nencode\n\x85R."],
  ["BUILD on a list", "INVALID_TASK", /BUILD on a list/, "]}b."],
  [
    "_reconstructor of a list",
    "INVALID_TASK",
    /no plain object/,
    "ccopy_reg\n_reconstructor\ncuuid\nUUID\ncbuiltins\nlist\n]\x87R.",
  ],
  [
    "an array that is no ndarray",
    "INVALID_TASK",
    /no numpy.ndarray/,
    "cnumpy.core.multiarray\n_reconstruct\ncbuiltins\nlist\n)N\x87R.",
  ],
  ["an unknown dtype", "INVALID_TASK", /"x9" is unknown|no|type string/, "cnumpy\ndtype\n\x8c\x02x9\x85R."],
  [
    "an array larger than its bytes",
    "INVALID_TASK",
    /an array of shape \(2147483647\) and dtype <f8 has 1 bytes/,
    "cnumpy.core.numeric\n_frombuffer\n(C\x01acnumpy\ndtype\n\x8c\x02f8\x89\x88\x87RJ\xff\xff\xff\x7f\x85\x8c\x01CtR.",
  ],
  [
    "an array of pointers",
    "INVALID_TASK",
    /objects are no list/,
    "cnumpy.core.numeric\n_frombuffer\n(C\x08aaaaaaaacnumpy\ndtype\n\x8c\x02O8\x89\x88\x87RK\x01\x85\x8c\x01CtR.",
  ],
  [
    "copies of a copy",
    "RESOURCE_LIMIT",
    /more than 536870912 bytes/,
    "(" + "N".repeat(100_000) + "lq\x00" + "cbuiltins\nlist\nh\x00\x85R0".repeat(2_000) + ".",
  ],
  ["empty dicts without end", "RESOURCE_LIMIT", /memory/, "(" + "}".repeat(2_000_000) + "l."],
];

for (const [name, code, message, input] of HOSTILE) {
  Deno.test(`pickle.decode() refuses ${name}`, () => {
    assert.throws(() => pickle.decode(text(input)), { name: "TaskError", code, message });
  });
}

Deno.test("pickle.decode() refuses keys made to collide", () => {
  const keys = Array.from({ length: 20_000 }, (_, index) => (BigInt(index + 1) << 64n) + "\n").map((key) => `L${key}N`);
  assert.throws(() => pickle.decode(text(`(${keys.join("")}d.`)), {
    code: "RESOURCE_LIMIT",
    message: /beyond 64 bits/,
  });
});

Deno.test("pickle.decode() finds depth that is hidden behind references", () => {
  // L0 … L1999 are made first, each is put into the one before it only then, and all lie flat in one list.
  let input = "(";
  for (let index = 0; index < 2000; index++) input += `]p${index}\n`;
  input += "l";
  for (let index = 1999; index > 0; index--) input += `g${index - 1}\ng${index}\na0`;
  assert.throws(() => pickle.decode(text(input + ".")), { code: "RESOURCE_LIMIT", message: /deeper than 1000/ });
});

Deno.test("pickle carries a fan-out of references without unfolding it", () => {
  const doubled = "]p0\n" + Array.from({ length: 60 }, (_, i) => `0(g${i}\ng${i}\nlp${i + 1}\n`).join("") + ".";
  const bytes = pickle.encode(pickle.decode(text(doubled)));
  assert.ok(bytes.length < 1000);
});

Deno.test("pickle bounds depth, memory and output by the limits it is given", () => {
  const nested: Value = [[["x"]]];
  assert.deepEqual(pickle.decode(pickle.encode(nested, { maxDepth: 3 }), { maxDepth: 3 }), nested);
  assert.throws(() => pickle.encode(nested, { maxDepth: 2 }), { code: "RESOURCE_LIMIT" });
  assert.throws(() => pickle.decode(pickle.encode(nested), { maxDepth: 2 }), { code: "RESOURCE_LIMIT" });
  assert.throws(() => pickle.decode(pickle.encode(nested), { memoryLimitBytes: 100 }), { code: "RESOURCE_LIMIT" });
  assert.throws(() => pickle.encode("x".repeat(100), { maxOutputBytes: 100 }), { code: "RESOURCE_LIMIT" });
  assert.throws(() => pickle.encode(new Uint8Array(1e6), { maxOutputBytes: 1e6 }), { code: "RESOURCE_LIMIT" });
});

Deno.test("pickle.encode() takes the default depth without coming near the end of the stack", () => {
  let value: Value = [];
  for (let depth = 1; depth < 1000; depth++) {
    value = depth % 3 === 0 ? [value] : depth % 3 === 1 ? new Tuple([value]) : new Map([["k", value]]);
  }
  assert.equal(pickle.encode(pickle.decode(pickle.encode(value))).length > 1000, true);
  for (let depth = 0; depth < 1e6; depth++) value = [value];
  for (const maxDepth of [1000, 1e7]) {
    assert.throws(() => pickle.encode(value, { maxDepth }), { name: "TaskError", code: "RESOURCE_LIMIT" });
  }
});

Deno.test("pickle.encode() names the type that it cannot write", () => {
  // What user code returns need not be a Value, whatever the types say.
  for (const [value, type] of [[undefined, "undefined"], [new Date(0), "Date"], [() => 0, "function"]] as const) {
    assert.throws(() => pickle.encode([value as unknown as Value]), { code: "TASK_FAILED", message: new RegExp(type) });
  }
});

Deno.test("pickle.encode() refuses an array whose bytes do not fit its shape", () => {
  const array = new NDArray(DTYPES.float32, [3], new Uint8Array(8));
  assert.throws(() => pickle.encode(array), { code: "TASK_FAILED", message: /shape \(3\) and dtype <f4/ });
});
