import assert from "node:assert/strict";
import { checkPaths, findOwnPaths } from "../../scripts/check_paths.ts";

/** Joined here, so that this file holds none. */
const path = (...segments: string[]) => `/${segments.join("/")}`;

Deno.test("findOwnPaths() finds folders of one person or machine, with their line", () => {
  const text = `first\nsee ${path("home", "ann", "notes.txt")}\n"${path("work", "repo")}"`;
  assert.deepEqual(findOwnPaths(text), [
    { line: 2, path: path("home", "ann") },
    { line: 3, path: path("work", "repo") },
  ]);
});

for (
  const text of [
    "https://example.com/home/ann",
    "./work/thing",
    "${folder}/home/x",
    path("usr", "local", "bin", "deno"),
    path("tmp", "rexec"),
    path("workers", "nodes"),
    "a/work/b",
  ]
) {
  Deno.test(`findOwnPaths() leaves ${text} alone`, () => assert.deepEqual(findOwnPaths(text), []));
}

Deno.test("checkPaths() names file and line, and skips what is no source", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/docs/dist`, { recursive: true });
    await Deno.writeTextFile(`${folder}/docs/a.md`, `\n${path("Users", "ann", "a")}\n`);
    await Deno.writeTextFile(`${folder}/docs/dist/b.js`, path("Users", "ann", "b"));
    await Deno.writeTextFile(`${folder}/docs/c.png`, path("Users", "ann", "c"));
    assert.deepEqual(await checkPaths(new URL(`file://${folder}/`)), [`docs/a.md:2: ${path("Users", "ann")}`]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
