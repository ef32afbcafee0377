/**
 * Finds what an entry point names among the files of a package.
 * @module
 */

import type { EntryPoint } from "./entry_point.ts";
import { show, showList } from "./limits.ts";
import type { Manifest, PackageRuntime } from "./manifest.ts";
import { TaskError } from "../task_error.ts";

/** What is run. */
export type PackageEntry =
  /** An export of a TypeScript or JavaScript module; the path counts from the code root. */
  | { readonly kind: "module"; readonly path: string; readonly exportName: string }
  /** An attribute of a Python module, dotted where it lies in a class. */
  | { readonly kind: "python"; readonly path: string; readonly module: string; readonly attribute: string }
  /** The package's serialized object itself. */
  | { readonly kind: "object" };

/** The package, as far as finding its entry goes. */
export interface EntryContext {
  readonly runtime: PackageRuntime;
  /** By path from the code root. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly manifest: Manifest | undefined;
  readonly hasObject: boolean;
}

/** Extensions of modules that can be run. */
export const MODULE_EXTENSIONS = [".ts", ".mts", ".js", ".mjs"] as const;
const MAIN_NAMES = ["main", "mod", "index"];

/** Whether a path is that of a TypeScript or JavaScript module, declarations aside. */
export function isModulePath(path: string): boolean {
  return MODULE_EXTENSIONS.some((extension) => path.endsWith(extension)) && !/\.d\.m?ts$/.test(path);
}

/**
 * Finds the entry.
 * @throws {TaskError} `INVALID_TASK` saying what the package has instead
 */
export function resolveEntry(entry: EntryPoint, context: EntryContext): PackageEntry {
  return context.runtime === "deno" ? resolveModule(entry, context) : resolvePython(entry, context);
}

function resolveModule(entry: EntryPoint, { files, manifest }: EntryContext): PackageEntry {
  const modules = [...files.keys()].filter(isModulePath);
  switch (entry.kind) {
    case "main":
      return { kind: "module", path: mainModule(modules, manifest, MODULE_EXTENSIONS), exportName: "default" };
    case "name":
      return { kind: "module", path: mainModule(modules, manifest, MODULE_EXTENSIONS), exportName: entry.name };
    case "module":
      if (!modules.includes(entry.path)) throw notFound(`there is no module ${show(entry.path)}`, modules);
      return { kind: "module", path: entry.path, exportName: entry.name };
    case "python":
    case "dotted":
      throw notFound("it is a Python entry point, and the package is TypeScript or JavaScript", modules);
  }
}

function resolvePython(entry: EntryPoint, { files, manifest, hasObject }: EntryContext): PackageEntry {
  const modules = [...files.keys()].filter((path) => path.endsWith(".py"));
  switch (entry.kind) {
    case "main": {
      if (hasObject) return { kind: "object" };
      return pythonEntry(mainModule(modules, manifest, [".py"]), "main");
    }
    case "name":
      return pythonEntry(mainModule(modules, manifest, [".py"]), entry.name);
    case "python": {
      const path = pythonPath(entry.module.split("."), files);
      if (path === undefined) throw notFound(`there is no Python module ${show(entry.module)}`, modules);
      return pythonEntry(path, entry.attribute);
    }
    case "dotted":
      // The longest prefix that is a module; what follows are attributes.
      for (let length = entry.names.length - 1; length > 0; length--) {
        const path = pythonPath(entry.names.slice(0, length), files);
        if (path !== undefined) return pythonEntry(path, entry.names.slice(length).join("."));
      }
      throw notFound(`there is no Python module at the start of ${show(entry.names.join("."))}`, modules);
    case "module":
      throw notFound("it names a TypeScript or JavaScript module, and the package is Python", modules);
  }
}

function pythonPath(names: readonly string[], files: ReadonlyMap<string, Uint8Array>): string | undefined {
  const base = names.join("/");
  return [`${base}/__init__.py`, `${base}.py`].find((path) => files.has(path));
}

function pythonEntry(path: string, attribute: string): PackageEntry {
  const module = path.replace(/(?:\/__init__)?\.py$/, "").replaceAll("/", ".");
  return { kind: "python", path, module, attribute };
}

/** The module that an entry point without a path means. */
function mainModule(modules: readonly string[], manifest: Manifest | undefined, extensions: readonly string[]): string {
  const [only, ...others] = modules;
  if (only !== undefined && others.length === 0) return only;
  const listed = (manifest?.entry_files ?? []).map((path) => path.replace(/^(?:\.\/|code\/)+/, ""))
    .filter((path) => modules.includes(path));
  if (listed[0] !== undefined && listed.length === 1) return listed[0];
  for (const name of MAIN_NAMES) {
    const found = extensions.map((extension) => name + extension).filter((path) => modules.includes(path));
    if (found[0] !== undefined && found.length === 1) return found[0];
  }
  throw notFound("it names no module, and the package has no main one", modules);
}

function notFound(state: string, modules: readonly string[]): TaskError {
  const there = modules.length === 0 ? "it has no modules" : `it has ${showList(modules)}`;
  return new TaskError("INVALID_TASK", `Cannot find entry point: ${state}; ${there}`);
}
