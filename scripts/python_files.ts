/**
 * What the sandbox needs of each Python version: Pyodide from the npm package that `deno.json` pins as `pyodide_VERSION`,
 * an entry that loads it, and our own library, which is the same for all.
 *
 * @module
 */

import { zipSync } from "fflate";
import { PYTHON_VERSIONS, type PythonVersion } from "../workers/protocol.ts";

const LIBRARY = new URL("../workers/python/lib/", import.meta.url);
/** The oldest date that a zip can have: the same sources give the same bytes. */
const ZIP_DATE = new Date(1980, 0, 1);

const NOTICE =
  "Pyodide, Copyright (C) 2019-2025 Pyodide contributors and Mozilla, MPL-2.0, from npm:pyodide; with CPython, " +
  "Copyright (c) 2001 Python Software Foundation, PSF-2.0.\n";

/** The lock file of Pyodide's own package distribution, which no sandbox can reach. */
interface LockFile {
  readonly info: Readonly<Record<string, unknown>>;
}

/** The files of each version's folder, by path from the bundle's folder. */
export async function pythonFiles(): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const library = await libraryZip();
  for (const version of PYTHON_VERSIONS) {
    for (const [name, contents] of await versionFiles(version)) files.set(`python/${version}/${name}`, contents);
    files.set(`python/${version}/library.zip`, library);
  }
  files.set("python/NOTICE.txt", new TextEncoder().encode(NOTICE));
  return files;
}

async function versionFiles(version: PythonVersion): Promise<[string, Uint8Array][]> {
  const folder = new URL("./", import.meta.resolve(`pyodide_${version}`));
  const read = (name: string) => Deno.readFile(new URL(name, folder));
  const { info }: LockFile = JSON.parse(await Deno.readTextFile(new URL("pyodide-lock.json", folder)));
  const lockFile = { info, packages: {} };
  const factory = await moduleFactory(folder);
  const encoder = new TextEncoder();
  return [
    ["pyodide.asm.wasm", await read("pyodide.asm.wasm")],
    ["python_stdlib.zip", await read("python_stdlib.zip")],
    ["pyodide.mjs", await read("pyodide.mjs")],
    ["pyodide.asm.mjs", encoder.encode(factory)],
    ["worker.js", encoder.encode(entryOf(lockFile, factory.includes("makeMemorySnapshot")))],
  ];
}

/**
 * The factory that Emscripten made, as a module. Older versions have it as a script for browsers and Node, which takes
 * names of Node's where it finds them, and is found by a global name.
 */
async function moduleFactory(folder: URL): Promise<string> {
  try {
    return await Deno.readTextFile(new URL("pyodide.asm.mjs", folder));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const script = await Deno.readTextFile(new URL("pyodide.asm.js", folder));
  return `${script}\nexport default _createPyodideModule;\n`;
}

/** The order counts: the first module locks the worker, before any of Pyodide's is evaluated. */
function entryOf(lockFile: object, hasSnapshots: boolean): string {
  return `import { startPython } from "../../python_worker.js";
import createPyodideModule from "./pyodide.asm.mjs";
import { loadPyodide } from "./pyodide.mjs";
const lockFile = ${JSON.stringify(lockFile)};
await startPython({ loadPyodide, createPyodideModule, lockFile, hasSnapshots: ${hasSnapshots} });
`;
}

async function libraryZip(): Promise<Uint8Array> {
  const sources: Record<string, Uint8Array> = {};
  for (const path of (await listFiles(LIBRARY)).sort()) {
    if (path.endsWith(".py")) sources[path] = await Deno.readFile(new URL(path, LIBRARY));
  }
  return zipSync(sources, { mtime: ZIP_DATE, level: 6 });
}

async function listFiles(folder: URL, prefix = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) paths.push(...await listFiles(new URL(`${name}/`, folder), `${prefix}${name}/`));
    else paths.push(`${prefix}${name}`);
  }
  return paths;
}
