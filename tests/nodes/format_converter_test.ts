import assert from "node:assert/strict";
import { decode as decodePng, encode as encodePng } from "fast-png";
import { TaskError } from "../../workers/task_error.ts";
import { ByteArray, Complex, DTYPES, NDArray, NumpyScalar, Tuple, type Value } from "../../workers/values.ts";
import { run, taskContext } from "./_run.ts";

type Config = Readonly<Record<string, string>>;

function convert(input: Value, config: Config): Promise<Value> {
  return run("FormatConverter", input, config);
}

function dict(fields: Readonly<Record<string, Value>>): Map<Value, Value> {
  return new Map(Object.entries(fields));
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

const MIXED = dict({
  int: 1n,
  float: 1,
  big: 2n ** 60n,
  text: 'ä\n"x"',
  yes: true,
  none: null,
  list: [1n, 1.5, []],
  empty: new Map(),
});

for (const format of ["json", "yaml", "msgpack"]) {
  Deno.test(`FormatConverter keeps types through ${format} and back`, async () => {
    const text = await convert(MIXED, { target_format: format });
    assert.deepEqual(await convert(text, { source_format: format, target_format: "data" }), MIXED);
  });
}

const WRITTEN: [string, Value, Config, Value][] = [
  ["json", dict({ a: 1n, b: 1, c: new Tuple([bytes(1, 2)]) }), {}, '{"a":1,"b":1.0,"c":["AQI="]}'],
  ["json of a bytearray and a set", [new ByteArray(bytes(1)), new Set([2n])], {}, '["AQ==",[2]]'],
  [
    "json of an array that came as lists",
    new NDArray(DTYPES.int64, [1, 2], new Uint8Array(BigInt64Array.of(1n, 2n).buffer), false, "json-list"),
    {},
    "[[1,2]]",
  ],
  [
    "json of a numpy array",
    new NDArray(DTYPES.uint8, [2], bytes(1, 2)),
    {},
    '{"dtype":"uint8","shape":[2],"data":"AQI="}',
  ],
  ["json of a numpy scalar", new NumpyScalar(DTYPES.uint8, bytes(7)), {}, "7"],
  [
    "yaml that YAML 1.1 reads the same",
    dict({
      a: 1n,
      b: 1,
      c: 1e21,
      d: "no",
      e: "12:30:45",
      f: NaN,
      g: -0,
      "null": "1",
      h: "0o7",
      i: "2001-01-01",
      j: "=",
    }),
    { target_format: "yaml" },
    'a: 1\nb: 1.0\nc: 1.0e+21\nd: "no"\ne: "12:30:45"\nf: .nan\ng: -0.0\n"null": "1"\nh: "0o7"\ni: "2001-01-01"\nj: "="\n',
  ],
  [
    "csv of dicts with different keys",
    [dict({ a: 1n, b: 'x,"y"' }), dict({ c: 1, a: null }), dict({ b: true, c: [1n] })],
    { target_format: "csv" },
    'a,b,c\r\n1,"x,""y""",\r\n,,1.0\r\n,True,[1]\r\n',
  ],
  ["csv of lists", [["a", 1n], [" b", 2.5]], { target_format: "csv", delimiter: '";"' }, 'a;1\r\n" b";2.5\r\n'],
  ["csv of one dict", dict({ a: "line\nbreak" }), { target_format: "csv" }, 'a\r\n"line\nbreak"\r\n'],
  ["csv of an empty cell", [dict({ a: "" })], { target_format: "csv" }, 'a\r\n""\r\n'],
  ["base64 of bytes", bytes(255, 0), { target_format: "base64" }, "/wA="],
  ["base64 of text", "ä", { target_format: "base64" }, "w6Q="],
  [
    "msgpack",
    dict({ a: [1n, -1n, 300n, 1] }),
    { target_format: "msgpack" },
    Uint8Array.fromHex("81a16194" + "01ff" + "cd012c" + "cb3ff0000000000000"),
  ],
  ["msgpack as base64", [1n], { target_format: "msgpack", binary_as: "base64" }, "kQE="],
];
for (const [name, input, config, expected] of WRITTEN) {
  Deno.test(`FormatConverter writes ${name}`, async () => assert.deepEqual(await convert(input, config), expected));
}

const READ: [string, string | Uint8Array, string, Value][] = [
  ["json", '{"a": [1, 1.0]}', "json", dict({ a: [1n, 1] })],
  ["json of bytes", new TextEncoder().encode("[1]"), "json", [1n]],
  ["yaml", "a: 1\nb: [1.0, yes, ~]\n__proto__: 1\n", "yaml", dict({ a: 1n, b: [1, "yes", null], __proto__x: 0n })],
  ["yaml with aliases", "a: &x [1]\nb: *x\n", "yaml", dict({ a: [1n], b: [1n] })],
  ["yaml with a tag that means nothing", "!!python/object/apply:os.system [ls]", "yaml", ["ls"]],
  ["csv", 'a,b\r\n1,"x\ny"\r\n2,\r\n', "csv", [dict({ a: "1", b: "x\ny" }), dict({ a: "2", b: "" })]],
  ["csv with all ends of lines", 'a,b\r1,2\n\n"x ""y""",\r\n""\t,'.replace("\t", ""), "csv", [
    dict({ a: "1", b: "2" }),
    dict({ a: 'x "y"', b: "" }),
    dict({ a: "", b: "" }),
  ]],
  ["csv with a byte order mark", "\ufeffa\n1", "csv", [dict({ a: "1" })]],
  ["csv of nothing", "", "csv", []],
  ["csv with a quoted empty line", 'a\n""\n\n', "csv", [dict({ a: "" })]],
  ["csv with a key of the prototype", "__proto__,b\n1,2\n", "csv", [new Map([["__proto__", "1"], ["b", "2"]])]],
  ["base64", "/wA=", "base64", bytes(255, 0)],
  ["base64 of the other alphabet, without padding", "_wA", "base64", bytes(255, 0)],
  ["msgpack as base64", "kQE=", "msgpack", [1n]],
  [
    "msgpack with ints of all sizes",
    Uint8Array.fromHex(
      "96" + "d180ff" + "d2ffff0000" + "d3ffffffffffffffff" + "cfffffffffffffffff" + "ca3fc00000" + "c40101",
    ),
    "msgpack",
    [-32513n, -65536n, -1n, 2n ** 64n - 1n, 1.5, bytes(1)],
  ],
];
READ[2]![3] = new Map<Value, Value>([["a", 1n], ["b", [1, "yes", null]], ["__proto__", 1n]]);
for (const [name, input, format, expected] of READ) {
  Deno.test(`FormatConverter reads ${name}`, async () => {
    assert.deepEqual(await convert(input, { source_format: format, target_format: "data" }), expected);
  });
}

Deno.test("FormatConverter converts from one format to another", async () => {
  assert.equal(await convert("a,b\n1,2\n", { source_format: "csv", target_format: "json" }), '[{"a":"1","b":"2"}]');
  assert.equal(await convert('{"a":1.0}', { source_format: "json", target_format: "yaml" }), "a: 1.0\n");
});

const STEREO = Float32Array.of(0, 0.5, -0.5, 1, -1, 0.25);

function audio(samples: Float32Array | Int16Array, dtype = DTYPES.float32, channels = 2): Tuple {
  const data = new Uint8Array(samples.buffer);
  return new Tuple([new NDArray(dtype, [channels, samples.length / channels], data), 8000n]);
}

Deno.test("FormatConverter writes 16-bit WAV, channels interleaved and clipped", async () => {
  assert.deepEqual(
    await convert(audio(STEREO), { target_format: "wav" }),
    Uint8Array.fromHex(
      "5249464630000000" + "57415645666d742010000000" + "01000200401f0000007d000004001000" + "646174610c000000" +
        "0000ff7f" + "00400080" + "00c00020",
    ),
  );
});

for (const sampleFormat of ["int16", "float32"]) {
  for (const channels of [1, 2, 3]) {
    Deno.test(`FormatConverter keeps audio of ${channels} channels through WAV of ${sampleFormat}`, async () => {
      const samples = Float32Array.of(0, 0.5, -0.5, 0.75, -1, 0.25);
      const file = await convert(audio(samples, DTYPES.float32, channels), {
        target_format: "wav",
        sample_format: sampleFormat,
      });
      const pair = await convert(file, { source_format: "wav", target_format: "data" });
      assert.deepEqual(pair, audio(samples, DTYPES.float32, channels));
    });
  }
}

Deno.test("FormatConverter writes int16 samples as they are", async () => {
  const samples = Int16Array.of(-32768, 32767, 1, -1);
  const file = await convert(audio(samples, DTYPES.int16, 1), { target_format: "wav" });
  assert.ok(file instanceof Uint8Array);
  assert.deepEqual(file.subarray(44), new Uint8Array(samples.buffer));
});

Deno.test("FormatConverter reads WAV of 8, 24 and 32 bits, and one whose length says nothing", async () => {
  const file = (format: string, bits: string, data: string, size = data.length / 2) =>
    Uint8Array.fromHex(
      "524946460000000057415645" + "4c49535402000000aabb" + "666d742010000000" + format + "0100401f000000000000" +
        "0000" +
        bits + "64617461" + size.toString(16).padStart(8, "0").match(/../g)!.reverse().join("") + data,
    );
  const read = async (source: Uint8Array) => {
    const pair = await convert(source, { source_format: "wav", target_format: "data" });
    assert.ok(pair instanceof Tuple && pair.items[0] instanceof NDArray);
    return [...new Float32Array(pair.items[0].bytes.slice().buffer)];
  };
  assert.deepEqual(await read(file("0100", "0800", "0080c0")), [-1, 0, 0.5]);
  assert.deepEqual(await read(file("0100", "1800", "000080" + "000040")), [-1, 0.5]);
  assert.deepEqual(await read(file("0100", "2000", "00000080" + "00000040")), [-1, 0.5]);
  assert.deepEqual(await read(file("0300", "4000", "000000000000e0bf")), [-0.5]);
  assert.deepEqual(await read(file("0100", "1000", "00400080", 0xffffffff)), [0.5, -1]);
});

function frame(channels: number, form: NDArray["form"] = "numpy"): NDArray {
  const pixels = Uint8Array.from({ length: 2 * 3 * channels }, (_, at) => at * 10);
  return new NDArray(DTYPES.uint8, channels === 1 ? [2, 3] : [2, 3, channels], pixels, false, form);
}

for (const channels of [1, 3, 4]) {
  Deno.test(`FormatConverter keeps a frame of ${channels} channels through PNG`, async () => {
    const file = await convert(frame(channels), { target_format: "png" });
    assert.ok(file instanceof Uint8Array);
    assert.equal(decodePng(file).channels, channels);
    assert.deepEqual(await convert(file, { source_format: "png", target_format: "data" }), frame(channels));
  });
}

Deno.test("FormatConverter answers arrays that came as JSON with base64", async () => {
  const file = await convert(frame(3, "json-base64"), { target_format: "png" });
  assert.ok(typeof file === "string" && file.startsWith("iVBORw0KGgo"));
  assert.deepEqual(await convert(file, { source_format: "png", target_format: "data" }), frame(3));
  const list: Value = [[0n, 16384n], 8000n];
  assert.equal(typeof await convert(list, { target_format: "wav" }), "string");
});

Deno.test("FormatConverter reads PNG of 16 bits and gray with alpha", async () => {
  const read = async (image: Parameters<typeof encodePng>[0]) =>
    await convert(encodePng(image), { source_format: "png", target_format: "data" });
  assert.deepEqual(
    await read({ width: 1, height: 1, channels: 3, depth: 16, data: Uint16Array.of(0xffff, 0x8000, 0x01ff) }),
    new NDArray(DTYPES.uint8, [1, 1, 3], bytes(255, 128, 1)),
  );
  assert.deepEqual(
    await read({ width: 1, height: 1, channels: 2, depth: 8, data: bytes(7, 9) }),
    new NDArray(DTYPES.uint8, [1, 1, 4], bytes(7, 7, 7, 9)),
  );
});

const PASSED: [string, Value, Config, RegExp][] = [
  ["complex as json", new Complex(1, 2), {}, /^FormatConverter \(json\) passed an item through: a complex has no form/],
  ["an int as csv", 5n, { target_format: "csv" }, /a int is no table/],
  ["a dict as base64", new Map(), { target_format: "base64" }, /a dict is neither bytes nor str/],
  ["a dict as wav", new Map(), { target_format: "wav" }, /no pair \(samples, sample_rate\)/],
  ["a text as png", "x", { target_format: "png" }, /no uint8 array/],
  ["an int of 65 bits as msgpack", 2n ** 64n, { target_format: "msgpack" }, /beyond 64 bits/],
  ["broken json", "{", { source_format: "json" }, /^FormatConverter \(json to json\)/],
  ["broken yaml", "a: [1", { source_format: "yaml" }, /it is no YAML: Flow sequence/],
  [
    "an alias bomb",
    `a: &a [1]\nb: &b [${"*a,".repeat(60)}]\nc: [${"*b,".repeat(60)}]`,
    { source_format: "yaml" },
    /Excessive alias count/,
  ],
  ["deep yaml", "[".repeat(20_000), { source_format: "yaml" }, /it is no YAML/],
  ["broken csv", 'a\n"x', { source_format: "csv" }, /it is no CSV: /],
  ["csv of uneven lines", "a,b\n1\n", { source_format: "csv" }, /it is no CSV: /],
  ["broken msgpack", bytes(0x92, 1), { source_format: "msgpack" }, /ends too early/],
  ["msgpack of a huge list", bytes(0xdd, 255, 255, 255, 255), { source_format: "msgpack" }, /ends too early/],
  ["msgpack nested deeply", new Uint8Array(10_000).fill(0x91), { source_format: "msgpack" }, /nested deeper/],
  ["broken base64", "!!", { source_format: "base64", target_format: "data" }, /it is no base64/],
  ["broken wav", bytes(1, 2), { source_format: "wav" }, /it is no WAV file/],
  ["broken png", bytes(1, 2), { source_format: "png" }, /it is no PNG/],
  ["a dict with a source format", new Map(), { source_format: "json" }, /neither bytes nor str/],
];
for (const [name, input, config, warning] of PASSED) {
  Deno.test(`FormatConverter passes ${name} through with a warning`, async () => {
    const context = taskContext();
    assert.equal(await run("FormatConverter", input, config, context), input);
    assert.equal(context.warnings.length, 1);
    assert.match(context.warnings[0] ?? "", warning);
  });
}

Deno.test("FormatConverter refuses a PNG that inflates to more than its pixels, and one that is too large", async () => {
  const small = encodePng({ width: 1, height: 1, channels: 1, data: bytes(0) });
  const large = encodePng({ width: 4000, height: 4000, channels: 1, data: new Uint8Array(16_000_000) });
  const bomb = new Uint8Array(33 + large.length - 33);
  bomb.set(large);
  bomb.set(small.subarray(0, 33)); // The header of the one, the data of the other.
  const context = taskContext();
  assert.equal(await run("FormatConverter", bomb, { source_format: "png" }, context), bomb);
  assert.match(context.warnings[0] ?? "", /more data than pixels/);
  await assert.rejects(
    run("FormatConverter", large, { source_format: "png" }, taskContext({ memoryLimitBytes: 2 ** 20 })),
    (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
  );
});

Deno.test("FormatConverter counts what is held in many places once for each", async () => {
  let value: Value = ["x"];
  for (let i = 0; i < 40; i++) value = [value, value];
  for (const target_format of ["json", "yaml", "msgpack", "csv"]) {
    await assert.rejects(
      run("FormatConverter", value, { target_format }, taskContext({ memoryLimitBytes: 2 ** 20 })),
      (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
    );
  }
});

Deno.test("FormatConverter passes through what contains itself", async () => {
  const value: Value[] = [];
  value.push(value);
  assert.equal(await convert(value, {}), value);
});

// Made by hand with Python's zlib.
const PNGS: [string, string, NDArray][] = [
  [
    "1 bit",
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACAQAAAAC1D1u3AAAADElEQVR4nGNYwOAAAAIkAOFz6zvyAAAAAElFTkSuQmCC",
    new NDArray(DTYPES.uint8, [2, 3], bytes(255, 0, 255, 0, 255, 0)),
  ],
  [
    "4 bits",
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAABBAAAAAD7e6ZpAAAAC0lEQVR4nGPgbwAAAKEAkEAq5YwAAAAASUVORK5CYII=",
    new NDArray(DTYPES.uint8, [1, 3], bytes(0, 255, 136)),
  ],
  [
    "a palette of 2 bits",
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAABAgMAAABmjvwnAAAACVBMVEUBAgMEBQYHCAklhVbwAAAACklEQVR4nGOQAAAAGgAZLYj0NgAAAABJRU5ErkJggg==",
    new NDArray(DTYPES.uint8, [1, 3, 3], bytes(1, 2, 3, 4, 5, 6, 7, 8, 9)),
  ],
  [
    "a palette with transparency",
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAMAAADD/I+4AAAABlBMVEUBAgMEBQaVU29IAAAAAXRSTlMJOTpgwgAAAAtJREFUeJxjYGQAAAAFAALRZjN4AAAAAElFTkSuQmCC",
    new NDArray(DTYPES.uint8, [1, 2, 4], bytes(4, 5, 6, 255, 1, 2, 3, 9)),
  ],
  [
    "compressed text and profile, which it leaves out",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAAfHpUWHR4AAB4nO3BMQEAAADCoKzrX8IaHkABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAArwZ5ZgtNQjG4OgAAAHxpQ0NQeAAAeJztwTEBAAAAwqCs61/CGh5AAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAK8GeWYLTX7mxLgAAAAKSURBVHicY2AHAAAJAAggI8OMAAAAAElFTkSuQmCC",
    new NDArray(DTYPES.uint8, [1, 1], bytes(7)),
  ],
];
for (const [name, file, expected] of PNGS) {
  Deno.test(`FormatConverter reads PNG with ${name}`, async () => {
    assert.deepEqual(await convert(file, { source_format: "png", target_format: "data" }), expected);
  });
}
