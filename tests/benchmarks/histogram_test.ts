import assert from "node:assert/strict";
import { Histogram } from "../../benchmarks/histogram.ts";
import { percentile } from "../../benchmarks/table.ts";
import { seededRandom } from "../support/random.ts";

Deno.test("Histogram.percentile() is within a hundredth of the exact one, from microseconds to minutes", () => {
  const random = seededRandom(1);
  const values = Array.from({ length: 5_000 }, () => 0.02 * 10 ** (6 * random()));
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);

  for (const percent of [1, 50, 90, 99, 99.9]) {
    const exact = percentile(values, percent);
    const found = histogram.percentile(percent);
    assert(Math.abs(found - exact) <= exact / 100, `${percent} %: ${found} instead of ${exact}`);
  }
  assert.equal(histogram.percentile(100), Math.max(...values));
  assert.equal(histogram.count, 5_000);
});

Deno.test("Histogram.addAll() gives what one histogram of all would", () => {
  const [all, left, right] = [new Histogram(), new Histogram(), new Histogram()];
  for (let value = 1; value <= 1_000; value++) {
    all.add(value);
    (value % 3 === 0 ? left : right).add(value);
  }

  left.addAll(JSON.parse(JSON.stringify(right.toRecord())));

  assert.equal(left.count, 1_000);
  assert.equal(left.maxMs, 1_000);
  for (const percent of [10, 50, 99, 100]) assert.equal(left.percentile(percent), all.percentile(percent));
});

Deno.test("Histogram.percentile() of nothing is no number", () => {
  assert.equal(new Histogram().percentile(50), NaN);
});
