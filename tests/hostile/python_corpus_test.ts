/**
 * Every program of the hostile corpus that is in Python against the real service, beside honest tasks of another caller.
 *
 * The newest version runs all of them in the strongest jail that there is. The others run those that depend on what
 * Pyodide brings; with `HOSTILE_CORPUS=full` in the environment every version runs all of them, in each jail.
 *
 * @module
 */

import { PYTHON_VERSIONS, type PythonVersion } from "../../workers/protocol.ts";
import { HONEST_TASKS, type HostileCase, readPythonCorpus } from "./corpus.ts";
import { testCorpus } from "./corpus_run.ts";

/** Cases at once. With the honest caller's, as many tasks as there are hosts for. */
const CONCURRENCY = 2;

/** What differs between versions: the ways to JavaScript, what stops C code, and how an interpreter ends. */
const BY_VERSION: ReadonlySet<string> = new Set([
  "py-js-deno",
  "py-run-js",
  "py-ctypes-wipe",
  "py-forge",
  "py-exit",
  "py-time-c",
  "py-rec-json",
  "py-iso-jsstate",
  "py-ok-std",
]);

/** Results that the corpus gives word for word. */
const RESULTS: Readonly<Record<string, unknown>> = {
  "py-env": "clean",
  "py-forge": "real",
  "py-res-async": 42,
  "py-stdin": "empty",
  "py-ok-std": { h: "2d711642", j: "[1]", r: true },
};

const KNOWN_GAPS: Readonly<Record<string, string>> = {
  "py-res-cycle": "a list within itself is above the limit of 1,000 levels, a RESOURCE_LIMIT here and an ERROR there",
};

const NEWEST: PythonVersion = "3.14";
const OTHERS = PYTHON_VERSIONS.filter((version) => version !== NEWEST);
const isFull = Deno.env.get("HOSTILE_CORPUS") === "full";

for (const type of isFull ? ["auto", "process"] : ["auto"]) {
  Deno.test(`The hostile corpus in Python gets its expected answers and reaches nothing: ${type}`, (test) =>
    testCorpus(test, {
      cases: PYTHON_VERSIONS.flatMap((version) => chosen(version)),
      concurrency: CONCURRENCY,
      settings: {
        "sandbox.type": type,
        "python.maxSandboxes": CONCURRENCY + 1,
        // What waits ready would be more than there is at rest.
        "python.readySandboxes": 0,
      },
      honest: [HONEST_TASKS.python(NEWEST), ...OTHERS.map(HONEST_TASKS.python)],
      results: RESULTS,
      gaps: KNOWN_GAPS,
    }));
}

function chosen(version: PythonVersion): readonly HostileCase[] {
  return readPythonCorpus(version).filter(({ id }) => isFull || version === NEWEST || BY_VERSION.has(id));
}
