import assert from "node:assert/strict";
import { builtinModules } from "node:module";
import { DEFAULT_PACKAGE_LIMITS, type ImportPolicy, openPackage } from "../../workers/package/mod.ts";
import { isNodeBuiltin } from "../../workers/package/node_builtins.ts";
import { parseModule } from "../../workers/package/parse_module.ts";
import { TaskError, type TaskErrorCode } from "../../workers/task_error.ts";
import { writeZip } from "../support/zip_writer.ts";

const FILES: Readonly<Record<string, string>> = {
  "lib/a.ts": "export const a = 1; export type T = 1;",
  "lib/mod.ts": "export {};",
  "lib/my file.ts": "export {};",
  "data.json": "{}",
  "text.txt": "x",
};

interface Options {
  dependencies?: string[];
  policy?: Partial<ImportPolicy>;
}

function graph(source: string, options: Options = {}, path = "main.ts"): string[] {
  const files = Object.entries({ ...FILES, [path]: `${source}\nexport default 1;` });
  const found = openPackage(writeZip(files.map(([name, data]) => ({ name, data }))), {
    entryPoint: path,
    dependencies: options.dependencies ?? [],
    policy: { allowedBuiltins: [], blockedImports: [], ...options.policy },
  });
  assert.ok(found.runtime === "deno");
  return found.modules.find((module) => module.path === path)?.imports.map(({ target }) => target) ?? [];
}

const ALLOWED: [source: string, targets: string[], options?: Options][] = [
  ['import { a } from "./lib/a.ts";', ["lib/a.ts"]],
  ['import "./lib/../lib/./a.ts";', ["lib/a.ts"]],
  ['import "./lib/%61.ts";', ["lib/a.ts"]],
  ['import "./lib/my%20file.ts"; import "./lib/my file.ts";', ["lib/my file.ts", "lib/my file.ts"]],
  ['export * from "./lib/a.ts"; export * as b from "./lib/mod.ts";', ["lib/a.ts", "lib/mod.ts"]],
  ['export { a } from "./lib/a.ts";', ["lib/a.ts"]],
  ['import { type T } from "./lib/a.ts";', ["lib/a.ts"]],
  ['import type { T } from "https://types.test/"; export type { U } from "anything";', []],
  ['type T = import("https://types.test/").T; import type A = require("x");', []],
  ["await import(`./lib/a.ts`); await import(('./lib/mod.ts'));", ["lib/a.ts", "lib/mod.ts"]],
  ['const f = (x: string) => import(x + "/etc");', []],
  ['import data from "./data.json" with { type: "json" };', ["data.json"]],
  ['import text from "./text.txt" with { "type": "text" }; import b from "./data.json" with { type: "bytes" };', [
    "text.txt",
    "data.json",
  ]],
  ['await import("./data.json", { with: { type: "json" } }); await import("./data.json", options);', [
    "data.json",
    "data.json",
  ]],
  ['import defer * as a from "./lib/a.ts";', ["lib/a.ts"]],
  ['import p from "node:path"; import "fs/promises";', ["node:path", "fs/promises"], {
    policy: { allowedBuiltins: ["path", "fs/promises"] },
  }],
  ['import "npm:@a/b@1/sub"; import "npm:c"; import "c/d"; import "jsr:@s/t@2";', [
    "npm:@a/b@1/sub",
    "npm:c",
    "c/d",
    "jsr:@s/t@2",
  ], { dependencies: ["npm:@a/b@1", "c@^3", "jsr:@s/t"] }],
  ["require('fs'); // no such function at run time", []],
  ["/* import 'file:///x' */ const s = `import 'file:///x'`; const r = /import 'node:fs'/;", []],
];

for (const [source, targets, options] of ALLOWED) {
  Deno.test(`openPackage() allows ${source}`, () => assert.deepEqual(graph(source, options), targets));
}

const REFUSED: [source: string, code: TaskErrorCode, message: RegExp, options?: Options][] = [
  ['import "./lib/a";', "INVALID_TASK", /^main\.ts:1:8: cannot find module "\.\/lib\/a": did you mean "lib\/a\.ts"\?$/],
  ['import "./lib/a.js";', "INVALID_TASK", /did you mean "lib\/a\.ts"\?/],
  ['import "./lib/";', "INVALID_TASK", /cannot find module "\.\/lib\/"/],
  ['import "./lib";', "INVALID_TASK", /did you mean "lib\/mod\.ts"\?/],
  ['import "./Lib/A.ts";', "INVALID_TASK", /did you mean "lib\/a\.ts"\?/],
  ['import "./nope.ts";', "INVALID_TASK", /there is no "nope\.ts"/],
  ['import ".";', "INVALID_TASK", /cannot find module "\."/],
  ['import "./lib/a.ts?x";', "INVALID_TASK", /query/],
  ['import "lib/a.ts";', "INVALID_TASK", /imported as "\.\/lib\/a\.ts"/],
  ['import "lodash";', "INVALID_TASK", /"lodash": it is not declared/],
  ['import x from "./data.json";', "INVALID_TASK", /needs `with \{ type: "json" \}`/],
  ['import x from "./text.txt";', "INVALID_TASK", /needs `with \{ type: "text" \}`/],
  ['import x from "./lib/a.ts" with { type: "json" };', "INVALID_TASK", /does not end in \.json/],
  ['import x from "./text.txt" with { type: "css" };', "INVALID_TASK", /unknown type "css"/],
  ['import "../x.ts";', "SECURITY_VIOLATION", /main\.ts:1:8: the import "\.\.\/x\.ts" leaves the package/],
  ['import "./lib/../../x.ts";', "SECURITY_VIOLATION", /leaves the package/],
  ['import "./%2e%2E/x.ts";', "SECURITY_VIOLATION", /leaves the package/],
  ['import "./lib%2f..%2f..%2fx.ts";', "SECURITY_VIOLATION", /encoded separator/],
  ['import "./%zz.ts";', "SECURITY_VIOLATION", /badly encoded/],
  ['import "./lib\\\\..\\\\..\\\\x.ts";', "SECURITY_VIOLATION", /backslash/],
  ['import "/etc/passwd";', "SECURITY_VIOLATION", /leaves the package/],
  ['import "//host/x.ts";', "SECURITY_VIOLATION", /leaves the package/],
  ['import "";', "SECURITY_VIOLATION", /is empty/],
  ['import " file:///x";', "SECURITY_VIOLATION", /white space/],
  ['import "fi\\nle:///x";', "SECURITY_VIOLATION", /control character/],
  ['import "\\tnode:fs";', "SECURITY_VIOLATION", /white space/],
  [
    'import x from "file:///etc/passwd" with { type: "text" };',
    "SECURITY_VIOLATION",
    /"file:\/\/\/etc\/passwd" leaves/,
  ],
  ['import "FILE:///x";', "SECURITY_VIOLATION", /leaves the package/],
  ['import "http://a/b.ts"; import "https://a/b.ts";', "SECURITY_VIOLATION", /http:.*\nmain\.ts:1:32: .*https:/],
  [
    'await import("data:text/javascript,export default 7");',
    "SECURITY_VIOLATION",
    /1:7: the import of "data:.* leaves/,
  ],
  ['import "blob:null/x";', "SECURITY_VIOLATION", /leaves the package/],
  ["await import(`https://a/b.ts`);", "SECURITY_VIOLATION", /leaves the package/],
  ['await import(("https://a/b.ts"), {});', "SECURITY_VIOLATION", /leaves the package/],
  ['export * from "node:fs";', "SECURITY_VIOLATION", /the builtin "node:fs" is not offered/],
  ['import "fs";', "SECURITY_VIOLATION", /main\.ts:1:8: the builtin "fs" is not offered/],
  ['import "fs/promises";', "SECURITY_VIOLATION", /builtin "fs\/promises"/],
  ['import "NODE:fs";', "SECURITY_VIOLATION", /builtin/, { policy: { allowedBuiltins: ["fs"] } }],
  ['import "node:fs/promises";', "SECURITY_VIOLATION", /builtin/, { policy: { allowedBuiltins: ["fs"] } }],
  ['import "npm:is-odd@3.0.1";', "SECURITY_VIOLATION", /"npm:is-odd@3\.0\.1" is not declared/],
  ['import "npm:a@2";', "SECURITY_VIOLATION", /not declared/, { dependencies: ["npm:a@1"] }],
  ['import "jsr:a";', "SECURITY_VIOLATION", /not declared/, { dependencies: ["npm:a"] }],
  ['import "npm:a/b";', "SECURITY_VIOLATION", /blocked by the policy/, {
    dependencies: ["a"],
    policy: { blockedImports: ["a"] },
  }],
  ['import "node:fs/promises";', "SECURITY_VIOLATION", /blocked by the policy/, {
    policy: { allowedBuiltins: ["fs/promises"], blockedImports: ["fs"] },
  }],
  [
    'import "./nope.ts"; import "node:fs";',
    "SECURITY_VIOLATION",
    /package: main\.ts:1:28: .*\nmain\.ts:1:8: cannot find/,
  ],
  ['import "\\ud800";', "INVALID_TASK", /cannot find module "\\ud800"/],
];

for (const [source, code, message, options] of REFUSED) {
  Deno.test(`openPackage() refuses ${source}`, () => {
    assert.throws(() => graph(source, options), (error) => {
      assert.ok(error instanceof TaskError, error instanceof Error ? error.stack ?? error.message : String(error));
      assert.match(error.message, message);
      assert.equal(error.code, code);
      return true;
    });
  });
}

Deno.test("openPackage() resolves imports from the folder of the importer", () => {
  assert.deepEqual(graph('import "./a.ts"; import "../data.json" with { type: "json" };', {}, "lib/main.ts"), [
    "lib/a.ts",
    "data.json",
  ]);
});

Deno.test("openPackage() names ten refused imports and counts the rest", () => {
  const source = Array.from({ length: 14 }, (_, index) => `import "./x${index}.ts";`).join("\n");
  assert.throws(() => graph(source), (error) => {
    assert.ok(error instanceof TaskError);
    assert.match(error.message, /main\.ts:10:8: .*\n… and 4 more$/);
    return true;
  });
});

Deno.test("isNodeBuiltin() knows every builtin of the runtime", () => {
  for (const name of builtinModules) assert.ok(isNodeBuiltin(name.replace(/^node:/, "")), name);
});

Deno.test("parseModule() reads every module of this project", async () => {
  const root = new URL("../../", import.meta.url);
  let count = 0;
  for (const folder of ["src/", "workers/", "scripts/", "protos/generated/", "tests/"]) {
    for await (const url of modulesBelow(new URL(folder, root))) {
      parseModule(url.href.slice(root.href.length), await Deno.readFile(url), DEFAULT_PACKAGE_LIMITS);
      count++;
    }
  }
  assert.ok(count > 100, `${count} modules`);
});

async function* modulesBelow(folder: URL): AsyncGenerator<URL> {
  for await (const entry of Deno.readDir(folder)) {
    if (entry.isDirectory) yield* modulesBelow(new URL(`${entry.name}/`, folder));
    else if (entry.name.endsWith(".ts")) yield new URL(entry.name, folder);
  }
}
