import assert from "node:assert/strict";
import { openPackage, type OpenPackageOptions, type ValidatedPackage } from "../../workers/package/mod.ts";
import { TaskError, type TaskErrorCode } from "../../workers/task_error.ts";
import packages from "../data/packages.json" with { type: "json" };
import { bytesOf, writeZip } from "../support/zip_writer.ts";

type Files = Readonly<Record<string, string>>;

function open(files: Files | string, options?: OpenPackageOptions): ValidatedPackage {
  if (typeof files === "string") return openPackage(bytesOf(files), options);
  return openPackage(writeZip(Object.entries(files).map(([name, data]) => ({ name, data }))), options);
}

function refuses(files: Files | string, options: OpenPackageOptions, code: TaskErrorCode, message: RegExp): void {
  assert.throws(() => open(files, options), (error) => {
    assert.ok(error instanceof TaskError, error instanceof Error ? error.stack ?? error.message : String(error));
    assert.match(error.message, message);
    assert.equal(error.code, code);
    return true;
  });
}

const FUNCTION = "export default () => 1;\nexport const other = 2;\n";
const PYTHON = "def main(x):\n    return x\n";
const MANIFEST = { version: "1.0", type: "code_package" };

const ENTRIES: [string, Files | string, string, string][] = [
  ["a single module, by default", FUNCTION, "", "main.ts:default"],
  ["a single module, default by name", FUNCTION, "default", "main.ts:default"],
  ["a single module, by export", FUNCTION, "other", "main.ts:other"],
  ["a single module, by file", FUNCTION, "main.ts", "main.ts:default"],
  ["a single module, by file and export", FUNCTION, "main.ts:other", "main.ts:other"],
  ["a file and export after #", { "a/b.ts": FUNCTION }, "a/b.ts#other", "a/b.ts:other"],
  ["the only module of a package", { "lib/x.js": FUNCTION, "README.md": "x" }, "", "lib/x.js:default"],
  ["main.ts among others", { "main.ts": FUNCTION, "b.ts": FUNCTION }, "", "main.ts:default"],
  ["mod.js among others", { "mod.js": FUNCTION, "b.ts": FUNCTION }, "other", "mod.js:other"],
  ["a module under code/", { "code/a.ts": FUNCTION, "x.ts": "(" }, "./a.ts", "a.ts:default"],
  [
    "the entry file of the manifest",
    {
      "manifest.json": JSON.stringify({ ...MANIFEST, entry_files: ["code/b.ts"] }),
      "code/a.ts": FUNCTION,
      "code/b.ts": FUNCTION,
    },
    "",
    "b.ts:default",
  ],
  [
    "an export that another module may have",
    { "main.ts": 'export * from "./b.ts";', "b.ts": FUNCTION },
    "other",
    "main.ts:other",
  ],
  ["an export list", "const a = 1; export { a as b };", "b", "main.ts:b"],
  ["a destructured export", "export const { a: [b], ...c } = { a: [1] };", "c", "main.ts:c"],
  ["an exported class", "export class Node {}", "Node", "main.ts:Node"],
  ["Python's main", { "main.py": PYTHON }, "", "main.py main:main"],
  ["Python's function by name", { "main.py": PYTHON, "b.py": "" }, "go", "main.py main:go"],
  ["a module and function", { "a/b.py": PYTHON }, "a.b:main", "a/b.py a.b:main"],
  ["a package and method", { "a/__init__.py": PYTHON }, "a:Cls.run", "a/__init__.py a:Cls.run"],
  ["a dotted function", { "a/b.py": PYTHON, "a/__init__.py": "" }, "a.b.main", "a/b.py a.b:main"],
  ["a dotted method", { "a/b.py": PYTHON, "a/__init__.py": "" }, "a.b.Cls.run", "a/b.py a.b:Cls.run"],
  ["Python beside TypeScript", { "a.py": PYTHON, "a.ts": FUNCTION }, "a:main", "a.py a:main"],
  ["TypeScript beside Python", { "a.py": PYTHON, "a.ts": FUNCTION }, "a.ts", "a.ts:default"],
  ["a serialized object", { "serialized_object.pkl": "gAQu", "code/a.py": "" }, "", "object"],
];

for (const [title, files, entryPoint, expected] of ENTRIES) {
  Deno.test(`openPackage() finds ${title}`, () => {
    const { entry } = open(files, { entryPoint });
    const found = entry.kind === "module"
      ? `${entry.path}:${entry.exportName}`
      : entry.kind === "python"
      ? `${entry.path} ${entry.module}:${entry.attribute}`
      : "object";
    assert.equal(found, expected);
  });
}

const NO_ENTRIES: [string, Files | string, string, RegExp][] = [
  ["an export that is not there", FUNCTION, "nope", /"main\.ts" has no export "nope"; it exports "default", "other"/],
  ["an export of types", "export interface A {}\nexport type B = 1;", "A", /no export "A"; it exports nothing/],
  [
    "a default that export * does not hand on",
    { "main.ts": 'export * from "./b.ts";', "b.ts": FUNCTION },
    "",
    /no export "default"/,
  ],
  ["a module that is not there", { "a.ts": FUNCTION }, "b.ts:x", /no module "b\.ts"; it has "a\.ts"/],
  ["no module of many", { "a.ts": FUNCTION, "b.ts": FUNCTION }, "", /no main one; it has "a\.ts", "b\.ts"/],
  ["a path that leaves", FUNCTION, "../a.ts", /leaves the package/],
  ["an absolute path", FUNCTION, "/a.ts", /leaves the package/],
  ["a name that is none", FUNCTION, "main.ts:a b", /"a b" is not a name/],
  ["no name after the colon", FUNCTION, "main.ts:", /no name follows/],
  ["a Python name that is none", { "a.py": PYTHON }, "a:b-c", /none of the known forms/],
  ["no known form", FUNCTION, "a b c", /none of the known forms/],
  ["a # after what is no file", FUNCTION, "a#b", /no TypeScript or JavaScript file/],
  ["a very long text", FUNCTION, "a".repeat(1_001), /longer than 1000/],
  ["Python of a TypeScript package", FUNCTION, "a.b:c", /is a Python entry point/],
  ["TypeScript of a Python package", { "a.py": PYTHON }, "a.ts", /the package is Python/],
  ["a Python module that is not there", { "a.py": PYTHON }, "b:c", /no Python module "b"; it has "a\.py"/],
  ["a dotted name of nothing", { "a.py": PYTHON }, "b.c.d", /at the start of "b\.c\.d"/],
];

for (const [title, files, entryPoint, message] of NO_ENTRIES) {
  Deno.test(`openPackage() does not find ${title}`, () => refuses(files, { entryPoint }, "INVALID_TASK", message));
}

const BROKEN: [string, Files | string, TaskErrorCode, RegExp][] = [
  ["nothing", "", "INVALID_TASK", /it is empty/],
  ["a zip without files", {}, "INVALID_TASK", /no files/],
  ["text that is binary", "\0\0", "INVALID_TASK", /neither a zip nor/],
  ["a package without code", { "README.md": "x" }, "INVALID_TASK", /has no code/],
  ["two languages", { "a.py": "", "a.ts": "" }, "INVALID_TASK", /must say which "runtime"/],
  ["a manifest that is no JSON", { "manifest.json": "{", "a.ts": "" }, "INVALID_TASK", /manifest\.json is not JSON/],
  [
    "a manifest with faults, all named",
    { "manifest.json": '{"version":"2","type":1,"runtime":"java"}', "a.ts": "" },
    "INVALID_TASK",
    /version: .*; type: .*; runtime: /,
  ],
  [
    "a manifest that is a list",
    { "manifest.json": "[]", "a.ts": "" },
    "INVALID_TASK",
    /manifest\.json: .*expected object/,
  ],
  [
    "an object that is missing",
    { "manifest.json": JSON.stringify({ ...MANIFEST, has_serialized_object: true }), "a.py": "" },
    "INVALID_TASK",
    /announces serialized_object/,
  ],
  [
    "dependencies that are none",
    { "manifest.json": JSON.stringify({ ...MANIFEST, dependencies: ["file:///x", "npm:a"] }), "a.ts": FUNCTION },
    "INVALID_TASK",
    /Cannot read dependencies: "file:\/\/\/x" should look/,
  ],
  ["JSX", { "a.ts": FUNCTION, "b.tsx": "" }, "INVALID_TASK", /"b\.tsx": JSX/],
  ["CommonJS", { "a.ts": FUNCTION, "b.cjs": "" }, "INVALID_TASK", /"b\.cjs": CommonJS/],
  ["a syntax error", "\n\nexport const = 1;", "INVALID_TASK", /^main\.ts:3:14: Unexpected token$/],
  ["a syntax error that nothing reaches", { "main.ts": FUNCTION, "x.js": "(" }, "INVALID_TASK", /^x\.js:1:2: /],
  ["types in JavaScript", { "main.js": "let a: number;" }, "INVALID_TASK", /^main\.js:1:6: /],
  ["require", 'import a = require("fs");', "INVALID_TASK", /^main\.ts:1:1: import = require\(\) is CommonJS/],
  ["export =", "export = 1;", "INVALID_TASK", /^main\.ts:1:1: export = is CommonJS/],
];

for (const [title, files, code, message] of BROKEN) {
  Deno.test(`openPackage() refuses ${title}`, () => refuses(files, {}, code, message));
}

Deno.test("openPackage() keeps what a manifest says beyond the format", () => {
  const manifest = {
    ...MANIFEST,
    runtime: "python",
    python_version: "3.11.2",
    author: "me",
    permissions: { net: ["a.b"] },
  };
  const found =
    open({ "manifest.json": JSON.stringify(manifest), "code/a.py": PYTHON }, { entryPoint: "a:main" }).manifest;
  assert.equal(found?.author, "me");
  assert.deepEqual(found?.permissions, { net: ["a.b"] });
  assert.deepEqual(found?.entry_files, []);
});

Deno.test("openPackage() collects Python requirements from everywhere, each once", () => {
  const found = open({
    "manifest.json": JSON.stringify({ ...MANIFEST, pip_requirements: ["numpy>=1", "attrs"] }),
    "requirements.txt": "# what it needs\r\nattrs\n\nscipy==1.0 # exactly\n",
    "code/a.py": PYTHON,
  }, { entryPoint: "a:main", dependencies: ["numpy>=1"] });
  assert.deepEqual(found.runtime === "python" && found.requirements, ["numpy>=1", "attrs", "scipy==1.0"]);
});

Deno.test("openPackage() applies the limit of a module to a package that is one", () => {
  refuses(
    "// xxxxxxx",
    { limits: { maxModuleBytes: 5 } },
    "RESOURCE_LIMIT",
    /single module is limited to 5 bytes, and it has 10/,
  );
  refuses(
    "// xxxxxxx",
    { limits: { maxModuleBytes: 5, maxCompressedBytes: 9 } },
    "RESOURCE_LIMIT",
    /its size is limited to 9/,
  );
});

for (const [id, { title, status, package: base64 }] of Object.entries(packages.corpus)) {
  Deno.test(`openPackage() answers as the hostile corpus expects: ${id}, ${title}`, () => {
    const answers: Partial<Record<TaskErrorCode | "SUCCESS", string>> = { INVALID_TASK: "ERROR" };
    let outcome: TaskErrorCode | "SUCCESS" = "SUCCESS";
    try {
      openPackage(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
    } catch (error) {
      assert.ok(error instanceof TaskError, String(error));
      outcome = error.code;
    }
    assert.ok(status.includes(answers[outcome] ?? outcome), `${outcome} is not one of ${status.join(", ")}`);
  });
}
