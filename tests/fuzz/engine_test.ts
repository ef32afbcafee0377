import assert from "node:assert/strict";
import { describeFailure, fuzz, pureTarget } from "./engine.ts";
import { anyJson, damageJson } from "./json_values.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

/** Breaks its promise for an input that ends in 7. */
const FRAGILE = pureTarget({
  name: "fragile",
  description: "a target with a defect",
  iterations: 1_000,
  reaches: [],
  generate: (random) => random.bytes(4),
  run(input) {
    if (input.at(-1) === 7) throw new TypeError("the defect");
    return input.at(-1)! < 128 ? "low" : "high";
  },
});

Deno.test("fuzz() finds an input that breaks a promise, and its iteration alone makes it again", async () => {
  const report = await fuzz(FRAGILE, { seed: 3, goOn: (done) => done < 5_000 });
  const { failure } = report;
  assert(failure?.input?.at(-1) === 7 && failure.error instanceof TypeError);
  assert.deepEqual([...report.outcomes.keys()].toSorted(), ["high", "low"]);
  assert.equal(report.outcomes.values().reduce((sum, count) => sum + count), report.iterations);
  const again = await fuzz(FRAGILE, { seed: 3, from: failure.iteration, goOn: (done) => done < 1 });
  assert.deepEqual(again.failure?.input, failure.input);
  const text = describeFailure(FRAGILE, 3, failure);
  assert.match(text, new RegExp(`deno task fuzz fragile --seed 3 --from ${failure.iteration} --iterations 1\n`));
  assert.match(text, /TypeError: the defect/);
});

Deno.test("fuzz() says what shows only after all inputs, and closes its subject whatever happens", async () => {
  for (const fails of ["run", "finish"] as const) {
    let closed = 0;
    const { failure } = await fuzz({
      ...FRAGILE,
      start: () => ({
        run: () => fails === "run" ? assert.fail("in between") : "fine",
        finish: () => Promise.reject(new Error("a leak")),
        [Symbol.asyncDispose]: () => Promise.resolve(void closed++),
      }),
    }, { seed: 1, goOn: (done) => done < 10 });
    assert.deepEqual([failure?.iteration, failure?.input === undefined], fails === "run" ? [0, false] : [10, true]);
    assert.equal(closed, 1);
  }
});

Deno.test("Random gives the same for the same seed and iteration, and something else for others", () => {
  const bytes = (seed: number, iteration: number) => new Random(seed, iteration).bytes(16).toHex();
  assert.equal(bytes(1, 5), bytes(1, 5));
  const streams = new Set<string>();
  for (let seed = 0; seed < 50; seed++) {
    for (let iteration = 0; iteration < 50; iteration++) streams.add(bytes(seed, iteration));
  }
  assert.equal(streams.size, 2_500);
});

Deno.test("Random.below(), between() and skewed() stay within their bounds and reach them", () => {
  const random = new Random(1);
  const seen = { below: new Set<number>(), between: new Set<number>(), skewed: new Set<number>() };
  for (let round = 0; round < 2_000; round++) {
    seen.below.add(random.below(4));
    seen.between.add(random.between(-1, 1));
    seen.skewed.add(random.skewed(3));
  }
  assert.deepEqual([...seen.below].toSorted(), [0, 1, 2, 3]);
  assert.deepEqual([...seen.between].toSorted(), [-1, 0, 1]);
  assert.deepEqual([...seen.skewed].toSorted(), [0, 1, 2]);
  assert.throws(() => random.pick([]), RangeError);
});

Deno.test("mutate() and damageJson() leave what they are given as it is, and change their copy", () => {
  const bytes = Uint8Array.from({ length: 50 }, (_, at) => at);
  const before = bytes.toHex();
  const value = anyJson(new Random(2));
  const text = JSON.stringify(value);
  let changed = 0;
  for (let round = 0; round < 500; round++) {
    const random = new Random(4, round);
    if (mutate(bytes, random).toHex() !== before) changed++;
    damageJson(value, random);
  }
  assert.equal(bytes.toHex(), before);
  assert.equal(JSON.stringify(value), text);
  assert(changed > 400);
});

Deno.test("mutate() does something with nothing", () => {
  for (let round = 0; round < 200; round++) mutate(new Uint8Array(), new Random(5, round));
});
