import assert from "node:assert/strict";
import {
  entryFiles,
  type LoadedBy,
  type PackageFields,
  resolveSubpath,
} from "../../workers/package/npm/package_fields.ts";

const FILES = ["index.js", "main.cjs", "module.mjs", "lib/index.js", "lib/a.js", "lib/b.json", "lib/deep/c.js", "x.js"];
const has = (path: string) => FILES.includes(path);

const ROWS: readonly [what: string, PackageFields, subpath: string, by: LoadedBy, expected: string | undefined][] = [
  ["nothing: index.js", {}, ".", "import", "index.js"],
  ["main without an extension", { main: "./lib" }, ".", "require", "lib/index.js"],
  ["module before main", { main: "main.cjs", module: "module.mjs" }, ".", "import", "module.mjs"],
  ["no module where it is required", { main: "main.cjs", module: "module.mjs" }, ".", "require", "main.cjs"],
  ["a main that is not there", { main: "gone.js" }, ".", "import", "index.js"],
  ["any file without exports", {}, "./lib/a", "import", "lib/a.js"],
  ["no path out of the package", {}, "./../x.js", "import", undefined],
  ["exports as a text", { exports: "./x.js", main: "main.cjs" }, ".", "import", "x.js"],
  ["no subpath beside a text", { exports: "./x.js" }, "./lib/a.js", "import", undefined],
  [
    "exports as conditions",
    { exports: { require: "./main.cjs", import: "./module.mjs" } },
    ".",
    "import",
    "module.mjs",
  ],
  [
    "conditions for require",
    { exports: { require: "./main.cjs", import: "./module.mjs" } },
    ".",
    "require",
    "main.cjs",
  ],
  ["the first condition that holds", { exports: { default: "./x.js", import: "./module.mjs" } }, ".", "import", "x.js"],
  ["never what is for Node", { exports: { node: "./x.js", default: "./index.js" } }, ".", "import", "index.js"],
  ["conditions in conditions", { exports: { ".": { browser: { import: "./x.js" } } } }, ".", "import", "x.js"],
  [
    "the next condition where none within holds",
    {
      exports: { browser: { node: "./index.js" }, default: "./x.js" },
    },
    ".",
    "import",
    "x.js",
  ],
  ["a pattern", { exports: { "./*": "./lib/*.js" } }, "./deep/c", "import", "lib/deep/c.js"],
  [
    "the longest pattern",
    { exports: { "./*": "./*.js", "./lib/*": "./lib/deep/*.js" } },
    "./lib/c",
    "import",
    "lib/deep/c.js",
  ],
  [
    "the longest pattern, wherever it stands",
    {
      exports: { "./lib/*": "./lib/deep/*.js", "./*": "./*.js" },
    },
    "./lib/c",
    "import",
    "lib/deep/c.js",
  ],
  ["a key before a pattern", { exports: { "./*": "./*.js", "./a": "./lib/a.js" } }, "./a", "import", "lib/a.js"],
  ["what a pattern forbids", { exports: { "./*": "./lib/*", "./deep/*": null } }, "./deep/c.js", "import", undefined],
  ["no star that climbs out", { exports: { "./*": "./lib/*" } }, "./../../x.js", "import", undefined],
  ["no target outside", { exports: "../x.js" }, ".", "import", undefined],
  ["no other package as a target", { exports: "other" }, ".", "import", undefined],
  ["the first target of a list", { exports: [{ node: "./index.js" }, "./x.js"] }, ".", "import", "x.js"],
  ["no file that is not there", { exports: "./gone.js" }, ".", "import", undefined],
  ["nothing of the prototype", { exports: { ".": "./x.js" } }, "constructor", "import", undefined],
];

for (const [what, fields, subpath, by, expected] of ROWS) {
  Deno.test(`resolveSubpath() gives ${what}`, () => {
    assert.equal(resolveSubpath(fields, subpath, { has, by }), expected);
  });
}

Deno.test("resolveSubpath() gives up on conditions that are nested without end", () => {
  let exports: unknown = "./x.js";
  for (let depth = 0; depth < 10_000; depth++) exports = { default: exports };
  assert.equal(resolveSubpath({ exports }, ".", { has, by: "import" }), undefined);
});

Deno.test("entryFiles() gives what importers may reach", () => {
  assert.deepEqual([...entryFiles({}, FILES)], FILES);
  assert.deepEqual(
    [...entryFiles({ exports: { ".": "./x.js", "./lib/*": { default: "./lib/*.js" } } }, FILES)].sort(),
    [
      "lib/a.js",
      "lib/deep/c.js",
      "lib/index.js",
      "x.js",
    ],
  );
});
