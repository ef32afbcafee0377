import assert from "node:assert/strict";
import { denoStep, runSteps, seconds, type Step } from "../../scripts/step.ts";

const good: Step = { name: "good", run: () => Promise.resolve(undefined) };
const bad: Step = { name: "bad", run: () => Promise.resolve("it is stale") };
const broken: Step = { name: "broken", run: () => Promise.reject(new Error("no such file")) };

Deno.test("runSteps() runs every step, whatever became of those before it", async () => {
  const results = await runSteps([bad, broken, good]);
  assert.deepEqual(results.map(({ name, failure }) => [name, failure]), [
    ["bad", "it is stale"],
    ["broken", "no such file"],
    ["good", undefined],
  ]);
  assert.ok(results.every(({ durationMs }) => durationMs >= 0));
});

Deno.test("denoStep() runs this same Deno and gives what it said when it fails", async () => {
  assert.equal(await denoStep("version", ["--version"]).run(), undefined);
  const failure = await denoStep("eval", ["eval", "console.log('out'); console.error('err'); Deno.exit(3)"]).run();
  assert.match(failure ?? "", /^exit code 3: deno eval .*\nout\nerr$/s);
});

Deno.test("seconds() is for people", () => {
  assert.equal(seconds(1_249), "1.2 s");
});
