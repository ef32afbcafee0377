/**
 * numpy for the sandbox's Python 3.11, as emscripten-forge builds it: a package of conda's, within one of npm's.
 * @module
 */

import assert from "node:assert/strict";
// Importing anything of it is what makes Deno fetch it.
import numpyPackage from "@emscripten-forge/numpy/package.json" with { type: "json" };

export const NUMPY_VERSION = "2.1.1";

const SITE_PACKAGES = "lib/python3.11/site-packages";

/** Puts numpy into a folder of packages, as an installer leaves it, without its own tests. */
export async function installNumpy(folder: string): Promise<void> {
  const [archive = ""] = numpyPackage.keywords;
  const { pathname } = new URL(import.meta.resolve(`@emscripten-forge/numpy/pkg/${archive}`));
  await Deno.mkdir(folder, { recursive: true });
  const levels = SITE_PACKAGES.split("/").length;
  const { success, stderr } = await new Deno.Command("tar", {
    args: ["-xzf", pathname, "-C", folder, `--strip-components=${levels}`, "--exclude=*/tests", SITE_PACKAGES],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** The files of numpy and of its metadata by paths from `site-packages`. */
export async function numpyFiles(): Promise<Map<string, Uint8Array>> {
  const folder = await Deno.makeTempDir({ prefix: "rexec-numpy-" });
  try {
    await installNumpy(folder);
    return await readFiles(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readFiles(folder: string, prefix = ""): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${prefix}`)) {
    const path = `${prefix}${name}`;
    if (isDirectory) { for (const [below, content] of await readFiles(folder, `${path}/`)) files.set(below, content); }
    else files.set(path, await Deno.readFile(`${folder}/${path}`));
  }
  return files;
}
