/**
 * Files to code packages, which `executeCustomTask` sends.
 *
 * A package is a zip: `manifest.json` says what it is, and the sources lie under `code/`. The same files and manifest
 * give the same bytes wherever and whenever they are packaged, so that a package can be known by its hash.
 *
 * @module
 */

import { type Zippable, zipSync } from "fflate";
import { PackageError } from "./errors.ts";
import { DEFAULT_PACKAGE_BOUNDS, megabytes, type PackageBounds } from "./package_bounds.ts";
import { readFolder } from "./read_folder.ts";

/** What the manifest of a package says beside its version; what is absent the service infers. */
export interface PackageManifest {
  readonly runtime?: "deno" | "python" | undefined;
  /** Python that it needs, `3.11` or `3.11.2`; the service's default where it says nothing. */
  readonly pythonVersion?: string | undefined;
  /** Files to look for the entry point in, as paths from the code root, when it names none. */
  readonly entryFiles?: readonly string[] | undefined;
  /** Modules from outside that TypeScript or JavaScript imports: `npm:zod@4`. */
  readonly dependencies?: readonly string[] | undefined;
  /** Python requirements, as pip reads them. */
  readonly pipRequirements?: readonly string[] | undefined;
  /** What the author expects to need. It grants nothing: the request asks, and the service's policy decides. */
  readonly permissions?: Readonly<Record<string, boolean | readonly string[]>> | undefined;
}

/** Files by their path from the code root, `lib/text.ts` say. */
export type CodeFiles = ReadonlyMap<string, Uint8Array>;

/** Files of a folder, or a file, that are ready to be packaged. */
export interface CodePackage {
  readonly files: CodeFiles;
  /**
   * What the files themselves say: their language, where it is one alone; the entry file of a single one; the lines of a
   * `requirements.txt`.
   */
  readonly manifest: PackageManifest;
}

/** Options of {@linkcode packagePath}. */
export interface PackagePathOptions {
  /** What the manifest shall say over what the files themselves do. */
  readonly manifest?: PackageManifest | undefined;
  readonly bounds?: Partial<PackageBounds> | undefined;
}

/**
 * Packages files.
 *
 * ```ts
 * import { packageFiles } from "./package.ts";
 * const files = new Map([["main.ts", new TextEncoder().encode("export default (n: number) => 2 * n;")]]);
 * const codePackage = packageFiles(files, { runtime: "deno" });
 * console.assert(codePackage.length > 0);
 * ```
 *
 * @throws {PackageError} for no files, a path that is none, or more than the bounds allow
 */
export function packageFiles(
  files: CodeFiles,
  manifest: PackageManifest = {},
  bounds: Partial<PackageBounds> = {},
): Uint8Array {
  const { maxFiles, maxBytes, maxPackageBytes } = { ...DEFAULT_PACKAGE_BOUNDS, ...bounds };
  if (files.size === 0) throw new PackageError("there are no files");
  if (files.size > maxFiles) throw new PackageError(`there are ${files.size} files, and ${maxFiles} is the limit`);
  const entries: Zippable = { "manifest.json": new TextEncoder().encode(manifestText(manifest)) };
  let size = 0;
  // By code units, which no locale changes. Integers come first among an object's keys, but none of these is one.
  for (const [path, content] of [...files].sort(([a], [b]) => a < b ? -1 : 1)) {
    const fault = faultOf(path);
    if (fault !== undefined) throw new PackageError(`the path ${JSON.stringify(path)} ${fault}`);
    size += content.length;
    entries[`code/${path}`] = content;
  }
  if (size > maxBytes) {
    throw new PackageError(`the files have ${megabytes(size)}, and ${megabytes(maxBytes)} is the limit`);
  }
  // A zip has local time, and fflate takes it from the date's local fields: this is noon in every time zone.
  const bytes = zipSync(entries, { level: 6, mtime: new Date(1980, 0, 1, 12) });
  if (bytes.length <= maxPackageBytes) return bytes;
  throw new PackageError(`the package has ${megabytes(bytes.length)}, and ${megabytes(maxPackageBytes)} is the limit`);
}

/**
 * Packages a file or a folder, without its hidden files, `node_modules` and `__pycache__`.
 *
 * @throws {PackageError} for what cannot be read, a link that leaves the folder, no files, or more than the bounds allow
 */
export async function packagePath(path: string, { manifest, bounds }: PackagePathOptions = {}): Promise<Uint8Array> {
  const found = await readPackageFiles(path, bounds);
  return packageFiles(found.files, { ...found.manifest, ...manifest }, bounds);
}

/**
 * Reads what {@linkcode packagePath} packages.
 * @throws {PackageError} likewise
 */
export async function readPackageFiles(path: string, bounds: Partial<PackageBounds> = {}): Promise<CodePackage> {
  const { files, isFolder } = await readFolder(path, { ...DEFAULT_PACKAGE_BOUNDS, ...bounds });
  const runtime = runtimeOf(files);
  if (!isFolder) return { files, manifest: { runtime, entryFiles: [...files.keys()] } };
  if (files.size === 0) throw new PackageError(`${path} has no files, hidden ones aside`);
  const requirements = files.get("requirements.txt");
  return {
    files,
    manifest: { runtime, ...(requirements === undefined ? {} : { pipRequirements: linesOf(requirements) }) },
  };
}

/** Which language the files are in; `undefined` for both or neither, of which the service says what is wrong. */
function runtimeOf(files: CodeFiles): PackageManifest["runtime"] {
  const isPython = files.keys().some((path) => path.endsWith(".py"));
  const isScript = files.keys().some((path) => /\.(?:[cm]?[jt]s|[jt]sx)$/.test(path));
  return isPython && !isScript ? "python" : undefined;
}

/** Lines of a requirements file without comments. */
function linesOf(requirements: Uint8Array): string[] {
  const lines = new TextDecoder().decode(requirements).split(/\r?\n/);
  return lines.map((line) => line.replace(/(?:^|\s)#.*$/, "").trim()).filter((line) => line !== "");
}

function manifestText(manifest: PackageManifest): string {
  const { runtime, pythonVersion, entryFiles = [], dependencies = [], pipRequirements = [], permissions } = manifest;
  const record = {
    version: "1.0",
    type: "code_package",
    has_serialized_object: false,
    pip_requirements: pipRequirements,
    entry_files: entryFiles,
    dependencies,
    runtime,
    python_version: pythonVersion,
    permissions,
  };
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** Why the service would refuse a path. It has the last word; this is the early one. */
function faultOf(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.startsWith("/")) return "is absolute";
  // deno-lint-ignore no-control-regex -- these are the characters to refuse
  if (/[\u0000-\u001f\u007f\\:]/.test(path)) return "holds a control character, a backslash or a colon";
  if (path.split("/").some((segment) => segment === "" || segment === "." || segment === "..")) {
    return 'holds an empty, "." or ".." segment';
  }
  return undefined;
}
