/**
 * Gives made-up inputs to the parts that read what strangers send, until a budget ends or a promise is broken.
 *
 * ```sh
 * deno task fuzz                             # every target, a minute each
 * deno task fuzz pickle --minutes 30         # one target; several may be named
 * deno task fuzz zip --seed 7 --from 1234 --iterations 1   # one input again
 * deno task fuzz zip --input fuzz-zip-7-1234.bin           # one that was saved
 * ```
 *
 * An input that breaks a promise is saved in the current folder, and the exit code is 1.
 *
 * @module
 */

import { Command, InvalidArgumentError } from "commander";
import { describeFailure, fuzz, type FuzzReport, type Target } from "../tests/fuzz/engine.ts";
import { TARGETS } from "../tests/fuzz/targets/mod.ts";

const PROGRESS_INTERVAL_MS = 2_000;
const DEFAULT_MINUTES = 1;

interface Options {
  readonly iterations?: number;
  readonly minutes?: number;
  readonly seed: number;
  readonly from: number;
  readonly input?: string;
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const names = TARGETS.map(({ name, description }) => `  ${name.padEnd(14)}${description}`).join("\n");
  const command = new Command("fuzz")
    .description("Gives made-up inputs to the parts that read what strangers send.")
    .argument("[targets...]", "what to fuzz; everything by default", (name: string, names: string[] = []) => {
      if (!TARGETS.some((target) => target.name === name)) throw new InvalidArgumentError("There is no such target.");
      return [...names, name];
    })
    .option("--iterations <count>", "inputs for each target", wholeNumber)
    .option("--minutes <count>", `time for each target (default: ${DEFAULT_MINUTES})`, positiveNumber)
    .option(
      "--seed <number>",
      "what the inputs are made from",
      wholeNumber,
      crypto.getRandomValues(new Uint32Array(1))[0],
    )
    .option("--from <iteration>", "the first iteration", wholeNumber, 0)
    .option("--input <file>", "give this file instead of made-up inputs")
    .addHelpText("after", `\nTargets:\n${names}`)
    .parse(Deno.args, { from: "user" });
  const options = command.opts<Options>();
  const targets = command.args.length === 0 ? TARGETS : TARGETS.filter(({ name }) => command.args.includes(name));
  let isFine = true;
  for (const target of targets) {
    isFine = await (options.input === undefined ? run(target, options) : replay(target, options.input)) && isFine;
  }
  if (!isFine) Deno.exit(1);
}

/** @returns whether every promise was kept */
async function run(target: Target, options: Options): Promise<boolean> {
  const { seed, from, iterations } = options;
  const budgetMs = (options.minutes ?? (iterations === undefined ? DEFAULT_MINUTES : Infinity)) * 60_000;
  console.log(`${target.name}: ${target.description}, seed ${seed}`);
  const startedAt = performance.now();
  const startBytes = Deno.memoryUsage().rss;
  const show = (report: FuzzReport) => {
    const ms = performance.now() - startedAt;
    const outcomes = [...report.outcomes].toSorted(([, left], [, right]) => right - left);
    console.log(
      `  ${report.iterations} inputs, ${Math.round(report.iterations / ms * 1_000)}/s; ` +
        `${outcomes.map(([outcome, count]) => `${outcome} ${count}`).join(", ")}; ` +
        `slowest ${Math.round(report.slowest.ms)} ms (iteration ${report.slowest.iteration}); ` +
        `memory ${megabytes(startBytes)} MB at the start, ${megabytes(Deno.memoryUsage().rss)} MB now`,
    );
  };
  let shownAt = startedAt;
  const report = await fuzz(target, {
    seed,
    from,
    goOn: (done) => done < (iterations ?? Infinity) && performance.now() - startedAt < budgetMs,
    onProgress(report) {
      if (performance.now() - shownAt < PROGRESS_INTERVAL_MS) return;
      shownAt = performance.now();
      show(report);
    },
  });
  show(report);
  const { failure } = report;
  if (failure === undefined) return true;
  console.error(describeFailure(target, seed, failure, from));
  if (failure.input !== undefined) {
    const path = `fuzz-${target.name}-${seed}-${failure.iteration}.bin`;
    await Deno.writeFile(path, failure.input);
    console.error(`The input is in ${path}; again: deno task fuzz ${target.name} --input ${path}`);
  }
  return false;
}

async function replay(target: Target, path: string): Promise<boolean> {
  const input = await Deno.readFile(path);
  const { failure, outcomes } = await fuzz(
    { ...target, generate: () => input },
    { seed: 0, goOn: (done) => done === 0 },
  );
  if (failure === undefined) console.log(`${target.name}: ${[...outcomes.keys()].join()}`);
  else console.error(failure.error);
  return failure === undefined;
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

function positiveNumber(text: string): number {
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(text)) throw new InvalidArgumentError("It must be a positive number.");
  return Number(text);
}
