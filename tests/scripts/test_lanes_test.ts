import assert from "node:assert/strict";
import { FakeTime } from "../fakes/fake_time.ts";
import { LANES, MEASURING, Turns, Watchdog } from "../../scripts/test_lanes.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("the lanes' folders exist, and what one lane runs the other ignores", () => {
  for (const folder of MEASURING) assert.ok(Deno.statSync(new URL(folder, ROOT)).isDirectory);
  const [measuring, others] = LANES;
  assert.deepEqual(measuring?.slice(2), MEASURING);
  assert.ok(others?.includes(`--ignore=${MEASURING.join(",")}`));
});

function startTwoLanes() {
  const printed: string[] = [];
  const turns = new Turns(2, (text) => {
    printed.push(text);
    return Promise.resolve();
  });
  return { a: turns.lane(), b: turns.lane(), printed };
}

Deno.test("lanes print whole files, and the last one at once", async () => {
  const { a, b, printed } = startTwoLanes();
  await a.print("running 1 test from ./a_test.ts\na ... ");
  await b.print("running 1 test from ./b_test.ts\nb ... ok (1ms)\n");
  await a.print("ok (1ms)\nrunning 2 tests");
  await a.print(" from ./c_test.ts\nc ... ");
  await b.print("\x1b[90mrunning 1 test from ./d_test.ts\x1b[0m\n");
  await b.end();
  await a.print("ok (1ms)\nd ... ");
  await a.end();
  assert.deepEqual(printed, [
    "running 1 test from ./a_test.ts\na ... ok (1ms)\n",
    "running 1 test from ./b_test.ts\nb ... ok (1ms)\n",
    "\x1b[90mrunning 1 test from ./d_test.ts\x1b[0m\n",
    "running 2 tests from ./c_test.ts\nc ... ",
    "ok (1ms)\nd ... ",
  ]);
});

Deno.test("what a lane holds is printed when no other runs any more", async () => {
  const { a, b, printed } = startTwoLanes();
  await a.print("running 1 test from ./a_test.ts\na ... ");
  await b.end();
  assert.deepEqual(printed, ["running 1 test from ./a_test.ts\na ... "]);
});

Deno.test("Watchdog barks once, after its time without rest", () => {
  using time = new FakeTime();
  let barks = 0;
  using watchdog = new Watchdog(100, () => barks++);
  time.advance(99);
  watchdog.rest();
  time.advance(99);
  assert.equal(barks, 0);
  time.advance(200);
  assert.equal(barks, 1);
});
