import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import audioBuffer from "../../workers/nodes/audio_buffer.ts";
import { toArray } from "../../workers/nodes/arrays.ts";
import { TaskError } from "../../workers/task_error.ts";
import { DTYPES, NDArray, Tuple, type Value } from "../../workers/values.ts";
import { channelsOf, joined, pairOf } from "../support/audio.ts";
import { seededRandom, streamThrough, TestContext } from "../support/nodes.ts";

function arrayOf(pair: Value): NDArray {
  ok(pair instanceof Tuple && pair.items[0] instanceof NDArray);
  return pair.items[0];
}

Deno.test("AudioBuffer gives exact chunks and at the end the rest, whatever the input's cuts", async () => {
  const count = 10_007;
  const left = Float32Array.from({ length: count }, (_, i) => i);
  const right = left.map((sample) => -sample);
  const random = seededRandom(7);
  for (const size of [1, 160, 1000, 20_000]) {
    const items: Tuple[] = [];
    for (let start = 0; start < count;) {
      const end = start + Math.floor(random() * 900);
      items.push(pairOf([left.subarray(start, end), right.subarray(start, end)], 8000));
      start = end;
    }
    const outputs = (await streamThrough(audioBuffer, items, { parameters: { buffer_size_samples: size } })).flat();
    const lengths = outputs.map((pair) => arrayOf(pair).shape);
    ok(lengths.slice(0, -1).every(([channels, length]) => channels === 2 && length === size));
    strictEqual(lengths.at(-1)![1], count % size || size);
    deepStrictEqual(joined(outputs), [left, right]);
  }
});

Deno.test("AudioBuffer yields nothing until a chunk is full, then all that are", async () => {
  const items = [1, 1, 5, 0].map((length) => pairOf([new Float32Array(length)], 8000));
  const outputs = await streamThrough(audioBuffer, items, { parameters: { buffer_size_samples: 2 } });
  deepStrictEqual(outputs.map((values) => values.length), [0, 1, 2, 0, 1]);
});

Deno.test("AudioBuffer gives the rest first when rate or channels change", async () => {
  const one = Float32Array.of(1);
  const context = new TestContext();
  const items = [pairOf([one], 8000), pairOf([one], 16_000), pairOf([one, one], 16_000), pairOf([one, one], 16_000)];
  const outputs = await streamThrough(audioBuffer, items, { parameters: { buffer_size_samples: 2 }, context });
  deepStrictEqual(
    outputs.map((pairs) => pairs.map((pair) => [...arrayOf(pair).shape, channelsOf(pair).rate])),
    [[], [[1, 1, 8000n]], [[1, 1, 16_000n]], [[2, 2, 16_000n]], []],
  );
  strictEqual(context.warnings.length, 2);
});

Deno.test("AudioBuffer keeps the dtype's bits, the form and the rate's type", async () => {
  const item = [[1n, 2n, 3n], 8000.0];
  const [outputs] = await streamThrough(audioBuffer, [item], { parameters: { buffer_size_samples: 2 } });
  const [pair] = outputs as [Tuple];
  strictEqual(arrayOf(pair).form, "json-list");
  strictEqual(arrayOf(pair).dtype, DTYPES.int64);
  deepStrictEqual([...arrayOf(pair).bytes].filter((_, i) => i % 8 === 0), [1, 2]);
  strictEqual(pair.items[1], 8000);
});

Deno.test("AudioBuffer joins chunks of two dtypes as float64", async () => {
  const items = [[[0n, 1n], 8000n], [[0.5, 1.5], 8000n]];
  const outputs = (await streamThrough(audioBuffer, items, { parameters: { buffer_size_samples: 3 } })).flat();
  const [first, rest] = outputs.map(arrayOf);
  strictEqual(first!.dtype, DTYPES.float64);
  deepStrictEqual([...new Float64Array(first!.bytes.buffer)], [0, 1, 0.5]);
  deepStrictEqual(first!.shape, [1, 3]);
  deepStrictEqual(rest!.shape, [1, 1]);
});

Deno.test("AudioBuffer skips anything but audio with a warning", async () => {
  const context = new TestContext();
  const outputs = await streamThrough(audioBuffer, ["text", null], { parameters: { buffer_size_samples: 1 }, context });
  deepStrictEqual(outputs.flat(), []);
  strictEqual(context.warnings.length, 2);
});

Deno.test("AudioBuffer requires buffer_size_samples", () => {
  throws(() => audioBuffer.parameters.parse({}), /buffer_size_samples/);
});

Deno.test("AudioBuffer refuses to hold more than the memory limit", async () => {
  const run = { parameters: { buffer_size_samples: 1_000_000 }, context: new TestContext(1000) };
  const items = Array.from({ length: 3 }, () => new Tuple([toArray(new Float64Array(50), [50], "numpy"), 8000n]));
  await rejects(
    streamThrough(audioBuffer, items, run),
    (error) => error instanceof TaskError && error.code === "RESOURCE_LIMIT",
  );
});
