import assert from "node:assert/strict";
import { PackageError, packageFiles, packagePath } from "../../src/client/mod.ts";
import { openPackage } from "../../workers/package/mod.ts";
import { TestFolder } from "../fakes/folder.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const MODULE = "export default (n: number) => 2 * n;";

/** Paths that the service finds in a package. */
function pathsOf(codePackage: Uint8Array): string[] {
  return [...openPackage(codePackage).files.keys()];
}

Deno.test("packageFiles() makes what the service opens", () => {
  const files = new Map([["main.ts", bytesOf(MODULE)], ["lib/über.ts", bytesOf("export const a = 1;")]]);
  const opened = openPackage(packageFiles(files, {
    runtime: "deno",
    entryFiles: ["main.ts"],
    dependencies: ["npm:zod@4"],
    permissions: { net: ["api.example.com"] },
  }));
  assert.deepEqual(new Map([...opened.files].map(([path, content]) => [path, Uint8Array.from(content)])), files);
  assert.equal(opened.runtime, "deno");
  assert.deepEqual(opened.manifest?.entry_files, ["main.ts"]);
  assert.deepEqual(opened.manifest?.dependencies, ["npm:zod@4"]);
  assert.deepEqual(opened.manifest?.permissions, { net: ["api.example.com"] });
});

Deno.test("packageFiles() gives the same bytes for any order of files, at any time, in any time zone", () => {
  const files: [string, Uint8Array][] = ["main.ts", "a/z.ts", "a.ts", "10", "9"].map((path) => [path, bytesOf(MODULE)]);
  const first = packageFiles(new Map(files));
  assert.deepEqual(pathsOf(first), ["10", "9", "a.ts", "a/z.ts", "main.ts"]);
  const before = Deno.env.get("TZ");
  try {
    for (const zone of ["Asia/Kolkata", "America/Los_Angeles", "Pacific/Kiritimati"]) {
      Deno.env.set("TZ", zone);
      assert.deepEqual(packageFiles(new Map(files.toReversed())), first, zone);
    }
  } finally {
    if (before === undefined) Deno.env.delete("TZ");
    else Deno.env.set("TZ", before);
  }
});

const badPaths = ["", "/etc/passwd", "../x.ts", "a//b.ts", "a/./b.ts", "a\\b.ts", "c:x.ts", "a\n.ts"];

for (const path of badPaths) {
  Deno.test(`packageFiles() refuses the path ${JSON.stringify(path)}`, () => {
    const files = new Map([["main.ts", bytesOf(MODULE)], [path, bytesOf("")]]);
    assert.throws(() => packageFiles(files), (error) => {
      assert.ok(error instanceof PackageError);
      assert.ok(error.message.startsWith(`Cannot package code: the path ${JSON.stringify(path)} `), error.message);
      return true;
    });
  });
}

Deno.test("packageFiles() keeps to its bounds, and says which", () => {
  const files = new Map([["a.ts", new Uint8Array(700)], ["b.ts", crypto.getRandomValues(new Uint8Array(700))]]);
  assert.throws(() => packageFiles(new Map()), /there are no files/);
  assert.throws(() => packageFiles(files, {}, { maxFiles: 1 }), /there are 2 files, and 1 is the limit/);
  assert.throws(() => packageFiles(files, {}, { maxBytes: 1_399 }), /1400 bytes, and 1399 bytes is the limit/);
  assert.throws(() => packageFiles(files, {}, { maxPackageBytes: 800 }), /the package has \d+ bytes, and 800 bytes is/);
  assert.ok(packageFiles(files, {}, { maxFiles: 2, maxBytes: 1_400 }).length > 700);
});

Deno.test("packagePath() packages a folder without what is hidden, installed or cached", async () => {
  await using folder = await TestFolder.make({
    "main.ts": MODULE,
    "lib/text.ts": "export {};",
    "lib/.secret": "",
    ".env": "",
    ".git/config": "",
    "node_modules/x/index.js": "",
    "lib/__pycache__/x.pyc": "",
  });
  assert.deepEqual(pathsOf(await packagePath(folder.path)), ["lib/text.ts", "main.ts"]);
  assert.deepEqual(await packagePath(folder.path), await packagePath(`${folder.path}/lib/..`));
});

Deno.test("packagePath() packages a file under its own name, as the entry file", async () => {
  await using folder = await TestFolder.make({ "lib/task.ts": MODULE, "lib/other.ts": "" });
  const opened = openPackage(await packagePath(folder.file("lib/task.ts")));
  assert.deepEqual([...opened.files.keys()], ["task.ts"]);
  assert.deepEqual(opened.manifest?.entry_files, ["task.ts"]);
});

Deno.test("packagePath() says that a file or folder is Python's, and packageFiles() which Python it needs", async () => {
  await using folder = await TestFolder.make({ "lib/a.py": "", "main.py": "def main(x): return x", "data.csv": "1" });
  assert.equal(openPackage(await packagePath(folder.path)).manifest?.runtime, "python");
  const opened = openPackage(
    await packagePath(folder.file("main.py"), { manifest: { runtime: "python", pythonVersion: "3.11" } }),
  );
  assert.equal(opened.runtime, "python");
  assert.deepEqual([opened.manifest?.runtime, opened.manifest?.python_version], ["python", "3.11"]);
  await Deno.writeTextFile(folder.file("main.ts"), MODULE);
  await assert.rejects(
    async () => openPackage(await packagePath(folder.path)),
    /its manifest must say which "runtime"/,
  );
});

Deno.test("packagePath() gives the lines of requirements.txt to the manifest", async () => {
  await using folder = await TestFolder.make({
    "main.py": "def main(x): return x",
    "requirements.txt": "# ours\nnumpy==2.0  # fast\r\n\nrequests\n",
  });
  const { manifest } = openPackage(await packagePath(folder.path));
  assert.deepEqual(manifest?.pip_requirements, ["numpy==2.0", "requests"]);
});

Deno.test("packagePath() follows links that stay in the folder, and one that it is given itself", async () => {
  await using folder = await TestFolder.make({ "main.ts": MODULE, "lib/text.ts": "export {};" });
  await Deno.symlink("lib", folder.file("also"));
  await Deno.symlink("main.ts", folder.file("mod.ts"));
  assert.deepEqual(pathsOf(await packagePath(folder.path)), ["also/text.ts", "lib/text.ts", "main.ts", "mod.ts"]);
  await using elsewhere = await TestFolder.make();
  await Deno.symlink(folder.file("main.ts"), elsewhere.file("task.ts"));
  assert.deepEqual(pathsOf(await packagePath(elsewhere.file("task.ts"))), ["task.ts"]);
});

const badLinks = [
  {
    name: "a file outside",
    target: "../outside.txt",
    message: /the link "lib\/link" leaves the folder: it leads to \//,
  },
  { name: "a folder outside", target: "..", message: /the link "lib\/link" leaves the folder/ },
  { name: "a folder whose name begins like ours", target: "../code-too", message: /leaves the folder/ },
  { name: "a hidden file", target: ".env", message: /the link "lib\/link" leads to what is left out/ },
  {
    name: "a folder that it is in",
    target: "lib",
    message: /the link "lib\/link" leads back to a folder that it is in/,
  },
  { name: "the folder itself", target: ".", message: /leads back to a folder that it is in/ },
  { name: "nothing", target: "gone.ts", message: /cannot read "lib\/link": there is no such file or folder/ },
];

for (const { name, target, message } of badLinks) {
  Deno.test(`packagePath() refuses a link to ${name}`, async () => {
    await using folder = await TestFolder.make({
      "code/main.ts": MODULE,
      "code/lib/text.ts": "export {};",
      "code/.env": "secret",
      "code-too/x.ts": "",
      "outside.txt": "secret",
    });
    await Deno.symlink(folder.file(`code/${target}`), folder.file("code/lib/link"));
    await assert.rejects(packagePath(folder.file("code")), (error) => {
      assert.ok(error instanceof PackageError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("packagePath() says what is the matter with a path", async () => {
  await using folder = await TestFolder.make({ ".hidden": "" });
  await assert.rejects(packagePath(folder.file("gone")), /Cannot package code: cannot read ".*gone": there is no such/);
  await assert.rejects(packagePath(folder.path), /has no files, hidden ones aside/);
  await assert.rejects(packagePath("/dev/zero"), /"zero" is neither a file nor a folder/);
});

Deno.test("packagePath() stops reading where the bounds are reached", async () => {
  await using folder = await TestFolder.make({ "a.ts": "12345", "b.ts": "12345" });
  await assert.rejects(packagePath(folder.path, { bounds: { maxBytes: 9 } }), /more than 9 bytes, which is the limit/);
  await assert.rejects(packagePath(folder.path, { bounds: { maxFiles: 1 } }), /more than 1 files/);
});
