/**
 * A small fuzzer: makes inputs from a seed, gives them to a target, counts what became of them, and stops at the first
 * that breaks a promise.
 *
 * An input is bytes whatever the target takes, so that it can be saved and given again. It depends on the seed and the
 * number of the iteration alone.
 *
 * @module
 */

import { Random } from "./random.ts";

/** Something that takes inputs. */
export interface Target {
  readonly name: string;
  /** What it is, in a few words, for the help text. */
  readonly description: string;
  /** Iterations of an ordinary test run. */
  readonly iterations: number;
  /** Outcomes that as many iterations must come to; without them the inputs would not reach what they are made for. */
  readonly reaches: readonly string[];
  /** Makes an input. */
  generate(random: Random): Uint8Array;
  /** Gets ready for inputs; whoever starts it closes it. */
  start(): Subject | Promise<Subject>;
}

/** A target that is ready. */
export interface Subject extends AsyncDisposable {
  /**
   * Takes an input.
   * @returns what became of it, in one of few words
   * @throws {unknown} anything when a promise is broken
   */
  run(input: Uint8Array): string | Promise<string>;
  /** Checks what must hold after many inputs. @throws {unknown} anything when it does not */
  finish?(): Promise<void>;
}

/** How long to go on, and from where. */
export interface FuzzOptions {
  readonly seed: number;
  /** The first iteration, 0 by default. */
  readonly from?: number;
  /** Whether to go on, asked before each iteration. */
  readonly goOn: (done: number) => boolean;
  /** Called after each iteration, with what has been found so far. */
  readonly onProgress?: (report: FuzzReport) => void;
}

/** What became of the inputs. */
export interface FuzzReport {
  iterations: number;
  /** How many inputs came to each outcome. */
  readonly outcomes: Map<string, number>;
  /** The input that took longest. */
  slowest: { readonly iteration: number; readonly ms: number };
  failure?: FuzzFailure;
}

/** An input that broke a promise, or `undefined` for one that showed only after all of them. */
export interface FuzzFailure {
  readonly iteration: number;
  readonly input: Uint8Array | undefined;
  readonly error: unknown;
}

/** A target whose inputs need nothing that must be closed. */
export function pureTarget(
  target: Omit<Target, "start"> & { run(input: Uint8Array): string | Promise<string> },
): Target {
  const { run, ...rest } = target;
  return { ...rest, start: () => ({ run, [Symbol.asyncDispose]: () => Promise.resolve() }) };
}

/** Gives inputs to a target until its budget ends or one breaks a promise. */
export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzReport> {
  const { seed, from = 0, goOn, onProgress } = options;
  const report: FuzzReport = { iterations: 0, outcomes: new Map(), slowest: { iteration: from, ms: 0 } };
  await using subject = await target.start();
  for (let iteration = from; goOn(report.iterations); iteration++) {
    const input = target.generate(new Random(seed, iteration));
    const startedAt = performance.now();
    try {
      const outcome = await subject.run(input);
      report.outcomes.set(outcome, (report.outcomes.get(outcome) ?? 0) + 1);
    } catch (error) {
      report.failure = { iteration, input, error };
      return report;
    }
    const ms = performance.now() - startedAt;
    if (ms > report.slowest.ms) report.slowest = { iteration, ms };
    report.iterations++;
    onProgress?.(report);
  }
  try {
    await subject.finish?.();
  } catch (error) {
    report.failure = { iteration: from + report.iterations, input: undefined, error };
  }
  return report;
}

/** How to see a failure again, and what it was. */
export function describeFailure(target: Target, seed: number, failure: FuzzFailure, from = 0): string {
  const { iteration, input, error } = failure;
  const what = error instanceof Error ? error.stack ?? error.message : String(error);
  const again = input === undefined
    ? `--seed ${seed} --from ${from} --iterations ${iteration - from}`
    : `--seed ${seed} --from ${iteration} --iterations 1`;
  return `${target.name}: ${
    input === undefined ? "after all inputs" : `iteration ${iteration}`
  } of seed ${seed} broke a promise; again: deno task fuzz ${target.name} ${again}\n${what}`;
}
