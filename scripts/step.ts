/**
 * Runs the steps of a check one after the other, with their times, and goes on after a failure.
 * @module
 */

const ROOT = new URL("../", import.meta.url);

/** One thing to check. */
export interface Step {
  readonly name: string;
  /** @returns what is wrong, or `undefined` when nothing is */
  run(): Promise<string | undefined>;
}

/** What a step came to. */
export interface StepResult {
  readonly name: string;
  readonly durationMs: number;
  /** What is wrong; absent when nothing is. */
  readonly failure?: string;
}

/** A step that runs this same Deno with arguments, in the repository's root; its output is shown when it fails. */
export function denoStep(name: string, args: readonly string[]): Step {
  return {
    name,
    async run() {
      const command = new Deno.Command(Deno.execPath(), {
        args: [...args],
        cwd: ROOT,
        env: { NO_COLOR: "1" },
        stdin: "null",
      });
      const { success, code, stdout, stderr } = await command.output();
      if (success) return undefined;
      const decoder = new TextDecoder();
      return `exit code ${code}: deno ${args.join(" ")}\n${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim();
    },
  };
}

/** Runs all steps in order and prints a line for each. */
export async function runSteps(steps: readonly Step[]): Promise<StepResult[]> {
  const results: StepResult[] = [];
  for (const step of steps) {
    const startedAt = performance.now();
    const failure = await step.run().catch((error: unknown) => error instanceof Error ? error.message : String(error));
    const durationMs = performance.now() - startedAt;
    results.push({ name: step.name, durationMs, ...(failure !== undefined && { failure }) });
    console.log(`${failure === undefined ? "ok  " : "FAIL"}  ${step.name} (${seconds(durationMs)})`);
  }
  return results;
}

/** Prints what failed, in full. */
export function printFailures(results: readonly StepResult[]): void {
  for (const { name, failure } of results) {
    if (failure !== undefined) console.log(`\nFAIL  ${name}\n${failure}`);
  }
}

/** A duration for people. */
export function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(1)} s`;
}
