/**
 * The hostile corpus: programs with the answer that a safe service gives.
 * @module
 */

import { z } from "zod";
import type { PythonVersion } from "../../workers/protocol.ts";
import { packageFiles } from "../../src/client/package.ts";
import corpus from "../data/hostile-corpus.json" with { type: "json" };
import packages from "../data/packages.json" with { type: "json" };
import { writeZip } from "../support/zip_writer.ts";

const CORPUS = z.object({
  cases: z.array(z.object({
    id: z.string(),
    lang: z.enum(["typescript", "python", "package", "protocol"]),
    title: z.string(),
    code: z.string(),
    /** A second task, after the first or beside it, which must not see it. */
    code2: z.string().optional(),
    /** Says that both are to run at once. */
    run: z.string().optional(),
    expected: z.object({ status: z.array(z.string()), invariants: z.array(z.string()) }),
    tier: z.enum(["basic", "hard"]),
    limits: z.object({ timeout_ms: z.int(), memory_mb: z.int() }).partial().optional(),
  })),
});

/** One hostile program. */
export interface HostileCase {
  readonly id: string;
  /** Its id, with the version of Python where there is one. */
  readonly key: string;
  readonly title: string;
  /** What it attacks: the second word of its id. */
  readonly category: string;
  readonly tier: "basic" | "hard";
  /** What is sent: source text, or a zip. @param port of a listener on loopback, for those that want to call one */
  readonly package: (port: number) => Uint8Array;
  /** The second task, the statuses that it may have, and its result where it is known. */
  readonly second:
    | {
      readonly package: Uint8Array;
      readonly isBeside: boolean;
      readonly statuses: readonly string[];
      readonly result?: string;
    }
    | undefined;
  /** What must succeed after it. */
  readonly next: HonestTask;
  /** Statuses that are acceptable: those of executions, or of the call. */
  readonly statuses: readonly string[];
  readonly timeoutSeconds: number;
  readonly memoryLimitMb: number;
}

/** A task that doubles its input. */
export interface HonestTask {
  readonly package: Uint8Array;
}

const encoder = new TextEncoder();

/** One in every language. */
export const HONEST_TASKS = {
  typescript: { package: encoder.encode("export default ({ n }: { n: number }) => n * 2;") },
  python: (version: PythonVersion): HonestTask => ({
    package: pythonPackage("def main(item):\n    return item['n'] * 2\n", version),
  }),
} as const;

/** Cases that are to run out of time, and on a fast machine would run out of memory before. */
const OUT_OF_TIME: ReadonlySet<string> = new Set(["ts-res-asyncgen-endless"]);

/** Cases that import a `data:` module: the corpus allows a policy that forbids it, as ours does, and so both fail. */
const IMPORTS_DATA: ReadonlySet<string> = new Set(["ts-ok-data-import", "ts-iso-module-cache"]);
const REFUSED = ["SECURITY_VIOLATION"];

/** Packages that are too large to be kept: made here as the corpus makes them, at an eighth and a quarter of their size. */
const MADE: Readonly<Record<string, () => Uint8Array>> = {
  "pkg-bomb-ratio": () => writeZip([MAIN, { name: "big.bin", data: new Uint8Array(256 * 1024 * 1024) }]),
  "pkg-many-files": () =>
    writeZip([MAIN, ...Array.from({ length: 50_000 }, (_, index) => ({ name: `d/${index}`, data: "", method: 0 }))]),
};
const MAIN = { name: "main.ts", data: 'export default async function () { return "ok"; }' };

/** Limit of a task that is expected to reach it. */
const TIMEOUT_SECONDS = 3;
/** Limit of one that is expected to end by itself: far above what it takes, also where everything is slow. */
const PATIENT_SECONDS = 20;
/** Some that are to run out of time pile up promises meanwhile, and a fast machine must not run out of memory first. */
const AMPLE_MEMORY_MB = 2_048;

const built: ReadonlyMap<string, { readonly package: string }> = new Map(Object.entries(packages.corpus));

/** All cases of user code in TypeScript, and of packages. */
export function readCorpus(): readonly HostileCase[] {
  return CORPUS.parse(corpus).cases.filter(({ lang }) => lang === "typescript" || lang === "package").map((entry) => {
    const { id, title, tier, code2, limits = {}, expected } = entry;
    const category = id.split("-")[1] ?? "";
    const statuses = IMPORTS_DATA.has(id) ? REFUSED : expected.status;
    const defaultMs = (statuses.includes("TIMEOUT") ? TIMEOUT_SECONDS : PATIENT_SECONDS) * 1_000;
    return {
      id,
      key: id,
      title,
      category,
      tier,
      package: entry.lang === "typescript"
        ? (port) => encoder.encode(entry.code.replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`))
        : () => packageOf(id),
      second: code2 === undefined ? undefined : {
        package: encoder.encode(code2),
        isBeside: entry.run !== undefined,
        statuses: IMPORTS_DATA.has(id) ? REFUSED : ["SUCCESS"],
      },
      next: HONEST_TASKS.typescript,
      statuses,
      timeoutSeconds: Math.ceil((limits.timeout_ms ?? defaultMs) / 1_000),
      memoryLimitMb: limits.memory_mb ?? (category === "time" || OUT_OF_TIME.has(id) ? AMPLE_MEMORY_MB : 0),
    };
  });
}

/** Both tasks import what this service does not offer. */
const IMPORTS_PYODIDE: ReadonlySet<string> = new Set(["py-iso-jsstate"]);

/** All cases of user code in Python, for one of its versions. */
export function readPythonCorpus(version: PythonVersion): readonly HostileCase[] {
  return CORPUS.parse(corpus).cases.filter(({ lang }) => lang === "python").map((entry) => {
    const { id, title, tier, code, code2, limits = {}, expected: { status: statuses } } = entry;
    return {
      id,
      key: `${id} (Python ${version})`,
      title,
      category: id.split("-")[1] ?? "",
      tier,
      package: (port) =>
        pythonPackage(
          code.replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`).replaceAll(
            "'127.0.0.1', 8080",
            `'127.0.0.1', ${port}`,
          ),
          version,
        ),
      second: code2 === undefined ? undefined : {
        package: pythonPackage(code2, version),
        isBeside: false,
        ...(IMPORTS_PYODIDE.has(id) ? { statuses: ["ERROR"] } : { statuses: ["SUCCESS"], result: "clean" }),
      },
      statuses,
      timeoutSeconds: statuses.includes("TIMEOUT") ? TIMEOUT_SECONDS : PATIENT_SECONDS,
      memoryLimitMb: limits.memory_mb ?? 0,
      // Those that try to break the interpreter: the next one must be whole. The others are followed by what is fast.
      // One in Python runs beside all of them.
      next: HONEST_TASKS.typescript,
    };
  });
}

function pythonPackage(code: string, pythonVersion: PythonVersion): Uint8Array {
  return packageFiles(new Map([["main.py", encoder.encode(code)]]), { runtime: "python", pythonVersion });
}

/** A case of the contract: what it is to show is in its program, which is in Python, and in prose. */
export interface ProtocolCorpusCase {
  readonly id: string;
  readonly title: string;
  readonly statuses: readonly string[];
}

/** All cases of hostile requests and connections. */
export function readProtocolCorpus(): readonly ProtocolCorpusCase[] {
  return CORPUS.parse(corpus).cases.filter(({ lang }) => lang === "protocol").map(({ id, title, expected }) => {
    return { id, title, statuses: expected.status };
  });
}

function packageOf(id: string): Uint8Array {
  const text = built.get(id)?.package;
  if (text !== undefined) return Uint8Array.fromBase64(text);
  const make = MADE[id];
  if (make === undefined) throw new Error(`No package of "${id}": make tests/data/packages.json anew`);
  return make();
}
