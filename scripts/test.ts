/**
 * All that must hold before a change goes in: checks, bundle, tests. Ends with a line `N passed, N failed`, followed by
 * `, N skipped` where tests were; the checks and the bundle count as one each.
 *
 * ```sh
 * deno task test                       # everything
 * deno task test tests/codecs          # only these tests, without the checks
 * deno task test --filter resampler    # likewise; every argument goes to `deno test`
 * ```
 *
 * @module
 */

import { check } from "./check.ts";
import { denoStep, printFailures, runSteps, seconds, type StepResult } from "./step.ts";
import { countTests, summaryLine, type TestCounts } from "./test_summary.ts";

const ROOT = new URL("../", import.meta.url);

/** Everything, the examples in the sources' comments included. The types have been checked by then. */
const WHOLE_RUN = ["--no-check", "--doc", "tests", "src", "workers", "scripts"];

/** The end of the output is enough to find the summary in. */
const KEPT_OUTPUT = 20_000;

if (import.meta.main) {
  const startedAt = performance.now();
  const whole = Deno.args.length === 0;
  const steps = whole ? await check() : [];
  steps.push(...await bundle());
  const tests = await runTests(whole ? WHOLE_RUN : Deno.args);
  const counts = add(steps, tests);
  const failed = steps.filter(({ failure }) => failure !== undefined).map(({ name }) => name);
  console.log(`\nTests: ${summaryLine(tests)}; took ${seconds(performance.now() - startedAt)} in all`);
  if (failed.length > 0) console.log(`Failed before the tests: ${failed.join(", ")}`);
  console.log(summaryLine(counts));
  if (counts.failed > 0) Deno.exit(1);
}

async function bundle(): Promise<StepResult[]> {
  const results = await runSteps([denoStep("bundle", ["run", "-A", "scripts/bundle.ts"])]);
  printFailures(results);
  return results;
}

/** Runs `deno test`, whose output goes on to ours as it comes. */
async function runTests(args: readonly string[]): Promise<TestCounts> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", ...args],
    cwd: ROOT,
    // Deno colours its output through a pipe too, which is right only when ours goes to a terminal.
    env: Deno.stdout.isTerminal() ? {} : { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
  });
  const child = command.spawn();
  let tail = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    await writeAll(text);
    tail = (tail + text).slice(-KEPT_OUTPUT);
  }
  const { code } = await child.status;
  return countTests(tail, code);
}

async function writeAll(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let offset = 0; offset < bytes.length;) offset += await Deno.stdout.write(bytes.subarray(offset));
}

function add(steps: readonly StepResult[], tests: TestCounts): TestCounts {
  const failed = steps.filter(({ failure }) => failure !== undefined).length;
  return { ...tests, passed: tests.passed + steps.length - failed, failed: tests.failed + failed };
}
