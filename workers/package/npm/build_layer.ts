/**
 * Makes a layer of unpacked npm packages: all modules that can be reached, converted, and the index.
 * @module
 */

import { packageOf } from "../dependencies.ts";
import { TaskError } from "../../task_error.ts";
import {
  convertJson,
  convertModule,
  convertScript,
  facadeOf,
  failingFacade,
  failingModule,
  type Target,
} from "./convert.ts";
import { type LayerIndex, type LayerRoot, relativePath } from "./layer_index.ts";
import {
  entryFiles,
  findFile,
  type LoadedBy,
  type PackageFields,
  resolveImportsField,
  resolveSubpath,
} from "./package_fields.ts";
import { scanModule, type ScannedModule } from "./scan.ts";

/** An unpacked package. */
export interface UnpackedPackage {
  readonly fields: PackageFields & { readonly type?: unknown };
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Keys of what it needs, by the names that it imports them by. */
  readonly dependencies: ReadonlyMap<string, string>;
  readonly name: string;
}

/** A layer before it is packed. */
export interface BuiltLayer {
  readonly index: LayerIndex;
  /** By `name@version/path`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Parsing takes a multiple in memory. */
const MAX_MODULE_BYTES = 4 * 2 ** 20;
const encoder = new TextEncoder();

/** A file of a package, `name@version/path`. */
type FileId = string;

/** Builds a layer. @param packages by `name@version` */
export function buildLayer(
  roots: readonly LayerRoot[],
  packages: ReadonlyMap<string, UnpackedPackage>,
): BuiltLayer {
  return new LayerBuilder(packages).build(roots);
}

class LayerBuilder {
  readonly #packages: ReadonlyMap<string, UnpackedPackage>;
  readonly #scans = new Map<FileId, ScannedModule | string>();
  readonly #waiting: { readonly key: string; readonly path: string }[] = [];
  readonly #seen = new Set<FileId>();
  readonly #files = new Map<string, Uint8Array>();
  readonly #modules: Record<string, string> = {};
  readonly #loads: Record<string, string[]> = {};

  constructor(packages: ReadonlyMap<string, UnpackedPackage>) {
    this.#packages = packages;
  }

  build(roots: readonly LayerRoot[]): BuiltLayer {
    const fields: Record<string, PackageFields> = {};
    for (const { key } of roots) {
      const { files, fields: all } = this.#package(key);
      fields[key] = { exports: all.exports, module: all.module, main: all.main };
      for (const path of entryFiles(all, [...files.keys()])) this.#reach(key, path);
    }
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      this.#convert(next.key, next.path);
    }
    return {
      index: { roots, packages: fields, modules: this.#modules, loads: this.#loads },
      files: this.#files,
    };
  }

  #package(key: string): UnpackedPackage {
    const found = this.#packages.get(key);
    if (found === undefined) throw new TypeError(`Cannot build layer: ${key} was not unpacked`);
    return found;
  }

  #reach(key: string, path: string): void {
    const id = `${key}/${path}`;
    if (this.#seen.has(id) || !/\.(?:[cm]?js|json|wasm)$/.test(path)) return;
    this.#seen.add(id);
    this.#waiting.push({ key, path });
  }

  #convert(key: string, path: string): void {
    const id = `${key}/${path}`;
    const content = this.#content(key, path);
    if (!/\.[cm]?js$/.test(path)) {
      this.#emit(id, content, []);
      this.#modules[id] = id;
      if (path.endsWith(".json")) this.#emit(`${id}.js`, encoder.encode(convertJson(textOf(content))), []);
      return;
    }
    const scanned = this.#scan(key, path);
    const body = bodyPath(id);
    const facade = `${body}.facade.js`;
    if (typeof scanned === "string") {
      this.#modules[id] = facade;
      this.#emit(body, encoder.encode(failingModule(scanned)), []);
      return this.#emit(facade, encoder.encode(failingFacade(scanned)), []);
    }
    const text = textOf(content);
    const imported = new Map<string, string>();
    const required = new Map<string, Target>();
    const owner = scanned.kind === "module" ? id : body;
    const loads: string[] = [];
    for (const { specifier, by } of scanned.references) {
      const target = this.#resolve(key, path, { specifier, by });
      if (target === undefined) continue;
      this.#reach(target.key, target.path);
      const { module, isBody } = this.#loadedAs(target.key, target.path, by);
      loads.push(module);
      if (by === "import") imported.set(specifier, relativePath(owner, module));
      else required.set(specifier, { path: relativePath(owner, module), isBody });
    }
    if (scanned.kind === "module") {
      this.#modules[id] = id;
      return this.#emit(id, encoder.encode(convertModule(text, scanned, imported)), loads);
    }
    this.#modules[id] = facade;
    this.#emit(body, encoder.encode(convertScript(id, text, scanned, { required, imported })), loads);
    const names = this.#exportNames(key, path, new Set());
    this.#emit(facade, encoder.encode(facadeOf(relativePath(facade, body), names)), [body]);
  }

  /** The module that stands for a file, for who imports or requires it. */
  #loadedAs(key: string, path: string, by: LoadedBy): { readonly module: string; readonly isBody: boolean } {
    const id = `${key}/${path}`;
    if (!/\.[cm]?js$/.test(path)) {
      const isBody = by === "require" && path.endsWith(".json");
      return { module: isBody ? `${id}.js` : id, isBody };
    }
    const scanned = this.#scan(key, path);
    if (typeof scanned !== "string" && scanned.kind === "module") return { module: id, isBody: false };
    const body = bodyPath(id);
    return by === "require" ? { module: body, isBody: true } : { module: `${body}.facade.js`, isBody: false };
  }

  #emit(path: string, content: Uint8Array, loads: readonly string[]): void {
    if (this.#files.has(path)) {
      throw new TaskError("INVALID_TASK", `Cannot install packages: two modules would be ${path}`);
    }
    this.#files.set(path, content);
    if (loads.length > 0) this.#loads[path] = [...new Set(loads)];
  }

  #content(key: string, path: string): Uint8Array {
    return this.#package(key).files.get(path) ?? new Uint8Array();
  }

  /** @returns why it cannot be had, where it cannot */
  #scan(key: string, path: string): ScannedModule | string {
    const id = `${key}/${path}`;
    const known = this.#scans.get(id);
    if (known !== undefined) return known;
    const content = this.#content(key, path);
    let scanned: ScannedModule | string;
    if (content.length > MAX_MODULE_BYTES) {
      scanned = `Cannot load ${id}: a module of a package is limited to ${MAX_MODULE_BYTES} bytes`;
    } else {
      const isModule = path.endsWith(".mjs") ||
        (path.endsWith(".js") && this.#package(key).fields.type === "module");
      try {
        scanned = scanModule(path, textOf(content), isModule);
      } catch (error) {
        if (!(error instanceof TaskError)) throw error;
        scanned = `Cannot load ${id}: ${error.message}`;
      }
    }
    this.#scans.set(id, scanned);
    return scanned;
  }

  /** The file that a specifier means, of this package or of one that it needs. */
  #resolve(
    key: string,
    path: string,
    { specifier, by }: { readonly specifier: string; readonly by: LoadedBy },
  ): { readonly key: string; readonly path: string } | undefined {
    const own = this.#package(key);
    const has = (file: string) => own.files.has(file);
    if (/^\.{1,2}(?:\/|$)/.test(specifier)) {
      const found = findFile(`${path.slice(0, path.lastIndexOf("/") + 1)}${specifier}`, has);
      return found === undefined ? undefined : { key, path: found };
    }
    if (specifier.startsWith("#")) {
      const target = resolveImportsField(own.fields, specifier, by);
      if (target === undefined || target.startsWith("#")) return undefined;
      if (!target.startsWith("./")) return this.#resolve(key, path, { specifier: target, by });
      const found = findFile(target, has);
      return found === undefined ? undefined : { key, path: found };
    }
    if (/^[a-z][a-z0-9+.-]*:/i.test(specifier)) return undefined;
    const scoped = specifier.startsWith("@");
    const name = specifier.split("/", scoped ? 2 : 1).join("/");
    const rest = specifier.slice(name.length).replace(/\/$/, "");
    const dependency = own.dependencies.get(name) ?? (packageOf(name).name === own.name ? key : undefined);
    if (dependency === undefined) return undefined;
    const { fields, files } = this.#package(dependency);
    const found = resolveSubpath(fields, `.${rest}`, { has: (file) => files.has(file), by });
    return found === undefined ? undefined : { key: dependency, path: found };
  }

  /** What a module of CommonJS exports by name, what it hands on included. */
  #exportNames(key: string, path: string, visited: Set<FileId>): Set<string> {
    const id = `${key}/${path}`;
    const scanned = this.#scan(key, path);
    if (typeof scanned === "string" || visited.has(id)) return new Set();
    visited.add(id);
    const names = new Set(scanned.exportNames);
    for (const specifier of scanned.reexports) {
      const target = this.#resolve(key, path, { specifier, by: "require" });
      if (target === undefined || !/\.[cm]?js$/.test(target.path)) continue;
      for (const name of this.#exportNames(target.key, target.path, visited)) names.add(name);
    }
    return names;
  }
}

/** Where the body of a module of CommonJS lies: Deno takes `.cjs` for CommonJS, which it is no more. */
function bodyPath(id: FileId): string {
  return /\.js$/.test(id) ? id : `${id}.js`;
}

function textOf(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}
