/**
 * numpy for the sandbox's Python 3.11, as emscripten-forge builds it: a package of conda's, within one of npm's.
 * @module
 */

import assert from "node:assert/strict";
import { writeZip } from "./zip_writer.ts";
// Importing anything of it is what makes Deno fetch it.
import numpyPackage from "@emscripten-forge/numpy/package.json" with { type: "json" };

const NUMPY_VERSION = "2.1.1";

/** Of the sandbox's Python 3.11. */
const TAG = "cp311-cp311-emscripten_3_1_46_wasm32";
const SITE_PACKAGES = "lib/python3.11/site-packages";

/** Puts numpy's wheel into a folder of packages: conda's build has all that one has but its tag. */
export async function addNumpy(folder: string): Promise<void> {
  const files = await numpyFiles();
  const info = `numpy-${NUMPY_VERSION}.dist-info`;
  files.set(
    `${info}/WHEEL`,
    new TextEncoder().encode(
      `Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\nTag: ${TAG}\n`,
    ),
  );
  const record: string[] = [];
  for (const [path, content] of files) {
    if (path === `${info}/RECORD`) continue;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content as Uint8Array<ArrayBuffer>)); // From a file.
    record.push(`${path},sha256=${digest.toBase64({ alphabet: "base64url", omitPadding: true })},${content.length}\n`);
  }
  files.set(`${info}/RECORD`, new TextEncoder().encode(`${record.join("")}${info}/RECORD,,\n`));
  await Deno.writeFile(
    `${folder}/numpy-${NUMPY_VERSION}-${TAG}.whl`,
    await writeZip([...files].map(([name, data]) => ({ name, data }))),
  );
}

/** Puts numpy into a folder, without its own tests. */
async function unpackNumpy(folder: string): Promise<void> {
  const [archive = ""] = numpyPackage.keywords;
  const { pathname } = new URL(import.meta.resolve(`@emscripten-forge/numpy/pkg/${archive}`));
  const levels = SITE_PACKAGES.split("/").length;
  const { success, stderr } = await new Deno.Command("tar", {
    args: ["-xzf", pathname, "-C", folder, `--strip-components=${levels}`, "--exclude=*/tests", SITE_PACKAGES],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** The files of numpy and of its metadata by paths from `site-packages`. */
async function numpyFiles(): Promise<Map<string, Uint8Array>> {
  const folder = await Deno.makeTempDir({ prefix: "rexec-numpy-" });
  try {
    await unpackNumpy(folder);
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
