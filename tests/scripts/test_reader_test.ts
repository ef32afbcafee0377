import assert from "node:assert/strict";
import { type Ending, TestReader, type TestReport } from "../../scripts/test_reader.ts";

const OK: Ending = { code: 0, signal: null };
const FAILED: Ending = { code: 1, signal: null };
const ABORTED: Ending = { code: 134, signal: "SIGABRT" };

const WITH_FAILURES = `running 3 tests from ./a_test.ts
good ... ok (2ms)
bad ...
------- output -------
 FAILURES 

z => ./forged.ts:1:1

----- output end -----
bad ... FAILED (5ms)
steps ...
  one ... FAILED (0ms)
steps ... FAILED (due to 1 failed step) (20ms)
Uncaught error from ./c_test.ts FAILED

 ERRORS 

bad => ./a_test.ts:2:6
error: Error: x

 FAILURES 

bad => ./a_test.ts:2:6
steps ... one => ./a_test.ts:3:109
./c_test.ts (uncaught error)

FAILED | 1 passed | 3 failed (1 step) (1s)

error: Test failed
`;

Deno.test("TestReader names every test and module that failed, with its file", () => {
  const { counts, failures } = read(WITH_FAILURES, FAILED);
  assert.deepEqual(counts, { passed: 1, failed: 3, skipped: 0 });
  assert.deepEqual(failures, [
    "bad (./a_test.ts)",
    "steps ... one (./a_test.ts)",
    "./c_test.ts (uncaught error)",
  ]);
});

Deno.test("TestReader reads coloured output in any pieces alike", () => {
  const coloured = WITH_FAILURES.replaceAll("FAILED", "\x1b[31mFAILED\x1b[0m").replace(
    /^running.*$/m,
    "\x1b[90m$&\x1b[0m",
  );
  assert.deepEqual(read(coloured, FAILED, 1), read(WITH_FAILURES, FAILED));
});

Deno.test("TestReader says where a process died, by what, and what had failed before", () => {
  const output = "running 2 tests from ./e_test.ts\nbefore ... FAILED (5ms)\ndies ...\n------- output -------\nlast";
  const { counts, failures } = read(output, ABORTED);
  assert.equal(counts.failed, 1);
  assert.deepEqual(failures, [
    "before (./e_test.ts)",
    "deno test ended by SIGABRT in ./e_test.ts, during: dies",
  ]);
});

Deno.test("TestReader names a test whose line had only begun when the process died", () => {
  assert.deepEqual(read("running 1 test from ./e_test.ts\ndies ... ", { code: 3, signal: null }).failures, [
    "deno test ended with exit code 3 in ./e_test.ts, during: dies",
  ]);
});

Deno.test("TestReader names no test that had ended when the process died", () => {
  assert.deepEqual(read("running 2 tests from ./e_test.ts\ngood ...\ngood ... ok (1ms)\n", ABORTED).failures, [
    "deno test ended by SIGABRT in ./e_test.ts",
  ]);
});

Deno.test("TestReader has a failure to name whenever the exit code is one", () => {
  assert.deepEqual(read("", FAILED).failures, ["deno test ended with exit code 1 before its first test"]);
  assert.deepEqual(read("running 0 tests from ./a_test.ts\n\nok | 0 passed | 0 failed (1ms)\n", FAILED).failures, [
    "deno test ended with exit code 1, and named no test that failed",
  ]);
});

Deno.test("TestReader measures each file until the next one begins", () => {
  let now = 0;
  const reader = new TestReader(() => now);
  for (const [time, text] of [[10, "running 1 test from ./a_test.ts\n"], [15, "running 1 test from ./b_test.ts\n"]]) {
    now = Number(time);
    reader.take(String(text));
  }
  now = 40;
  reader.take("\nok | 2 passed | 0 failed (30ms)\n");
  assert.deepEqual(reader.report(OK), {
    counts: { passed: 2, failed: 0, skipped: 0 },
    failures: [],
    files: [{ file: "./a_test.ts", durationMs: 5 }, { file: "./b_test.ts", durationMs: 25 }],
  });
});

function read(output: string, ending: Ending, pieceLength = output.length || 1): TestReport {
  const reader = new TestReader(() => 0);
  for (let at = 0; at < output.length; at += pieceLength) reader.take(output.slice(at, at + pieceLength));
  return reader.report(ending);
}
