import assert from "node:assert/strict";
import { countTests, parseTestSummary, summaryLine, type TestCounts } from "../../scripts/test_summary.ts";

const SUMMARIES: readonly [output: string, counts: TestCounts][] = [
  ["ok | 3 passed | 0 failed (14ms)", { passed: 3, failed: 0, skipped: 0 }],
  ["FAILED | 1 passed (1 step) | 2 failed (1 step) | 1 ignored (65ms)", { passed: 1, failed: 2, skipped: 1 }],
  ["ok | 12 passed (40 steps) | 0 failed | 2 filtered out (2s)", { passed: 12, failed: 0, skipped: 0 }],
  [
    "\x1b[0m\x1b[32mok\x1b[0m | 5 passed | 0 failed | 3 ignored \x1b[38;5;245m(1s)\x1b[0m",
    {
      passed: 5,
      failed: 0,
      skipped: 3,
    },
  ],
  ["ok | 99 passed | 0 failed (1ms)\nlater\nFAILED | 1 passed | 1 failed (2ms)\n\nerror: Test failed\n", {
    passed: 1,
    failed: 1,
    skipped: 0,
  }],
];

for (const [output, counts] of SUMMARIES) {
  Deno.test(`parseTestSummary() reads ${JSON.stringify(output)}`, () => {
    assert.deepEqual(parseTestSummary(output), counts);
  });
}

Deno.test("parseTestSummary() gives undefined when there is no summary", () => {
  assert.equal(parseTestSummary("running 1 test from ./a_test.ts\na ... "), undefined);
});

Deno.test("countTests() finds a failure in a run that ended badly without naming one", () => {
  const failed = { passed: 0, failed: 1, skipped: 0 };
  const passed = { passed: 3, failed: 0, skipped: 0 };
  const output = "ok | 3 passed | 0 failed (1ms)";
  assert.deepEqual(countTests("Segmentation fault", 139), { counts: failed, summarised: false });
  assert.deepEqual(countTests(output, 1), { counts: { ...passed, failed: 1 }, summarised: true });
  assert.deepEqual(countTests(output, 0), { counts: passed, summarised: true });
});

Deno.test("summaryLine() names skipped tests only when there are some", () => {
  assert.equal(summaryLine({ passed: 3, failed: 0, skipped: 0 }), "3 passed, 0 failed");
  assert.equal(summaryLine({ passed: 3, failed: 1, skipped: 2 }), "3 passed, 1 failed, 2 skipped");
});
