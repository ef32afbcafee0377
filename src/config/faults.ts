/**
 * Faults of a configuration: collected, so that an operator sees all of them at once.
 * @module
 */
import { ServiceError } from "../errors.ts";

const MAX_SHOWN_VALUE = 80;

/** One thing that is wrong with the configuration. */
export interface ConfigFault {
  /** Where it was found: `config/service.yaml:12`, `env GRPC_PORT`, `command line`. */
  readonly source: string;
  /** Key of the setting, as it is written in that source; empty when a whole file is at fault. */
  readonly key: string;
  /** What is wrong and what is allowed. */
  readonly problem: string;
}

/** A single error with one line for each fault. */
export function toConfigError(faults: readonly ConfigFault[]): ServiceError {
  const lines = faults.map(({ source, key, problem }) => `  ${source}: ${key === "" ? "" : `${key}: `}${problem}`);
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  return new ServiceError("CONFIG_INVALID", `Cannot load configuration: ${count}\n${lines.join("\n")}`);
}

/** A value as it appears in a fault: quoted, on one line, cut short, or not at all when it is secret. */
export function showValue(value: unknown, secret: boolean): string {
  if (secret) return "(redacted)";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN_VALUE ? `${text.slice(0, MAX_SHOWN_VALUE)}…` : text;
}

/** What is wrong with a key that nobody knows: with the nearest known one if it is near, otherwise with all of them. */
export function unknownKey(name: string, known: Iterable<string>): string {
  const names = [...known];
  const near = nearest(name, names);
  return near === undefined ? `unknown key; known here: ${names.join(", ")}` : `unknown key; did you mean "${near}"?`;
}

/**
 * The candidate that differs in the fewest edits.
 *
 * @returns `undefined` when all candidates differ in more than a third of their letters
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  const plain = normalise(name);
  for (const candidate of candidates) {
    const distance = editDistance(plain, normalise(candidate));
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `max_workers`, `max-workers` and `maxWorkers` are one name spelt three ways. */
function normalise(name: string): string {
  return name.slice(0, 100).replace(/[_-]/g, "").toLowerCase();
}

/** Optimal string alignment distance: inserts, deletes, replacements and swaps of neighbours each count one. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforePrevious[j - 2] ?? 0) + 1);
      }
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
