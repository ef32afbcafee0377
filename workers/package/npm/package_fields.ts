/**
 * Which file of an npm package an import means: `exports`, `imports`, `module` and `main` of its package.json, as Node
 * resolves them (https://nodejs.org/api/packages.html), with the conditions of this sandbox.
 *
 * @module
 */

/** What of a package.json decides on its entries. All of it is the package author's. */
export interface PackageFields {
  readonly exports?: unknown;
  readonly imports?: unknown;
  readonly module?: unknown;
  readonly main?: unknown;
}

/** How a module is loaded: the conditions differ. */
export type LoadedBy = "import" | "require";

/**
 * No builtin of Node is offered here, so that what a package has for browsers is what works; `node` never holds.
 */
const CONDITIONS: Readonly<Record<LoadedBy, ReadonlySet<string>>> = {
  import: new Set(["deno", "worker", "browser", "import", "default"]),
  require: new Set(["deno", "worker", "browser", "require", "default"]),
};

/** Levels of conditions within conditions that are looked into. */
const MAX_CONDITION_DEPTH = 16;
/** What may be left out of a path. */
const EXTENSIONS = ["", ".js", ".mjs", ".cjs", ".json", "/index.js", "/index.mjs", "/index.cjs", "/index.json"];

/** Whether a package has a file. */
export type HasFile = (path: string) => boolean;

/** The file that a path means, which may lack its extension; `undefined` when there is none, or it leaves the package. */
export function findFile(path: string, has: HasFile): string | undefined {
  const normal = normalPath(path);
  if (normal === undefined) return undefined;
  return EXTENSIONS.map((extension) => normal === "" ? extension.replace(/^\//, "") : normal + extension)
    .find((candidate) => candidate !== "" && has(candidate));
}

/** Takes `.` and `..` out of a path; `undefined` when it leads out. */
export function normalPath(path: string): string | undefined {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") {
      if (segments.pop() === undefined) return undefined;
    } else if (segment !== "." && segment !== "") segments.push(segment);
  }
  return segments.join("/");
}

/**
 * The file that `name` (subpath `.`) or `name/sub/path` (`./sub/path`) means.
 * @returns its path in the package; `undefined` where the package offers none
 */
export function resolveSubpath(
  fields: PackageFields,
  subpath: string,
  { has, by }: { readonly has: HasFile; readonly by: LoadedBy },
): string | undefined {
  const { exports } = fields;
  if (exports === undefined || exports === null) {
    if (subpath !== ".") return findFile(subpath, has);
    const named = by === "import" ? [fields.module, fields.main] : [fields.main];
    return [...named, "index"].map((path) => typeof path === "string" ? findFile(path, has) : undefined)
      .find((path) => path !== undefined);
  }
  const target = matchKey(keysOf(exports), subpath);
  if (target === undefined) return undefined;
  const path = resolveTarget(target.value, target.star, by);
  return typeof path === "string" && path.startsWith("./") ? existing(path, has) : undefined;
}

/** What `#name` means within its package: a path that starts with `./`, or another package's name. */
export function resolveImportsField({ imports }: PackageFields, specifier: string, by: LoadedBy): string | undefined {
  if (typeof imports !== "object" || imports === null) return undefined;
  const target = matchKey(imports, specifier);
  const resolved = target === undefined ? undefined : resolveTarget(target.value, target.star, by);
  return resolved === null ? undefined : resolved;
}

/** All files that importers from outside may reach. */
export function entryFiles(fields: PackageFields, files: readonly string[]): Set<string> {
  const all = new Set(files);
  const has = (path: string) => all.has(path);
  const { exports } = fields;
  if (exports === undefined || exports === null) return all;
  const found = new Set<string>();
  const keys = keysOf(exports);
  for (const key of Object.keys(keys)) {
    if (!key.includes("*")) {
      const path = resolveSubpath(fields, key, { has, by: "import" });
      if (path !== undefined) found.add(path);
      continue;
    }
    const pattern = resolveTarget(Reflect.get(keys, key), "*", "import");
    const [before, after] = typeof pattern === "string" && pattern.startsWith("./") ? pattern.slice(2).split("*") : [];
    if (before === undefined || after === undefined) continue;
    for (const path of files) if (path.startsWith(before) && path.endsWith(after)) found.add(path);
  }
  return found;
}

function existing(path: string, has: HasFile): string | undefined {
  const normal = normalPath(path);
  return normal !== undefined && has(normal) ? normal : undefined;
}

/** `exports` in its long form: a short one stands for `.`. */
function keysOf(exports: unknown): object {
  const isLong = typeof exports === "object" && exports !== null && !Array.isArray(exports) &&
    Object.keys(exports).some((key) => key.startsWith("."));
  return isLong ? exports : { ".": exports };
}

/** Finds the key of a subpath, the one with the longest text before its `*` where several match. */
function matchKey(keys: object, subpath: string): { readonly value: unknown; readonly star: string } | undefined {
  if (Object.hasOwn(keys, subpath) && !subpath.includes("*")) return { value: Reflect.get(keys, subpath), star: "" };
  let best: { readonly key: string; readonly length: number; readonly star: string } | undefined;
  for (const key of Object.keys(keys)) {
    const [before = "", after] = key.split("*");
    if (after === undefined || !subpath.startsWith(before) || !subpath.endsWith(after)) continue;
    if (subpath.length < before.length + after.length || before.length <= (best?.length ?? -1)) continue;
    best = { key, length: before.length, star: subpath.slice(before.length, subpath.length - after.length) };
  }
  return best === undefined ? undefined : { value: Reflect.get(keys, best.key), star: best.star };
}

/** @returns `null` where the package forbids the path, `undefined` where no condition holds */
function resolveTarget(target: unknown, star: string, by: LoadedBy, depth = 0): string | null | undefined {
  if (depth > MAX_CONDITION_DEPTH) return undefined;
  if (target === null) return null;
  if (typeof target === "string") return target.replaceAll("*", () => star);
  if (typeof target !== "object") return undefined;
  if (Array.isArray(target)) {
    return target.slice(0, MAX_CONDITION_DEPTH).map((item) => resolveTarget(item, star, by, depth + 1))
      .find((path) => typeof path === "string");
  }
  for (const [condition, value] of Object.entries(target)) {
    if (!CONDITIONS[by].has(condition)) continue;
    const resolved = resolveTarget(value, star, by, depth + 1);
    if (resolved !== undefined) return resolved;
  }
  return undefined;
}
