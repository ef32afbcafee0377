/** Mutations of good packages: whatever comes, it is read or refused with a `TaskError`, within bounds. */

import assert from "node:assert/strict";
import { openPackage } from "../../workers/package/mod.ts";
import { parseEntryPoint } from "../../workers/package/entry_point.ts";
import { TaskError } from "../../workers/task_error.ts";
import packages from "../data/packages.json" with { type: "json" };
import { seededRandom } from "../support/random.ts";
import { bytesOf, concat, writeZip } from "../support/zip_writer.ts";

const LIMITS = { maxCompressedBytes: 100_000, maxUnpackedBytes: 1_000_000, maxFiles: 50 };

/** Numbers that readers of lengths and offsets trip over. */
const EDGES = [0, 1, 2, 8, 0x7f, 0x80, 0xff, 0x504b0304, 0xfffe, 0xffff, 0x7fffffff, 0xfffffffe, 0xffffffff];

function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  let result: Uint8Array = bytes.slice();
  const below = (limit: number) => Math.floor(random() * limit);
  for (let count = 1 + below(4); count > 0; count--) {
    const at = below(result.length);
    switch (below(5)) {
      case 0:
        result[at] = below(256);
        break;
      case 1:
        result[at] = (result[at] ?? 0) ^ (1 << below(8));
        break;
      case 2: {
        const width = random() < 0.5 ? 2 : 4;
        const value = EDGES[below(EDGES.length)] ?? 0;
        for (let index = 0; index < width && at + index < result.length; index++) {
          result[at + index] = (value >>> (8 * index)) & 0xff;
        }
        break;
      }
      case 3:
        result = concat(result.subarray(0, at), result.subarray(at + below(20)));
        break;
      default: {
        const from = below(result.length);
        result = concat(result.subarray(0, at), result.subarray(from, from + below(40)), result.subarray(at));
      }
    }
  }
  return result;
}

function outcome(run: () => unknown): string {
  try {
    run();
    return "fine";
  } catch (error) {
    if (error instanceof TaskError) return error.code;
    throw error;
  }
}

/** Runs a case and says which it was when it breaks the promise. */
function tally(outcomes: Map<string, number>, round: number, run: () => unknown): void {
  try {
    const found = outcome(run);
    outcomes.set(found, (outcomes.get(found) ?? 0) + 1);
  } catch (cause) {
    throw new assert.AssertionError({ message: `round ${round}: ${cause instanceof Error ? cause.stack : cause}` });
  }
}

Deno.test("openPackage() reads or refuses mutated zips", () => {
  const random = seededRandom(1);
  const seeds = Object.values(packages.good).map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 20_000; round++) {
    const seed = seeds[round % seeds.length] ?? new Uint8Array();
    tally(outcomes, round, () => openPackage(mutate(seed, random), { limits: LIMITS }));
  }
  for (const code of ["fine", "INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT"]) {
    assert.ok(outcomes.has(code), `no mutation came to ${code}`);
  }
});

const MANIFEST = JSON.stringify({
  version: "1.0",
  type: "code_package",
  has_serialized_object: false,
  pip_requirements: ["numpy"],
  entry_files: ["main.ts"],
  dependencies: ["npm:zod@4"],
  runtime: "deno",
  python_version: "3.11",
  permissions: { net: ["example.com"] },
});

Deno.test("openPackage() reads or refuses mutated manifests", () => {
  const random = seededRandom(2);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 3_000; round++) {
    const zip = writeZip([{ name: "manifest.json", data: mutate(bytesOf(MANIFEST), random) }, {
      name: "main.ts",
      data: "export default 1;",
    }]);
    tally(outcomes, round, () => openPackage(zip));
  }
  assert.deepEqual([...outcomes.keys()].toSorted(), ["INVALID_TASK", "fine"]);
});

const SOURCE = `import a, { type B, c as d } from "./main.ts"; import json from "./x.json" with { type: "json" };
export * as ns from "./main.ts"; export const { e, f: [g = 1] } = d<B>(a) as any;
@dec class X<T extends B = any> extends (a ? d : json) { static #p = \`\${a}\`; accessor q!: T; get [d]() { return /[/]x/g; } }
export default async function* <T,>(x: T, ...y: (typeof x)[]) { for await (const z of y) yield* (<any>z)?.[x!] ?? import("./main.ts"); }
enum K { A = 1 << 2 } declare namespace N { let v: \`a\${K}\`; } type C<T> = T extends infer U extends string ? U : never;
`;

Deno.test("openPackage() reads or refuses mutated sources", () => {
  const random = seededRandom(3);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 6_000; round++) {
    const source = round === 0 ? bytesOf(SOURCE) : mutate(bytesOf(SOURCE), random);
    const zip = writeZip([{ name: "main.ts", data: source, method: 0 }, { name: "x.json", data: "{}" }]);
    tally(outcomes, round, () => openPackage(zip));
    if (round === 0) assert.deepEqual([...outcomes.keys()], ["fine"]);
  }
  for (const code of ["fine", "INVALID_TASK", "SECURITY_VIOLATION"]) assert.ok(outcomes.has(code), code);
});

Deno.test("parseEntryPoint() reads or refuses any text", () => {
  const random = seededRandom(4);
  const outcomes = new Map<string, number>();
  const decoder = new TextDecoder();
  for (let round = 0; round < 5_000; round++) {
    const seed = ["a/b.ts:name", "pkg.mod:Cls.run", "pkg.mod.run", "./x.mjs#default"][round % 4] ?? "";
    tally(outcomes, round, () => parseEntryPoint(decoder.decode(mutate(bytesOf(seed), random))));
  }
  assert.deepEqual([...outcomes.keys()].toSorted(), ["INVALID_TASK", "fine"]);
});
