import { deepEqual, deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { ConverterState, liveConverters } from "../../workers/nodes/_libsamplerate.ts";
import { toArray } from "../../workers/nodes/arrays.ts";
import audioResampler from "../../workers/nodes/audio_resampler.ts";
import { TaskError } from "../../workers/task_error.ts";
import { NDArray, Tuple } from "../../workers/values.ts";
import { channelsOf, joined, pairOf, readSpeech } from "../support/audio.ts";
import { execute, seededRandom, streamThrough, TestContext } from "../support/nodes.ts";

/** A second and a half of speech, of an odd length. */
const SPEECH = readSpeech().samples.subarray(70_000, 142_003);

function chunksOf(channels: readonly Float32Array[], rate: number, nextLength: () => number): Tuple[] {
  const chunks: Tuple[] = [];
  for (let start = 0; start < channels[0]!.length;) {
    const end = start + nextLength();
    chunks.push(pairOf(channels.map((samples) => samples.subarray(start, end)), rate));
    start = end;
  }
  return chunks;
}

const RATES: readonly [from: number, to: number][] = [
  [48_000, 44_100],
  [48_000, 16_000],
  [44_100, 48_000],
  [48_000, 48_001],
  [16_000, 48_000],
  [96_000, 8_000],
  [8_000, 96_000],
  [256_000, 1_000],
];

for (const quality of ["best", "medium", "fastest", "zero_order_hold", "linear"]) {
  for (const [from, to] of RATES) {
    Deno.test(`AudioResampler gives the same bits from chunks as from the whole: ${quality}, ${from} to ${to} Hz`, async () => {
      const channels = to > from * 2 ? [SPEECH.subarray(0, 5_001)] : [SPEECH, SPEECH.map((sample) => -sample / 3)];
      const run = { parameters: { target_sample_rate: to, quality } };
      const whole = channelsOf(await execute(audioResampler, pairOf(channels, from), run));
      strictEqual(whole.rate, BigInt(to));
      strictEqual(whole.channels[0]!.length, Math.round(channels[0]!.length * to / from));
      const random = seededRandom(from + to);
      for (const longest of [40, 960, 20_000]) {
        const chunks = chunksOf(channels, from, () => 1 + Math.floor(random() * longest));
        const outputs = await streamThrough(audioResampler, chunks.slice(0, longest === 40 ? 400 : undefined), run);
        const streamed = joined(outputs.flat());
        const reference = longest === 40
          ? channelsOf(await execute(audioResampler, pairOf(joined(chunks.slice(0, 400)), from), run)).channels
          : whole.channels;
        deepEqual(streamed, reference);
      }
      strictEqual(liveConverters().states, 0);
    });
  }
}

/** Largest difference from a sine at 200 Hz, in the middle of the output, where no end is near. */
async function sineError(quality: string | number | null, [from, to]: [number, number]): Promise<number> {
  const sine = (rate: number) => (_: unknown, i: number) => Math.sin(2 * Math.PI * 200 * i / rate);
  const input = Float32Array.from({ length: from / 2 }, sine(from));
  const item = pairOf([input], from);
  const { channels } = channelsOf(
    await execute(audioResampler, item, { parameters: { target_sample_rate: to, quality } }),
  );
  const expected = Float64Array.from({ length: channels[0]!.length }, sine(to));
  const errors = expected.map((value, i) => Math.abs(value - channels[0]![i]!));
  return Math.max(...errors.slice(errors.length * 0.3, errors.length * 0.7));
}

for (
  const [quality, limit] of [
    ["best", 3e-7],
    [null, 3e-7],
    [0, 3e-7],
    ["medium", 3e-6],
    [1, 3e-6],
    ["fastest", 3e-5],
    [2, 3e-5],
    ["linear", 1e-3],
    [4, 1e-3],
    // A held sample is up to one input sample old.
    ["zero_order_hold", 2 * Math.PI * 200 / 16_000],
    [3, 2 * Math.PI * 200 / 16_000],
  ] as const
) {
  for (const rates of [[48_000, 16_000], [16_000, 48_000], [44_100, 48_000]] as [number, number][]) {
    Deno.test(`AudioResampler keeps a sine's phase and level: ${quality}, ${rates[0]} to ${rates[1]} Hz`, async () => {
      const error = await sineError(quality, rates);
      ok(error < limit, `off by ${error}`);
    });
  }
}

Deno.test("AudioResampler passes audio at the target rate through untouched", async () => {
  const item = new Tuple([toArray(Int16Array.of(1, 2, 3), [3], "numpy"), 8000n]);
  const run = { parameters: { target_sample_rate: 8000 } };
  strictEqual(await execute(audioResampler, item, run), item);
  const outputs = await streamThrough(audioResampler, [item, item], run);
  deepStrictEqual(outputs.map((values) => values.length), [1, 1, 0]);
  strictEqual(outputs[0]![0], item);
});

Deno.test("AudioResampler keeps one dimension, the form and the scale of integers", async () => {
  const list = [Array.from({ length: 400 }, () => 1000n), 8000n];
  const pair = await execute(audioResampler, list, { parameters: { target_sample_rate: 16_000 } });
  ok(pair instanceof Tuple);
  const [array, rate] = pair.items;
  ok(array instanceof NDArray);
  strictEqual(rate, 16_000n);
  strictEqual(array.form, "json-list");
  strictEqual(`${array.dtype}`, "<f4");
  deepStrictEqual(array.shape, [800]);
  const middle = channelsOf(pair).channels[0]![400]!;
  ok(Math.abs(middle - 1000) < 0.1, `${middle}`);
});

Deno.test("AudioResampler passes anything but audio through with a warning", async () => {
  const context = new TestContext();
  for (const item of ["text", null, new Tuple([1n, 2n]), [[1n, [2n]], 8000n], new Tuple([[1n], 0n])]) {
    strictEqual(await execute(audioResampler, item, { context }), item);
    deepStrictEqual((await streamThrough(audioResampler, [item], { context })).flat(), [item]);
  }
  strictEqual(context.warnings.length, 10);
});

Deno.test("AudioResampler ends one stream and begins another when rate or channels change", async () => {
  const first = pairOf([SPEECH.subarray(0, 2_000)], 48_000);
  const second = pairOf([SPEECH.subarray(0, 2_000)], 32_000);
  const third = pairOf([SPEECH.subarray(0, 2_000), SPEECH.subarray(0, 2_000)], 32_000);
  const run = { parameters: { target_sample_rate: 16_000 } };
  const outputs = (await streamThrough(audioResampler, [first, second, third], run)).flat();
  const wholes = await Promise.all([first, second, third].map((item) => execute(audioResampler, item, run)));
  const mono = outputs.filter((pair) => channelsOf(pair).channels.length === 1);
  deepEqual(joined(mono), joined(wholes.slice(0, 2)));
  deepEqual(joined(outputs.slice(mono.length)), channelsOf(wholes[2]!).channels);
  strictEqual(liveConverters().states, 0);
});

Deno.test("AudioResampler refuses rates more than a factor of 256 apart", async () => {
  await rejects(
    execute(audioResampler, pairOf([SPEECH], 100), { parameters: { target_sample_rate: 25_601 } }),
    (error) => error instanceof TaskError && /100 Hz to 25601 Hz.*factor of 256/.test(error.message),
  );
});

Deno.test("AudioResampler refuses output beyond the memory limit before it is made", async () => {
  const run = { parameters: { target_sample_rate: 96_000 }, context: new TestContext(2 ** 20) };
  await rejects(
    execute(audioResampler, pairOf([SPEECH], 48_000), run),
    (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT" && /MiB are needed/.test(error.message),
  );
  strictEqual(liveConverters().states, 0);
});

Deno.test("AudioResampler serves more streams than one WebAssembly instance holds, and frees what they took", async () => {
  const nodes = await Promise.all(Array.from({ length: 40 }, async () => {
    const node = await audioResampler.create(audioResampler.parameters.parse({}), new TestContext());
    await Array.fromAsync(node.process(pairOf([SPEECH.subarray(0, 960)], 48_000)) as Iterable<never>);
    return node;
  }));
  strictEqual(liveConverters().states, 40);
  ok(liveConverters().instances > 1);
  for (const node of nodes) {
    node.cleanup?.();
    node.cleanup?.();
  }
  deepStrictEqual(liveConverters(), { instances: 1, states: 0 });
});

Deno.test("AudioResampler gives the memory of streams that ended to the next", async () => {
  const run = { parameters: { target_sample_rate: 16_000 } };
  const item = pairOf([SPEECH.subarray(0, 960)], 48_000);
  for (let i = 0; i < 60; i++) await execute(audioResampler, item, run);
  const node = await audioResampler.create(audioResampler.parameters.parse({}), new TestContext());
  await Array.fromAsync(node.process(item) as Iterable<never>);
  deepStrictEqual(liveConverters(), { instances: 1, states: 1 });
  node.cleanup?.();
});

Deno.test("ConverterState.close() may be called twice", () => {
  const state = new ConverterState(2, { channels: 1, ratio: 1 });
  state.close();
  state.close();
  strictEqual(liveConverters().states, 0);
});

Deno.test("AudioResampler sees silence behind the end", async () => {
  const run = { parameters: { target_sample_rate: 44_100 } };
  const speech = SPEECH.subarray(0, 10_000);
  const padded = new Float32Array(20_000);
  padded.set(speech);
  const [output] = channelsOf(await execute(audioResampler, pairOf([speech], 48_000), run)).channels;
  const [longer] = channelsOf(await execute(audioResampler, pairOf([padded], 48_000), run)).channels;
  deepEqual(output, longer!.subarray(0, output!.length));
});

Deno.test("AudioResampler keeps nothing back but what the filter has yet to see", async () => {
  const run = { parameters: { target_sample_rate: 96_000, quality: "fastest" } };
  const [first] = await streamThrough(audioResampler, [pairOf([SPEECH.subarray(0, 20_000)], 8_000)], run);
  // The shortest filter spans some 40 input samples.
  ok(joined(first!)[0]!.length > 12 * (20_000 - 40));
});

Deno.test("AudioResampler gives empty audio for empty audio, and nothing in a stream", async () => {
  const item = pairOf([new Float32Array(0)], 48_000);
  deepEqual(channelsOf(await execute(audioResampler, item)).channels, [new Float32Array(0)]);
  deepStrictEqual((await streamThrough(audioResampler, [item])).flat(), []);
});
