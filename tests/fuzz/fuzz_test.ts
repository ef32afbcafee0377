/** Every target for a fixed number of inputs; `deno task fuzz` goes on for as long as one likes. */

import assert from "node:assert/strict";
import { describeFailure, fuzz } from "./engine.ts";
import { TARGETS } from "./targets/mod.ts";

/** Fixed, so that a change is judged by what it changed. */
const SEED = 1;

for (const target of TARGETS) {
  Deno.test(`No input breaks a promise: ${target.description}`, async () => {
    const { failure, outcomes } = await fuzz(target, { seed: SEED, goOn: (done) => done < target.iterations });
    if (failure !== undefined) assert.fail(describeFailure(target, SEED, failure));
    for (const outcome of target.reaches) assert(outcomes.has(outcome), `no input came to "${outcome}"`);
  });
}
