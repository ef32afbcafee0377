import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import audioTransform from "../../workers/nodes/audio_transform.ts";
import extractAudioData from "../../workers/nodes/extract_audio_data.ts";
import { toArray } from "../../workers/nodes/arrays.ts";
import { TaskError } from "../../workers/task_error.ts";
import { DType, DTYPES, NDArray, NumpyScalar, Tuple, type Value } from "../../workers/values.ts";
import { channelsOf, pairOf, readSpeech } from "../support/audio.ts";
import { execute, TestContext } from "../support/nodes.ts";

const LEFT = Float32Array.of(0.5, -0.25, 1);
const RIGHT = Float32Array.of(-0.5, 0.75, 0);
const REAR = Float32Array.of(0.25, 0.25, 0.5);

for (
  const [name, input, channels, expected] of [
    ["takes the mean for mono", [LEFT, RIGHT], 1, [[0, 0.25, 0.5]]],
    ["copies mono", [LEFT], 3, [[...LEFT], [...LEFT], [...LEFT]]],
    ["takes the first of more channels", [LEFT, RIGHT, REAR], 2, [[...LEFT], [...RIGHT]]],
    ["keeps what it cannot make more of", [LEFT, RIGHT], 6, [[...LEFT], [...RIGHT]]],
    ["keeps the number of channels", [LEFT, RIGHT], 2, [[...LEFT], [...RIGHT]]],
  ] as [string, Float32Array[], number, number[][]][]
) {
  Deno.test(`AudioTransform ${name}`, async () => {
    const run = { parameters: { output_sample_rate: 8000, output_channels: channels } };
    const { channels: output, rate } = channelsOf(await execute(audioTransform, pairOf(input, 8000), run));
    strictEqual(rate, 8000n);
    deepStrictEqual(output.map((samples) => [...samples]), expected);
  });
}

Deno.test("AudioTransform makes 44.1 kHz stereo of 48 kHz mono when nobody says otherwise", async () => {
  const { samples, rate } = readSpeech();
  const output = channelsOf(await execute(audioTransform, pairOf([samples], rate)));
  strictEqual(output.rate, 44_100n);
  strictEqual(output.channels.length, 2);
  strictEqual(output.channels[0]!.length, Math.round(samples.length * 44_100 / rate));
  deepStrictEqual(output.channels[1], output.channels[0]);
});

Deno.test("AudioTransform gives two dimensions in the form that it was asked in", async () => {
  const data = new Uint8Array(LEFT.buffer).toBase64();
  const dict = new Map<Value, Value>([["dtype", "float32"], ["shape", [3n]], ["data", data]]);
  for (
    const [array, form, dtype] of [
      [[1n, 2n, 3n], "json-list", "<i8"],
      [dict, "json-base64", "<f4"],
      [toArray(Int16Array.of(1, 2, 3), [3], "numpy"), "numpy", "<i2"],
    ] as [Value, string, string][]
  ) {
    const run = { parameters: { output_sample_rate: 8000, output_channels: 1 } };
    const pair = await execute(audioTransform, [array, 8000n], run);
    ok(pair instanceof Tuple && pair.items[0] instanceof NDArray);
    strictEqual(pair.items[0].form, form);
    strictEqual(`${pair.items[0].dtype}`, dtype);
    deepStrictEqual(pair.items[0].shape, [1, 3]);
  }
});

Deno.test("AudioTransform takes rates as ints, floats and numpy scalars", async () => {
  const scalar = new NumpyScalar(new DType("i8", ">"), Uint8Array.of(0, 0, 0, 0, 0, 0, 0x1F, 0x40));
  for (const rate of [8000n, 8000, scalar] as Value[]) {
    const item = new Tuple([toArray(LEFT, [1, 3], "numpy"), rate]);
    const run = { parameters: { output_sample_rate: 8000, output_channels: 1 } };
    strictEqual(channelsOf(await execute(audioTransform, item, run)).rate, 8000n);
  }
});

Deno.test("AudioTransform resamples the first channels as if they were alone", async () => {
  const { samples, rate } = readSpeech();
  const channels = [0, 1, 2].map((i) => samples.subarray(70_000 + 5_000 * i, 75_000 + 5_000 * i));
  const parameters = { output_sample_rate: 24_000 };
  const both = channelsOf(await execute(audioTransform, pairOf(channels, rate), { parameters })).channels;
  for (const [index, channel] of both.entries()) {
    const run = { parameters: { ...parameters, output_channels: 1 } };
    const [alone] = channelsOf(await execute(audioTransform, pairOf([channels[index]!], rate), run)).channels;
    deepStrictEqual(channel, alone);
  }
  strictEqual(both.length, 2);
});

const UNUSABLE: [string, Value][] = [
  ["None", null],
  ["a string", "audio"],
  ["an array alone", toArray(LEFT, [3], "numpy")],
  ["three items", new Tuple([toArray(LEFT, [3], "numpy"), 8000n, null])],
  ["a rate of 0", new Tuple([toArray(LEFT, [3], "numpy"), 0n])],
  ["a rate of half a hertz", new Tuple([toArray(LEFT, [3], "numpy"), 0.5])],
  ["a boolean rate", new Tuple([toArray(LEFT, [3], "numpy"), true])],
  ["no channels", new Tuple([toArray(new Float32Array(0), [0, 3], "numpy"), 8000n])],
  ["three dimensions", new Tuple([toArray(LEFT, [1, 1, 3], "numpy"), 8000n])],
  ["complex samples", new Tuple([new NDArray(DTYPES.complex64, [1], new Uint8Array(8)), 8000n])],
  ["strings", new Tuple([["a", "b"], 8000n])],
];

for (const [name, item] of UNUSABLE) {
  Deno.test(`AudioTransform passes ${name} through with a warning`, async () => {
    const context = new TestContext();
    strictEqual(await execute(audioTransform, item, { context }), item);
    strictEqual(context.warnings.length, 1);
  });
}

Deno.test("AudioTransform refuses output beyond the memory limit", async () => {
  const context = new TestContext(1_000_000);
  const item = pairOf([new Float32Array(100_000)], 8000);
  for (const parameters of [{ output_sample_rate: 16_000 }, { output_sample_rate: 8000, output_channels: 10 }]) {
    await rejects(
      execute(audioTransform, item, { parameters, context }),
      (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
    );
  }
});

for (
  const [name, array, expected] of [
    ["two dimensions", toArray(Int16Array.of(1, 2, 3, 4), [2, 2], "numpy"), [1, 2, 3, 4]],
    ["Fortran order", new NDArray(DTYPES.uint8, [2, 3], Uint8Array.of(1, 4, 2, 5, 3, 6), true), [1, 2, 3, 4, 5, 6]],
  ] as [string, NDArray, number[]][]
) {
  Deno.test(`ExtractAudioDataNode flattens ${name}`, async () => {
    const samples = await execute(extractAudioData, new Tuple([array, 8000n]));
    ok(samples instanceof NDArray);
    deepStrictEqual(samples.shape, [expected.length]);
    strictEqual(samples.dtype, array.dtype);
    deepStrictEqual([...samples.bytes].filter((byte) => byte !== 0), expected);
  });
}

for (
  const [name, item] of [["a bare array", toArray(LEFT, [3], "numpy")], ["a string", "x"], ["two lists", [[1n, 2n], [
    3n,
    4n,
  ]]]] as [string, Value][]
) {
  Deno.test(`ExtractAudioDataNode gives None for ${name}`, async () => {
    const context = new TestContext();
    strictEqual(await execute(extractAudioData, item, { context }), null);
    strictEqual(context.warnings.length, 1);
  });
}
