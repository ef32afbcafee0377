/**
 * Bundles `workers/` into `dist/sandbox/`, the one folder that a sandbox host may read: single files, so that a host
 * starts fast and needs neither a package cache nor the sources. What its worker seldom needs lies beside them, in
 * `assets/`, and each Python version in `python/`.
 *
 * Usage: `deno task bundle`
 *
 * @module
 */

import { builtinModules } from "node:module";
import { assetFiles } from "./assets.ts";
import { pythonFiles } from "./python_files.ts";

const ROOT = new URL("../", import.meta.url);
const OUTPUT = new URL("dist/sandbox/", ROOT);
const ASSETS = new URL("assets/", OUTPUT);
const ENTRYPOINTS = [
  "host",
  "worker",
  "task_worker",
  "network_task_worker",
  "python_worker",
  "install_worker",
  "package_reader",
  "package_validator",
  "probe_worker",
  "write_worker",
];

/** Stands in for every module that sandboxed code must not load. */
const DENIED_MODULE = `throw new Error("Cannot import module: this sandbox does not offer it");\n`;

if (import.meta.main) await bundle();

/** Writes the bundles, the import map and the assets beside them. @throws when the sources do not bundle */
async function bundle(): Promise<void> {
  await Deno.mkdir(ASSETS, { recursive: true });
  for (const name of ENTRYPOINTS) {
    const result = await Deno.bundle({
      entrypoints: [new URL(`workers/${name}.ts`, ROOT).pathname],
      platform: "browser",
      format: "esm",
      minify: true,
      write: false,
    });
    const [file] = result.outputFiles ?? [];
    if (!result.success || file?.contents === undefined) {
      throw new Error(`Cannot bundle workers/${name}.ts: ${result.errors.map(({ text }) => text).join("; ")}`);
    }
    await writeIfChanged(new URL(`${name}.js`, OUTPUT), file.contents);
  }
  const encoder = new TextEncoder();
  await writeIfChanged(new URL("denied.js", OUTPUT), encoder.encode(DENIED_MODULE));
  await writeIfChanged(
    new URL("import_map.json", OUTPUT),
    encoder.encode(JSON.stringify({ imports: deniedImports() })),
  );
  for (const [name, contents] of await assetFiles()) await writeIfChanged(new URL(name, ASSETS), contents);
  for (const [path, contents] of await pythonFiles()) {
    const url = new URL(path, OUTPUT);
    await Deno.mkdir(new URL("./", url), { recursive: true });
    await writeIfChanged(url, contents);
  }
}

/** Every builtin of Node, under each name that it can be imported by. */
function deniedImports(): Record<string, string> {
  const imports: Record<string, string> = {};
  for (const builtin of builtinModules) {
    const bare = builtin.replace(/^node:/, "");
    for (const specifier of [bare, `node:${bare}`]) {
      imports[specifier] = "./denied.js";
      imports[`${specifier}/`] = "./denied.js/";
    }
  }
  return imports;
}

/** A bundle that did not change keeps its file, so that hosts that start at this moment read a whole one. */
async function writeIfChanged(url: URL, contents: Uint8Array): Promise<void> {
  const current = await Deno.readFile(url).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (
    current !== undefined && current.length === contents.length && current.every((byte, at) => byte === contents[at])
  ) {
    return;
  }
  const temporary = new URL(`${url.href}.${crypto.randomUUID()}`);
  await Deno.writeFile(temporary, contents);
  await Deno.rename(temporary, url);
}
