/**
 * Reads the summary that `deno test` prints.
 * @module
 */

/** Tests by what became of them. Steps of a test are no tests of their own. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

// Deno colours its output when it thinks that somebody looks.
// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[0-9;]*m/g;

const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?: \(\d+ steps?\))?(.*)$/;

/**
 * Finds the counts in a run's output: the last line that is a summary, since a test may print one of its own.
 *
 * @example
 * ```ts
 * import { parseTestSummary } from "./test_summary.ts";
 *
 * const counts = parseTestSummary("ok | 3 passed (7 steps) | 0 failed | 1 ignored (2s)\n");
 * console.assert(counts?.passed === 3 && counts.failed === 0 && counts.skipped === 1);
 * ```
 *
 * @returns `undefined` when the run ended without a summary
 */
export function parseTestSummary(output: string): TestCounts | undefined {
  for (const line of withoutColours(output).split("\n").reverse()) {
    const match = SUMMARY.exec(line.trim());
    if (match === null) continue;
    const [, passed, failed, rest = ""] = match;
    return { passed: Number(passed), failed: Number(failed), skipped: Number(/(\d+) ignored/.exec(rest)?.[1] ?? 0) };
  }
  return undefined;
}

/** What `deno test` printed without its colours. */
export function withoutColours(output: string): string {
  return output.replaceAll(COLOURS, "");
}

/**
 * The counts of a run that ended with an exit code. A run that failed without saying of what, because the process was
 * killed say, has one failure at least.
 *
 * @returns the counts, and whether the run had a summary
 */
export function countTests(output: string, exitCode: number): { counts: TestCounts; summarised: boolean } {
  const summary = parseTestSummary(output);
  const counts = summary ?? { passed: 0, failed: 0, skipped: 0 };
  return {
    counts: exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts,
    summarised: summary !== undefined,
  };
}

/** The line that a test run ends with. */
export function summaryLine({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
