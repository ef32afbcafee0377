/**
 * Joins a code package with its layer of npm packages: the imports of what it declares become paths, and the modules
 * that they lead to become files beside its own.
 *
 * It needs no import map, which a process has from its start and for all that it loads: a sandbox that waits for a task
 * can take one with dependencies, and it can read these files because they are its task's own.
 *
 * @module
 */

import { type Dependency, packageOf } from "../dependencies.ts";
import { overLimit, type PackageLimits, show } from "../limits.ts";
import { decodeSource } from "../parse_module.ts";
import { TaskError } from "../../task_error.ts";
import type { DenoPackage } from "../open_package.ts";
import { replacePieces } from "./convert.ts";
import { decodeLayer, type Layer, type LayerIndex, type LayerRoot, relativePath } from "./layer_index.ts";
import { resolveSubpath } from "./package_fields.ts";

/** Where the modules of packages lie among the package's own files. */
export const PACKAGES_FOLDER = ".packages";

/** The files to write: the package's own with its imports replaced, and what they lead to. */
export function linkPackage(
  opened: Pick<DenoPackage, "files" | "modules" | "dependencies">,
  layer: Uint8Array | undefined,
  limits: PackageLimits,
): Map<string, Uint8Array> {
  if (layer === undefined) {
    const [first] = opened.dependencies;
    if (first !== undefined) throw notInstalled(first, "nothing is installed here (policy: packages.npm.allowed)");
    return new Map(opened.files);
  }
  const linker = new Linker(opened, decodeLayer(layer));
  const files = linker.link();
  let bytes = 0;
  for (const content of files.values()) bytes += content.length;
  if (bytes > limits.maxUnpackedBytes) {
    throw overLimit("its size with the packages that it imports", limits.maxUnpackedBytes, bytes, "bytes");
  }
  return files;
}

class Linker {
  readonly #opened: Pick<DenoPackage, "files" | "modules" | "dependencies">;
  readonly #index: LayerIndex;
  readonly #file: Layer["file"];
  readonly #needed = new Set<string>();

  constructor(opened: Pick<DenoPackage, "files" | "modules" | "dependencies">, { index, file }: Layer) {
    this.#opened = opened;
    this.#index = index;
    this.#file = file;
  }

  link(): Map<string, Uint8Array> {
    const { files, modules, dependencies } = this.#opened;
    for (const dependency of dependencies) {
      if (this.#rootOf(dependency) === undefined) throw notInstalled(dependency, "the task was started without it");
    }
    const taken = files.keys().find((path) => path === PACKAGES_FOLDER || path.startsWith(`${PACKAGES_FOLDER}/`));
    if (taken !== undefined) {
      throw new TaskError("INVALID_TASK", `Cannot run package: ${show(taken)} lies where installed packages do`);
    }
    const linked = new Map(files);
    for (const { path, externals } of modules) {
      const source = files.get(path);
      if (source === undefined || externals.length === 0) continue;
      const pieces = externals.map(({ specifier, start, end }) => {
        const module = this.#moduleOf(specifier);
        this.#needed.add(module);
        return { start, end, text: JSON.stringify(relativePath(path, `${PACKAGES_FOLDER}/${module}`)) };
      });
      linked.set(path, new TextEncoder().encode(replacePieces(decodeSource(path, source), pieces)));
    }
    for (const module of this.#closure()) linked.set(`${PACKAGES_FOLDER}/${module.path}`, module.content);
    // Deno asks the nearest package.json whether a file is CommonJS, and the user may have one.
    linked.set(`${PACKAGES_FOLDER}/package.json`, new TextEncoder().encode('{"type":"module"}'));
    return linked;
  }

  #rootOf({ name, version }: Pick<Dependency, "name" | "version">): LayerRoot | undefined {
    const named = this.#index.roots.filter((root) => root.name === name);
    return version === undefined ? named[0] : named.find(({ wanted }) => wanted === version) ??
      // The one without a version was declared for whatever version is imported.
      named.find(({ wanted, key }) => wanted === null || key === `${name}@${version}`);
  }

  /** The module that an import of a declared package means. */
  #moduleOf(specifier: string): string {
    const rest = specifier.replace(/^npm:\/?/i, "");
    const { name, version } = packageOf(rest);
    const root = this.#rootOf({ name, version });
    const fields = root === undefined ? undefined : this.#index.packages[root.key];
    if (root === undefined || fields === undefined) throw cannotImport(specifier, "its package is not installed");
    const subpath = rest.split("/").slice(name.startsWith("@") ? 2 : 1).join("/");
    const has = (path: string) => Object.hasOwn(this.#index.modules, `${root.key}/${path}`);
    const path = resolveSubpath(fields, subpath === "" ? "." : `./${subpath}`, { has, by: "import" });
    const module = path === undefined ? undefined : this.#index.modules[`${root.key}/${path}`];
    if (module === undefined) {
      throw cannotImport(specifier, `${root.key} offers no ${subpath === "" ? "module by its name" : show(subpath)}`);
    }
    return module;
  }

  /** What is needed, and what that loads. */
  *#closure(): Generator<{ readonly path: string; readonly content: Uint8Array }> {
    // A set that grows while it is walked gives what was added, too.
    for (const path of this.#needed) {
      const content = this.#file(path);
      if (content === undefined) continue;
      yield { path, content };
      for (const loaded of this.#index.loads[path] ?? []) this.#needed.add(loaded);
    }
  }
}

function notInstalled({ registry, name, version }: Dependency, state: string): TaskError {
  const shown = `${registry ?? "npm"}:${name}${version === undefined ? "" : `@${version}`}`;
  return new TaskError("INVALID_TASK", `Cannot install dependency ${show(shown)}: ${state}`);
}

function cannotImport(specifier: string, state: string): TaskError {
  return new TaskError("INVALID_TASK", `Cannot find module ${show(specifier)}: ${state}`);
}
