/**
 * Sources of modules, through the parser and the import rules.
 * @module
 */

import assert from "node:assert/strict";
import { bytesOf, writeZip } from "../../support/zip_writer.ts";
import { openPackage } from "../../../workers/package/mod.ts";
import { pureTarget, type Target } from "../engine.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../random.ts";
import { attempt } from "../task_errors.ts";

/** Some of each: imports, exports, types, decorators, patterns, templates, regular expressions. */
const SOURCE = `import a, { type B, c as d } from "./other.ts"; import json from "./x.json" with { type: "json" };
export * as ns from "./other.ts"; export const { e, f: [g = 1] } = d<B>(a) as any;
@dec class X<T extends B = any> extends (a ? d : json) { static #p = \`\${a}\`; accessor q!: T; get [d]() { return /[/]x/g; } }
export default async function* <T,>(x: T, ...y: (typeof x)[]) { for await (const z of y) yield* (<any>z)?.[x!] ?? import("./other.ts"); }
enum K { A = 1 << 2 } declare namespace N { let v: \`a\${K}\`; } type C<T> = T extends infer U extends string ? U : never;
`;

/** Lines that are put together. */
const LINES = [
  'import "./other.ts";',
  'import x from "npm:zod";',
  'import fs from "node:fs";',
  'export * from "https://example.com/x.ts";',
  'import("./" + name);',
  'const y = await import("../up.ts");',
  'import defer * as z from "./other.ts";',
  'import source w from "./x.wasm";',
  "import type { T } from './missing.ts';",
  'export { default } from "./other.ts";',
  "require('fs');",
  "export default () => 1;",
  "export const f = (x: number): number => x;",
  "type R<T> = T extends (infer U)[] ? R<U> : T;",
  "label: for (;;) break label;",
  "let s = `${`${`${1}`}`}`;",
  "a = b < c > (d);",
  "class A { static { await; } }",
  "<div>jsx</div>;",
  "#!shebang",
  "/* open",
  "// \u2028 end",
  "let \\u{61} = 1;",
  "'use strict'; with (a) {}",
  "export default class extends (class {}) {}",
  "import {",
  "} from './other.ts' with { type: 'json' };",
];

/** Pairs that nest, and chains. */
const NESTS: readonly (readonly [open: string, close: string])[] = [
  ["(", ")"],
  ["[", "]"],
  ["{", "}"],
  ["({a:", "})"],
  ["`${", "}`"],
  ["f(", ")"],
  ["() => {", "}"],
  ["!", ""],
  ["<any>", ""],
  ["a ? b : ", ""],
  ["1 + ", ""],
  ["a.b", ""],
  ["class extends ", ""],
  ["async () => await (", ")"],
  ["import(", ")"],
];

/** A package of one module, read and resolved. */
export const module: Target = pureTarget({
  name: "module",
  description: "sources of modules in code packages",
  iterations: 2_000,
  reaches: ["fine", "INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT"],
  generate(random) {
    if (random.chance(0.4)) return mutate(bytesOf(SOURCE), random, { maxSteps: 3, donor: bytesOf(random.pick(LINES)) });
    if (random.chance(0.3)) return bytesOf(nested(random));
    const lines = Array.from({ length: random.between(1, 5) }, () => random.pick(LINES)).join("\n");
    return random.chance(0.3) ? mutate(bytesOf(lines), random, { maxSteps: 2 }) : bytesOf(lines);
  },
  run(source) {
    const zip = writeZip([
      { name: "main.ts", data: source, method: 0 },
      { name: "other.ts", data: "export const c = 1; export default c;", method: 0 },
      { name: "x.json", data: "{}", method: 0 },
    ]);
    const codes = ["INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT"] as const;
    const read = attempt(codes, () => openPackage(zip));
    if ("refused" in read) return read.refused;
    assert(read.value.runtime === "deno");
    for (const { imports } of read.value.modules) {
      for (const { target } of imports) assert(read.value.files.has(target.toString()), `${target} is no file of it`);
    }
    return "fine";
  },
});

function nested(random: Random): string {
  const kinds = Array.from({ length: random.between(1, 2) }, () => random.pick(NESTS));
  const depth = random.skewed(3_000);
  let open = "";
  let close = "";
  for (let level = 0; level < depth; level++) {
    const [first, last] = kinds[level % kinds.length] ?? ["", ""];
    open += first;
    if (last !== "" && random.chance(0.999)) close = last + close;
  }
  return `export default ${open}1${close};`;
}
