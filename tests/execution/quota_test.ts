import assert from "node:assert/strict";
import { ExecutionLimitOptions, PolicyOptions } from "../../src/config/mod.ts";
import { ServiceError } from "../../src/errors.ts";
import { Callers, highestMemoryMb } from "../../src/execution/callers.ts";
import { resolveLimits } from "../../src/execution/limits.ts";
import { SlidingSum, TokenBucket } from "../../src/execution/rate.ts";

/** A clock that a test moves. */
class Clock {
  ms = 1_000_000;
  readonly now = () => this.ms;
}

function callers(policy: unknown, clock = new Clock()): Callers {
  return new Callers({
    policy: PolicyOptions.parse(policy),
    defaults: ExecutionLimitOptions.parse({}),
    now: clock.now,
  });
}

/** The error that something throws. */
function refusal(action: () => unknown): ServiceError {
  try {
    action();
  } catch (error) {
    assert(error instanceof ServiceError);
    return error;
  }
  throw new assert.AssertionError({ message: "It was let through" });
}

Deno.test("TokenBucket.take() gives a second's tokens at once, then one after the other", () => {
  const bucket = new TokenBucket(4, 0);
  for (let i = 0; i < 4; i++) assert.equal(bucket.take(0), 0);
  assert.equal(bucket.take(0), 250);
  assert.equal(Math.round(bucket.take(249)), 1);
  assert.equal(bucket.take(250), 0);
  assert.equal(bucket.take(250), 250);
  assert.equal(bucket.isFull(1_249), false);
  assert.equal(bucket.isFull(1_250), true);
});

Deno.test("TokenBucket.take() gives less than one a second too", () => {
  const bucket = new TokenBucket(0.5, 0);
  assert.equal(bucket.take(0), 0);
  assert.equal(bucket.take(0), 2_000);
  assert.equal(bucket.take(2_000), 0);
});

Deno.test("SlidingSum forgets what is older than its window, and not before", () => {
  const sum = new SlidingSum(60_000);
  sum.add(5, 500);
  sum.add(7, 30_200);
  assert.equal(sum.sum(60_500), 12);
  assert.equal(sum.sum(61_000), 7);
  assert.equal(sum.sum(91_000), 0);
  sum.add(-1, 91_000);
  sum.add(NaN, 91_000);
  assert.equal(sum.sum(91_000), 0);
});

Deno.test("SlidingSum.untilBelow() tells when enough is forgotten", () => {
  const sum = new SlidingSum(60_000);
  sum.add(5, 0);
  sum.add(5, 10_000);
  assert.equal(sum.untilBelow(11, 20_000), 0);
  assert.equal(sum.untilBelow(10, 20_000), 41_000);
  assert.equal(sum.untilBelow(5, 20_000), 51_000);
  assert.equal(sum.untilBelow(5, 71_000), 0);
});

Deno.test("Callers.admitRequest() names quota, caller, limit and when to come back", () => {
  const clock = new Clock();
  const all = callers({ callers: { "*": { maxRequestsPerSecond: 2 } } }, clock);
  assert(all.limitsRequests);
  all.admitRequest("a");
  all.admitRequest("a");
  const error = refusal(() => all.admitRequest("a"));
  assert.equal(error.code, "RATE_LIMITED");
  assert.match(error.message, /caller "a": .*maxRequestsPerSecond is 2; try again in 500 ms$/);
  assert.deepEqual(error.details, { quota: "maxRequestsPerSecond", limit: "2", retryAfterMs: "500" });
  all.admitRequest("b"); // has a bucket of its own
  clock.ms += 500;
  all.admitRequest("a");
});

Deno.test("Callers.admitTask() counts what is not yet over, each once", () => {
  const all = callers({ callers: { "*": { maxActiveTasks: 2 } } });
  const first = all.admitTask("a");
  all.admitTask("a");
  assert.match(refusal(() => all.admitTask("a")).message, /2 wait or run, the policy's maxActiveTasks is 2$/);
  all.admitTask("b");
  first.end(1);
  first.end(1);
  assert.equal(all.activeTasks("a"), 1);
  all.admitTask("a");
  assert.equal(refusal(() => all.admitTask("a")).code, "RATE_LIMITED");
});

Deno.test("Callers.admitTask() adds up CPU time over an hour", () => {
  const clock = new Clock();
  const all = callers({ callers: { heavy: { cpuSecondsPerHour: 10 } } }, clock);
  all.admitTask("heavy").end(9_999);
  const last = all.admitTask("heavy");
  last.end(1);
  last.end(60_000);
  const error = refusal(() => all.admitTask("heavy"));
  assert.match(error.message, /cpuSecondsPerHour is 10; try again in \d+ ms$/);
  all.admitTask("light").end(1_000_000);
  all.admitTask("light");
  clock.ms += Number(error.details["retryAfterMs"]) - 1;
  refusal(() => all.admitTask("heavy"));
  clock.ms += 1;
  all.admitTask("heavy");
});

Deno.test("Callers without quotas are not counted at all", () => {
  const all = callers({});
  assert.equal(all.limitsRequests, false);
  for (let i = 0; i < 10_000; i++) all.admitRequest("a");
  all.admitTask("a");
  assert.equal(all.activeTasks("a"), 0);
});

const POLICY = {
  ceilings: { timeoutSeconds: 100, memoryMb: 1_000 },
  network: { allowed: false, hosts: ["a.example"] },
  callers: {
    "*": { maxActiveTasks: 3, ceilings: { timeoutSeconds: 10 }, environment: { allowedNames: ["LANG"] } },
    farm: { ceilings: { memoryMb: 4_000 }, network: { allowed: true }, filesystem: { allowed: true } },
    free: { maxActiveTasks: 0, network: { hosts: ["b.example"] }, environment: { allowedNames: [] } },
  },
};

Deno.test("Callers.policyFor() takes what an entry leaves out from `*`, and from the policy after that", () => {
  const all = callers(POLICY);
  const farm = all.policyFor("farm");
  assert.deepEqual([farm.ceilings.timeoutSeconds, farm.ceilings.memoryMb, farm.ceilings.cpuPercent], [10, 4_000, 400]);
  assert.deepEqual(farm.network, { allowed: true, hosts: ["a.example"] });
  assert.deepEqual(farm.filesystem, { allowed: true, scratchMb: 256 });
  assert.deepEqual(farm.environment.allowedNames, ["LANG"]);
  const free = all.policyFor("free");
  assert.deepEqual(free.network, { allowed: false, hosts: ["b.example"] });
  assert.deepEqual(free.environment.allowedNames, []);
  for (let i = 0; i < 10; i++) all.admitTask("free");
  const stranger = all.policyFor("stranger");
  assert.deepEqual([stranger.ceilings.timeoutSeconds, stranger.network.allowed], [10, false]);
  assert.equal(all.policyFor("__proto__"), stranger);
  assert.equal(all.policyFor("constructor"), stranger);
  assert.deepEqual(all.names, ["farm", "free"]);
});

Deno.test("Callers.termsFor() never lets defaults stand above the caller's ceilings", () => {
  const terms = callers(POLICY).termsFor("stranger");
  assert.equal(terms.defaults.timeoutSeconds, 10);
  assert.equal(resolveLimits(undefined, terms).timeoutMs, 10_000);
});

Deno.test("highestMemoryMb() is that of the caller who may use most", () => {
  assert.equal(highestMemoryMb(PolicyOptions.parse(POLICY)), 4_000);
  assert.equal(highestMemoryMb(PolicyOptions.parse({})), 2_048);
});

for (
  const [what, entry] of [
    ["a name that no caller can have", { "two words": {} }],
    ["a quota below zero", { a: { maxActiveTasks: -1 } }],
    ["a key that nobody knows", { a: { maxTasks: 1 } }],
  ] as const
) {
  Deno.test(`PolicyOptions refuses ${what}`, () => {
    assert.equal(PolicyOptions.safeParse({ callers: entry }).success, false);
  });
}
