/**
 * numpy for the sandbox's Python 3.11, as emscripten-forge builds it: a package of conda's, within one of npm's.
 * @module
 */

import assert from "node:assert/strict";
// Importing anything of it is what makes Deno fetch it.
import numpyPackage from "@emscripten-forge/numpy/package.json" with { type: "json" };
import { DEFAULT_PACKAGE_BOUNDS } from "../../src/client/package_bounds.ts";
import { readFolder } from "../../src/client/read_folder.ts";
import { wheelBytes } from "./wheels.ts";

const NUMPY_VERSION = "2.1.1";

/** Of the sandbox's Python 3.11. */
const TAG = "cp311-cp311-emscripten_3_1_46_wasm32";
const SITE_PACKAGES = "lib/python3.11/site-packages";

/** Puts numpy's wheel into a folder of packages: conda's build has all that one has but its tag. */
export async function addNumpy(folder: string): Promise<void> {
  const files = await numpyFiles();
  const info = `numpy-${NUMPY_VERSION}.dist-info`;
  const metadata = new TextDecoder().decode(files.get(`${info}/METADATA`));
  const own = [...files].filter(([path]) => path !== `${info}/RECORD`);
  const wheel = `numpy-${NUMPY_VERSION}-${TAG}.whl`;
  const bytes = await wheelBytes(wheel, {
    files: Object.fromEntries(own),
    info: {
      METADATA: metadata,
      WHEEL: `Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\nTag: ${TAG}\n`,
    },
  });
  await Deno.writeFile(`${folder}/${wheel}`, bytes);
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
async function numpyFiles(): Promise<ReadonlyMap<string, Uint8Array>> {
  const folder = await Deno.makeTempDir({ prefix: "rexec-numpy-" });
  try {
    await unpackNumpy(folder);
    return (await readFolder(folder, DEFAULT_PACKAGE_BOUNDS)).files;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
