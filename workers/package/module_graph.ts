/**
 * All modules of a package, parsed, with every import decided on.
 * @module
 */

import { hostile, overLimit, type PackageLimits, show, showList } from "./limits.ts";
import { type ImportReference, type ParsedModule, shownPath } from "./_describe_module.ts";
import { parseModule } from "./parse_module.ts";
import { isModulePath } from "./resolve_entry.ts";
import { type ImportContext, type ResolvedImport, resolveImport } from "./resolve_import.ts";
import { TaskError } from "../task_error.ts";

/** A module and what it loads. */
export interface GraphModule {
  /** From the code root. */
  readonly path: string;
  readonly imports: readonly ResolvedImport[];
  /** Those of its imports that lie outside of the package, where they stand in it. */
  readonly externals: readonly ImportReference[];
}

/** A package of TypeScript or JavaScript that may be run. */
export interface ModuleGraph {
  readonly entry: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Every module of the package, whether the entry reaches it or not: a computed import may. */
  readonly modules: readonly GraphModule[];
}

/** Refusals named in one message; a package may have thousands. */
const MAX_REFUSALS_SHOWN = 10;

/** Modules that the sandbox does not run, by extension. */
const REFUSED_EXTENSIONS: Readonly<Record<string, string>> = {
  ".tsx": "JSX is not supported",
  ".jsx": "JSX is not supported",
  ".cts": "CommonJS is not supported",
  ".cjs": "CommonJS is not supported",
};

/**
 * Parses every module and resolves every import.
 *
 * @param entry what is run: a module of the package and the name of its export
 * @throws {TaskError} `SECURITY_VIOLATION` when an import leaves the package, `INVALID_TASK` for what does not parse or
 * resolve and for an export that is not there, each with its place; `RESOURCE_LIMIT` for sources too large or too deep
 */
export function buildModuleGraph(
  entry: { readonly path: string; readonly exportName: string },
  context: ImportContext,
  limits: PackageLimits,
): ModuleGraph {
  const parsed = parseAll(context.files, limits);
  const modules = resolveAll(parsed, context);
  checkExport(entry, parsed);
  return { entry: entry.path, files: context.files, modules };
}

function parseAll(files: ReadonlyMap<string, Uint8Array>, limits: PackageLimits): Map<string, ParsedModule> {
  const parsed = new Map<string, ParsedModule>();
  let total = 0;
  for (const [path, source] of files) {
    const reason = REFUSED_EXTENSIONS[path.slice(path.lastIndexOf("."))];
    if (reason !== undefined) throw new TaskError("INVALID_TASK", `Cannot run module ${show(path)}: ${reason}`);
    if (!isModulePath(path)) continue;
    total += source.length;
    if (total > limits.maxModulesBytes) {
      throw overLimit("the size of all its modules", limits.maxModulesBytes, total, "bytes");
    }
    parsed.set(path, parseModule(path, source, limits));
  }
  return parsed;
}

function resolveAll(parsed: ReadonlyMap<string, ParsedModule>, context: ImportContext): GraphModule[] {
  const modules: GraphModule[] = [];
  const refusals: string[] = [];
  let count = 0;
  let isHostile = false;
  for (const [path, module] of parsed) {
    const imports: ResolvedImport[] = [];
    const externals: ImportReference[] = [];
    for (const reference of module.imports) {
      const resolved = resolveImport(path, reference, context);
      if ("target" in resolved) {
        imports.push(resolved);
        if (resolved.isExternal) externals.push(reference);
        continue;
      }
      count++;
      const isFirstViolation: boolean = resolved.code === "SECURITY_VIOLATION" && !isHostile;
      isHostile ||= isFirstViolation;
      const line = `${shownPath(path)}:${reference.line}:${reference.column}: ${resolved.message}`;
      // A violation decides the status, so that it must be among what is shown.
      if (isFirstViolation) refusals.unshift(line);
      else if (refusals.length < MAX_REFUSALS_SHOWN) refusals.push(line);
    }
    modules.push({ path, imports, externals });
  }
  if (count === 0) return modules;
  const shown = refusals.slice(0, MAX_REFUSALS_SHOWN);
  if (count > shown.length) shown.push(`… and ${count - shown.length} more`);
  if (isHostile) throw hostile(shown.join("\n"));
  throw new TaskError("INVALID_TASK", shown.join("\n"));
}

function checkExport(
  entry: { readonly path: string; readonly exportName: string },
  parsed: ReadonlyMap<string, ParsedModule>,
): void {
  const module = parsed.get(entry.path);
  if (module === undefined) throw new TypeError(`Cannot check entry point: ${entry.path} was not parsed`);
  // `export *` hands on all names but default.
  if (module.exports.has(entry.exportName) || (module.hasStarExport && entry.exportName !== "default")) return;
  const there = module.exports.size === 0 ? "it exports nothing" : `it exports ${showList(module.exports)}`;
  throw new TaskError(
    "INVALID_TASK",
    `Cannot find entry point: ${show(entry.path)} has no export ${show(entry.exportName)}; ${there}`,
  );
}
