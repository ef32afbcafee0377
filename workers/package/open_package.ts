/**
 * Opens a code package: reads it, validates it, and finds what is to be run, before any of it runs.
 * @module
 */

import { DEFAULT_PACKAGE_LIMITS } from "./limits.ts";
import { buildModuleGraph, type GraphModule } from "./module_graph.ts";
import { type ModulePackage, type PythonPackage, readPackage, type ReadPackageOptions } from "./read_package.ts";
import { type ImportPolicy, NO_IMPORTS } from "./resolve_import.ts";

/** What a package is opened with. */
export interface OpenPackageOptions extends ReadPackageOptions {
  readonly policy?: ImportPolicy;
}

/** A package of TypeScript or JavaScript that passed every check. */
export interface DenoPackage extends ModulePackage {
  /** Every module and what it imports. */
  readonly modules: readonly GraphModule[];
}

/** A package that passed every check. Python's sources are not looked into. */
export type ValidatedPackage = DenoPackage | PythonPackage;

/**
 * Opens a code package: a zip, or the text of a single TypeScript or JavaScript module, which becomes `main.ts`.
 *
 * Contents may share memory with `bytes`, which must not change afterwards.
 *
 * ```ts
 * import { openPackage } from "./open_package.ts";
 * const source = new TextEncoder().encode("export const double = (n: number) => 2 * n;");
 * const { entry } = openPackage(source, { entryPoint: "double" });
 * console.assert(entry.kind === "module" && entry.path === "main.ts" && entry.exportName === "double");
 * ```
 *
 * @throws {TaskError} as {@linkcode readPackage} does, and `SECURITY_VIOLATION` when it reaches for what it may not have
 */
export function openPackage(bytes: Uint8Array, options: OpenPackageOptions = {}): ValidatedPackage {
  const read = readPackage(bytes, options);
  return read.runtime === "python" ? read : validateModules(read, options);
}

/**
 * Looks into the sources of a package that has been read.
 * @throws {TaskError} `INVALID_TASK` for what cannot be parsed, `SECURITY_VIOLATION` for imports that it may not have
 */
export function validateModules(
  read: ModulePackage,
  { limits, policy = NO_IMPORTS }: Pick<OpenPackageOptions, "limits" | "policy"> = {},
): DenoPackage {
  const { files, dependencies, entry } = read;
  const { modules } = buildModuleGraph(entry, { files, dependencies, policy }, {
    ...DEFAULT_PACKAGE_LIMITS,
    ...limits,
  });
  return { ...read, modules };
}
