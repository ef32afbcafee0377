import assert from "node:assert/strict";
import { hostForStream, SHORT_STEP_MS } from "../../src/sandbox/stream_placement.ts";

const SHORT_MS = 0.1;
const LONG_MS = SHORT_STEP_MS + 1;
const FULL_MS = 900;

Deno.test("hostForStream() fills a host before it takes the next, and then spreads by what streams take", () => {
  assert.equal(hostForStream([0, 0, 0, 0], SHORT_MS, 8), 0);
  assert.equal(hostForStream([FULL_MS, 0, 0, 0], SHORT_MS, 8), 1);
  assert.equal(hostForStream([FULL_MS, FULL_MS - 1, FULL_MS, 0], SHORT_MS, 8), 1);
});

Deno.test("hostForStream() keeps the last of several hosts free of streams, and the only one not", () => {
  assert.equal(hostForStream([FULL_MS, 0], SHORT_MS, 8), 0);
  assert.equal(hostForStream([FULL_MS], SHORT_MS, 8), 0);
});

Deno.test("hostForStream() uses no more hosts for short steps than processors are left beside the server's", () => {
  assert.equal(hostForStream([FULL_MS, 0, 0, 0], SHORT_MS, 2), 0);
  assert.equal(hostForStream([FULL_MS, 0, 0, 0], SHORT_MS, 3), 1);
  assert.equal(hostForStream([FULL_MS, 0, 0, 0], SHORT_MS, 1), 0);
});

Deno.test("hostForStream() keeps streams of long steps away from those of short ones, where there are hosts enough", () => {
  assert.equal(hostForStream([0, 0, 0, 0], LONG_MS, 2), 1);
  assert.equal(hostForStream([0, FULL_MS, FULL_MS - 1, 0], LONG_MS, 2), 2);
  assert.equal(hostForStream([0, 0, 0, 0], LONG_MS, 8), 0);
});

Deno.test("hostForStream() takes another host while the one it prefers serves nobody, and none when none does", () => {
  assert.equal(hostForStream([undefined, FULL_MS, 0, 0], SHORT_MS, 2), 2);
  assert.equal(hostForStream([0, undefined, undefined, 0], LONG_MS, 2), 0);
  assert.equal(hostForStream([undefined, undefined, undefined, 0], SHORT_MS, 2), undefined);
});
