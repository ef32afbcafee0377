/**
 * What the depth bound lets pass must not abort the runtime, whose transpiler recurses natively: this asks the very
 * binary that runs the tests, in a worker, whose stack is the smallest.
 */

import assert from "node:assert/strict";
import { DEFAULT_PACKAGE_LIMITS } from "../../workers/package/mod.ts";
import { parseModule } from "../../workers/package/parse_module.ts";
import { TaskError } from "../../workers/task_error.ts";
import { bytesOf } from "../support/zip_writer.ts";

/** Sources of a given depth, in every construct that a parser recurses or chains on. */
const SHAPES: Readonly<Record<string, (depth: number) => string>> = {
  arrays: nest("export const a = ", "[", "", "]"),
  parentheses: nest("export const a = ", "(", "1", ")"),
  objects: nest("export const a = ", "{a:", "1", "}"),
  "objects in arrays": nest("export const a = ", "[{a:", "1", "}]"),
  blocks: nest("", "{", "", "}"),
  "parameterised types": nest("export type A = ", "Array<", "1", ">"),
  "parenthesised types": nest("export type A = ", "(", "1", ")"),
  "object types": nest("export type A = ", "{a:", "1", "}"),
  "tuple types": nest("export type A = ", "[", "1", "]"),
  "function types": nest("export type A = ", "(a: ", "1", ") => 1"),
  "template types": nest("export type A = ", "`${", "1", "}`"),
  "keyof chains": (depth) => `export type A = ${"keyof ".repeat(depth)}1;`,
  "array types": (depth) => `export type A = 1${"[]".repeat(depth)};`,
  "indexed types": nest("export type A = ", "A[", "1", "]"),
  "conditional types": (depth) => `export type A = ${"1 extends 1 ? 1 : ".repeat(depth)}1;`,
  arrows: (depth) => `export const a = ${"() => ".repeat(depth)}1;`,
  "async arrows": (depth) => `export const a = ${"async () => ".repeat(depth)}1;`,
  "arrows in parentheses": nest("export const a = ", "(() => ", "1", ")"),
  "arrows with bodies": nest("export const a = ", "() => {return ", "1", "}"),
  "default parameters": nest("export const a = ", "(a = ", "1", ") => 1"),
  functions: nest("", "function f() {", "", "}"),
  "function expressions": nest("export const a = ", "function () {return ", "1", "}"),
  methods: nest("export const a = ", "{a() {return ", "1", "}}"),
  classes: nest("export const a = ", "class {a = ", "1", "}"),
  "class heritage": nest("export const a = ", "class extends (", "Object", ") {}"),
  "computed members": nest("export const a = ", "Array[", "1", "]"),
  "computed keys": nest("export const a = ", "{[", "1", "]: 1}"),
  calls: nest("export const a = () => ", "f(", "1", ")"),
  "new with arguments": nest("export const a = () => ", "new f(", "1", ")"),
  spreads: nest("export const a = ", "[...", "[]", "]"),
  templates: nest("export const a = ", "`${", "1", "}`"),
  "tagged templates": nest("export const a = () => ", "f`${", "1", "}`"),
  "array patterns": nest("export const f = (", "[", "a", "]", ": any) => 1"),
  "object patterns": nest("export const f = (", "{a:", "a", "}", ": any) => 1"),
  "dynamic imports": nest("export const a = () => ", "import(", "1", ")"),
  "call chains": (depth) => `export const a = () => f${"()".repeat(depth)};`,
  "member chains": (depth) => `export const a = () => f${".a".repeat(depth)};`,
  "optional chains": (depth) => `export const a = () => f${"?.a".repeat(depth)};`,
  "method chains": (depth) => `export const a = () => f${".a()".repeat(depth)};`,
  "non-null chains": (depth) => `export const a = () => f${"!".repeat(depth)};`,
  "casts": (depth) => `export const a = 1${" as any".repeat(depth)};`,
  satisfies: (depth) => `export const a = 1${" satisfies any".repeat(depth)};`,
  assertions: (depth) => `export const a = ${"<any>".repeat(depth)}1;`,
  "assertions or arrows": nest("export const a = ", "<T>(", "1", ")"),
  "async calls or arrows": nest("export const a = () => ", "async<T>(a = ", "1", ")"),
  sums: (depth) => `export const a = 1${" + 1".repeat(depth)};`,
  powers: (depth) => `export const a = 1${" ** 1".repeat(depth)};`,
  coalescing: (depth) => `export const a = 1${" ?? 1".repeat(depth)};`,
  "logical or": (depth) => `export const a = 0${" || 0".repeat(depth)};`,
  comparisons: (depth) => `export const a = 1${" in 1".repeat(depth)};`.replace("1 in", "() => 1 in"),
  sequences: (depth) => `export const a = (1${", 1".repeat(depth)});`,
  assignments: (depth) => `let a; ${"a = ".repeat(depth)}1; export {};`,
  conditionals: (depth) => `export const a = ${"0 ? 1 : ".repeat(depth)}1;`,
  "conditionals inside": (depth) => `export const a = ${"1 ? ".repeat(depth)}1${" : 1".repeat(depth)};`,
  "else if": (depth) => `if (0) {} ${"else if (0) {} ".repeat(depth)}export {};`,
  "if in if": (depth) => `${"if (0) ".repeat(depth)};export {};`,
  loops: (depth) => `${"while (0) ".repeat(depth)};export {};`,
  "for loops": (depth) => `${"for (;0;) ".repeat(depth)};export {};`,
  labels: (depth) => `${Array.from({ length: depth }, (_, index) => `l${index}: `).join("")};export {};`,
  "switches": nest("", "switch (1) {case 0: ", "", "}"),
  "tries": nest("", "try {", "", "} catch {}"),
  negations: (depth) => `export const a = ${"!".repeat(depth)}1;`,
  voids: (depth) => `export const a = ${"void ".repeat(depth)}1;`,
  awaits: (depth) => `export const a = async () => ${"await ".repeat(depth)}1;`,
  yields: (depth) => `export function* a() {${"yield ".repeat(depth)}1}`,
  news: (depth) => `export const a = () => ${"new ".repeat(depth)}f;`,
  namespaces: nest("", "namespace A {export ", "const a = 1;", "}"),
  "dotted namespaces": (depth) => `namespace A${".A".repeat(depth)} {} export {};`,
  "unions": (depth) => `export type A = 1${" | 1".repeat(depth)};`,
};

function nest(start: string, open: string, middle: string, close: string, end = ""): (depth: number) => string {
  return (depth) => `${start}${open.repeat(depth)}${middle}${close.repeat(depth)}${end};export {};`;
}

function refusal(source: string): TaskError | undefined {
  try {
    parseModule("main.ts", bytesOf(source), DEFAULT_PACKAGE_LIMITS);
    return undefined;
  } catch (error) {
    if (error instanceof TaskError) return error;
    throw error;
  }
}

const MANY = 20_000;

/** The deepest source of a shape that passes, of at most {@linkcode MANY} repetitions. */
function deepestThatPasses(shape: (depth: number) => string): number {
  let passes = 0;
  let fails = MANY + 1;
  while (fails - passes > 1) {
    const depth = (passes + fails) >> 1;
    if (refusal(shape(depth)) === undefined) passes = depth;
    else fails = depth;
  }
  return passes;
}

for (const [name, shape] of Object.entries(SHAPES)) {
  Deno.test(`parseModule() says of ${MANY * 2} ${name} that they are too deep, or bears them`, () => {
    const error = refusal(shape(MANY * 2));
    if (error !== undefined) assert.match(`${error.code} ${error.message}`, /RESOURCE_LIMIT .* nested too deeply/);
  });
}

for (const open of ["f<T>(a = ", "async<T>(a = ", "<T>(", "(a = <T>("]) {
  Deno.test(`parseModule() gives up where 40 ${open} would be read a million million times`, () => {
    const error = refusal(`export const a = ${open.repeat(40)}1;`);
    assert(error !== undefined && ["RESOURCE_LIMIT", "INVALID_TASK"].includes(error.code));
  });
}

const IMPORTER = `self.onmessage = async ({ data }) => {
  try { await import(data); postMessage("loaded"); } catch (error) { postMessage("thrown: " + error); }
};`;
const MAIN = `const worker = new Worker(new URL("./importer.js", import.meta.url), { type: "module" });
for (const url of JSON.parse(Deno.args[0])) {
  console.log("loading " + url);
  const { promise, resolve } = Promise.withResolvers();
  worker.onmessage = ({ data }) => resolve(data);
  worker.postMessage(new URL(url, import.meta.url).href);
  console.log(await promise);
}
console.log("survived");
Deno.exit(0);`;

Deno.test("parseModule() lets nothing pass that aborts the runtime's transpiler", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/importer.js`, IMPORTER);
    await Deno.writeTextFile(`${folder}/main.js`, MAIN);
    const names: string[] = [];
    for (const [name, shape] of Object.entries(SHAPES)) {
      const depth = deepestThatPasses(shape);
      const file = `./${name.replaceAll(" ", "_")}.ts`;
      await Deno.writeTextFile(`${folder}/${file}`, shape(depth));
      names.push(file);
    }
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--no-config", "--no-lock", `--allow-read=${folder}`, `${folder}/main.js`]
        .concat(JSON.stringify(names)),
      env: { DENO_DIR: `${folder}/cache`, NO_COLOR: "1" },
      clearEnv: true,
      stderr: "null",
      signal: AbortSignal.timeout(60_000),
    }).output();
    assert.match(new TextDecoder().decode(stdout).split("\n").slice(-3).join("\n"), /survived/, `exit code ${code}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
