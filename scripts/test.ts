/**
 * All that must hold before a change goes in: checks, bundle, tests. Ends with a line for each failure and then a line
 * `N passed, N failed`, followed by `, N skipped` where tests were; the checks and the bundle count as one each.
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
import { LANES, runLanes } from "./test_lanes.ts";
import type { TestReport } from "./test_reader.ts";
import { summaryLine, type TestCounts } from "./test_summary.ts";

/** How many of the slowest files are named after a whole run. */
const SLOWEST = 12;

if (import.meta.main) {
  const startedAt = performance.now();
  const whole = Deno.args.length === 0;
  const steps = whole ? await check() : [];
  steps.push(...await bundle());
  const reports = await runLanes(whole ? LANES : [Deno.args], print);
  const tests = reports.map(({ counts }) => counts).reduce(add);
  if (whole) printSlowest(reports);
  console.log(`\nTests: ${summaryLine(tests)}; took ${seconds(performance.now() - startedAt)} in all`);
  // Last, for whoever sees only the end of the output.
  for (const { name, failure } of steps) if (failure !== undefined) console.log(`Failed: ${name} (before the tests)`);
  for (const failure of reports.flatMap(({ failures }) => failures)) console.log(`Failed: ${failure}`);
  const counts = add(countSteps(steps), tests);
  console.log(summaryLine(counts));
  if (counts.failed > 0) Deno.exit(1);
}

async function bundle(): Promise<StepResult[]> {
  const results = await runSteps([denoStep("bundle", ["run", "-A", "scripts/bundle.ts"])]);
  printFailures(results);
  return results;
}

async function print(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let offset = 0; offset < bytes.length;) offset += await Deno.stdout.write(bytes.subarray(offset));
}

function printSlowest(reports: readonly TestReport[]): void {
  reports.forEach(({ files }, lane) => {
    const took = seconds(files.reduce((sum, { durationMs }) => sum + durationMs, 0));
    console.log(`\nLane ${lane + 1} of ${reports.length}: ${files.length} files took ${took}; the slowest:`);
    const slowest = files.toSorted((a, b) => b.durationMs - a.durationMs).slice(0, SLOWEST);
    for (const { file, durationMs } of slowest) console.log(`${seconds(durationMs).padStart(9)}  ${file}`);
  });
}

function countSteps(steps: readonly StepResult[]): TestCounts {
  const failed = steps.filter(({ failure }) => failure !== undefined).length;
  return { passed: steps.length - failed, failed, skipped: 0 };
}

function add(a: TestCounts, b: TestCounts): TestCounts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}
