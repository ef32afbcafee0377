/**
 * Format, lint, types, generated files, paths: all that can be checked without running the program.
 *
 * Usage: `deno task check`
 *
 * Every step runs, whatever became of those before it; what failed is shown in full at the end, and the exit code is 1.
 *
 * @module
 */

import { denoStep, printFailures, runSteps, seconds, type Step, type StepResult } from "./step.ts";

/** The steps, the quick ones first. */
export const CHECKS: readonly Step[] = [
  denoStep("format", ["fmt", "--check"]),
  // Holds the import directions too: scripts/lint/import_direction.ts.
  denoStep("lint", ["lint"]),
  denoStep("no paths of one machine", ["run", "--allow-read", "scripts/check_paths.ts"]),
  denoStep("node registry is current", ["run", "-A", "scripts/gen_nodes.ts", "--check"]),
  denoStep("node reference is current", ["run", "-A", "scripts/gen_node_docs.ts", "--check"]),
  denoStep("configuration reference is current", ["run", "-A", "scripts/gen_config_docs.ts", "--check"]),
  denoStep("stubs of protos/ are current", ["run", "-A", "scripts/gen_protos.ts", "--check"]),
  denoStep("types", ["check", "."]),
];

/** Runs every check and shows what failed. */
export async function check(): Promise<StepResult[]> {
  const results = await runSteps(CHECKS);
  printFailures(results);
  return results;
}

if (import.meta.main) {
  const startedAt = performance.now();
  const results = await check();
  const failed = results.filter(({ failure }) => failure !== undefined).map(({ name }) => name);
  console.log(
    failed.length === 0
      ? `\n${results.length} checks passed in ${seconds(performance.now() - startedAt)}`
      : `\n${failed.length} of ${results.length} checks failed: ${failed.join(", ")}`,
  );
  if (failed.length > 0) Deno.exit(1);
}
