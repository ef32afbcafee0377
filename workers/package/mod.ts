/**
 * Code packages: reading and validating them inside a sandbox, before any of their code runs.
 * @module
 */

export { openPackage, validateModules } from "./open_package.ts";
export type { DenoPackage, OpenPackageOptions, ValidatedPackage } from "./open_package.ts";
export { declaredRequirements, readPackage } from "./read_package.ts";
export type { ModulePackage, PythonPackage, ReadPackage, ReadPackageOptions } from "./read_package.ts";
export { linkPackage, PACKAGES_FOLDER } from "./npm/link.ts";
export { DEFAULT_PACKAGE_LIMITS } from "./limits.ts";
export type { PackageLimits } from "./limits.ts";
export type { Manifest, PackageRuntime } from "./manifest.ts";
export type { PackageEntry } from "./resolve_entry.ts";
export type { ImportPolicy, ResolvedImport } from "./resolve_import.ts";
export type { GraphModule } from "./module_graph.ts";
