/**
 * Reads a code package and finds what is to be run. Looks into no source: that is for who runs its language.
 * @module
 */

import { type EntryPoint, parseEntryPoint } from "./entry_point.ts";
import { type Dependency, parseDependencies } from "./dependencies.ts";
import { DEFAULT_PACKAGE_LIMITS, malformed, overLimit, type PackageLimits } from "./limits.ts";
import { type Manifest, type PackageRuntime, parseManifest } from "./manifest.ts";
import { looksLikeZip, readZip } from "./read_zip.ts";
import { isModulePath, type PackageEntry, resolveEntry } from "./resolve_entry.ts";

/** What a package is read with. */
export interface ReadPackageOptions {
  /** `entry_point` of the request; empty for the package's main module. */
  readonly entryPoint?: string;
  /** `dependencies` of the request; those of the manifest come on top. */
  readonly dependencies?: readonly string[];
  readonly limits?: Partial<PackageLimits>;
}

interface PackageFiles {
  /** Contents by path from the code root; each path is relative, normal and safe to join. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly manifest: Manifest | undefined;
}

/** A package of TypeScript or JavaScript. */
export interface ModulePackage extends PackageFiles {
  readonly runtime: "deno";
  readonly entry: Extract<PackageEntry, { kind: "module" }>;
  /** Modules from outside that the request and the manifest declare. */
  readonly dependencies: readonly Dependency[];
}

/** A package of Python. Its sources are not looked into. */
export interface PythonPackage extends PackageFiles {
  readonly runtime: "python";
  readonly entry: Exclude<PackageEntry, { kind: "module" }>;
  /** `serialized_object.pkl` as it is, base64 text of a cloudpickle. */
  readonly serializedObject: Uint8Array | undefined;
  /** Python requirements of the request, the manifest and `requirements.txt`, each once. */
  readonly requirements: readonly string[];
}

/** A package whose sources have not been looked into. */
export type ReadPackage = ModulePackage | PythonPackage;

const MANIFEST = "manifest.json";
const SERIALIZED_OBJECT = "serialized_object.pkl";
const REQUIREMENTS = "requirements.txt";
const CODE_FOLDER = "code/";
const MAIN_MODULE = "main.ts";

/**
 * Reads a code package: a zip, or the text of a single TypeScript or JavaScript module, which becomes `main.ts`.
 *
 * Contents may share memory with `bytes`, which must not change afterwards.
 *
 * @throws {TaskError} `INVALID_TASK` when it cannot be read or run, `SECURITY_VIOLATION` when it is made to deceive,
 * `RESOURCE_LIMIT` when it is too large or too many
 */
export function readPackage(bytes: Uint8Array, options: ReadPackageOptions = {}): ReadPackage {
  const limits = { ...DEFAULT_PACKAGE_LIMITS, ...options.limits };
  const entryPoint = parseEntryPoint(options.entryPoint ?? "");
  const all = readFiles(bytes, limits);
  const manifestBytes = all.get(MANIFEST);
  const manifest = manifestBytes === undefined ? undefined : parseManifest(manifestBytes);
  const files = codeFiles(all);
  const serializedObject = all.get(SERIALIZED_OBJECT);
  if (manifest?.has_serialized_object === true && serializedObject === undefined) {
    throw malformed(`its manifest announces ${SERIALIZED_OBJECT}, which is not there`);
  }
  const hasObject = serializedObject !== undefined;
  const runtime = manifest?.runtime ?? inferRuntime(files, entryPoint, hasObject);
  const entry = resolveEntry(entryPoint, { runtime, files, manifest, hasObject });
  const declared = [...options.dependencies ?? []];
  if (entry.kind === "module") {
    const dependencies = parseDependencies([...declared, ...manifest?.dependencies ?? []]);
    return { runtime: "deno", entry, files, manifest, dependencies };
  }
  declared.push(...manifest?.pip_requirements ?? [], ...readRequirements(all.get(REQUIREMENTS)));
  return { runtime: "python", entry, files, manifest, serializedObject, requirements: [...new Set(declared)] };
}

/**
 * What a package asks for by itself: `dependencies` of its manifest, or for Python its requirements.
 * @throws {TaskError} as {@linkcode readPackage} does, for what is wrong with its files or its manifest
 */
export function declaredRequirements(bytes: Uint8Array, given: Partial<PackageLimits> = {}): readonly string[] {
  const all = readFiles(bytes, { ...DEFAULT_PACKAGE_LIMITS, ...given });
  const manifestBytes = all.get(MANIFEST);
  const manifest = manifestBytes === undefined ? undefined : parseManifest(manifestBytes);
  const runtime = manifest?.runtime ?? inferRuntime(codeFiles(all), parseEntryPoint(""), all.has(SERIALIZED_OBJECT));
  if (runtime === "deno") return manifest?.dependencies ?? [];
  return [...new Set([...manifest?.pip_requirements ?? [], ...readRequirements(all.get(REQUIREMENTS))])];
}

function readFiles(bytes: Uint8Array, limits: PackageLimits): Map<string, Uint8Array> {
  if (bytes.length === 0) throw malformed("it is empty");
  if (looksLikeZip(bytes)) {
    const files = readZip(bytes, limits);
    if (files.size === 0) throw malformed("it has no files");
    return files;
  }
  if (bytes.length > limits.maxModuleBytes) {
    if (bytes.length > limits.maxCompressedBytes) {
      throw overLimit("its size", limits.maxCompressedBytes, bytes.length, "bytes");
    }
    throw overLimit("the size of a single module", limits.maxModuleBytes, bytes.length, "bytes");
  }
  if (!isText(bytes)) throw malformed("it is neither a zip nor the text of a module in UTF-8");
  return new Map([[MAIN_MODULE, bytes]]);
}

function isText(bytes: Uint8Array): boolean {
  if (bytes.includes(0)) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** What lies under `code/`, or all there is where that folder is missing. */
function codeFiles(all: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const [path, content] of all) {
    if (path.startsWith(CODE_FOLDER)) files.set(path.slice(CODE_FOLDER.length), content);
  }
  return files.size > 0 ? files : all;
}

function inferRuntime(
  files: ReadonlyMap<string, Uint8Array>,
  entryPoint: EntryPoint,
  hasObject: boolean,
): PackageRuntime {
  if (hasObject) return "python";
  const hasPython = files.keys().some((path) => path.endsWith(".py"));
  const hasModules = files.keys().some((path) => isModulePath(path) || /\.(?:[jt]sx|c[jt]s)$/.test(path));
  if (hasPython && hasModules) {
    if (entryPoint.kind === "module") return "deno";
    if (entryPoint.kind === "python" || entryPoint.kind === "dotted") return "python";
    throw malformed('it has both Python and TypeScript or JavaScript; its manifest must say which "runtime" it is for');
  }
  if (hasPython) return "python";
  if (hasModules) return "deno";
  throw malformed("it has no code: neither .ts, .mts, .js or .mjs nor .py files");
}

/** Lines of a requirements file without comments; options and continuations stay as they are, for who installs. */
function readRequirements(bytes: Uint8Array | undefined): string[] {
  if (bytes === undefined) return [];
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw malformed(`${REQUIREMENTS} is not UTF-8`, { cause });
  }
  return text.split(/\r?\n/).map((line) => line.replace(/(?:^|\s)#.*$/, "").trim()).filter((line) => line !== "");
}
