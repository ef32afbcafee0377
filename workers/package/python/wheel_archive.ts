/**
 * Wheels (https://packaging.python.org/en/latest/specifications/binary-distribution-format/).
 *
 * They are read as what strangers send: with the reader of code packages, every file against RECORD, within bounds.
 *
 * @module
 */

import { DEFAULT_PACKAGE_LIMITS, show } from "../limits.ts";
import { readZip } from "../read_zip.ts";
import { TaskError } from "../../task_error.ts";
import { type PackageBounds, type PackageFiles, UnusablePackageError } from "./distribution.ts";
import { type PackageMetadata, parseHeaders, parseMetadata } from "./metadata.ts";
import { normalizeName } from "./name.ts";
import { PackageError } from "./package_error.ts";
import { verifyRecord } from "./record.ts";
import { compareVersions, tryParseVersion } from "./version.ts";
import type { WheelName } from "./wheel_name.ts";

const MAX_METADATA_BYTES = 4 * 2 ** 20;

/** What is in a wheel. */
export interface WheelContents {
  /** As they lie in `site-packages`. */
  readonly files: PackageFiles;
  readonly metadata: PackageMetadata;
}

/**
 * Reads a wheel.
 * @param name of its file
 * @throws {UnusablePackageError} when it is no wheel, larger than the bounds, or another package's
 */
export async function readWheel(
  bytes: Uint8Array,
  { name, bounds }: { readonly name: WheelName; readonly bounds: PackageBounds },
): Promise<WheelContents> {
  const packed = unzip(bytes, bounds);
  const info = infoFolder(packed);
  await verifyRecord(packed, `${info}/RECORD`);
  checkFormat(textOf(packed, `${info}/WHEEL`));
  const metadata = readWheelMetadata(textOf(packed, `${info}/METADATA`), name);
  return { files: installedFiles(packed, info), metadata };
}

/** Reads a wheel's METADATA. @throws {UnusablePackageError} when it is another package's, too */
export function readWheelMetadata(text: string, { name, version }: WheelName): PackageMetadata {
  const metadata = parseOwnMetadata(text);
  const own = tryParseVersion(metadata.version);
  const isItself = normalizeName(metadata.name) === name && own !== undefined && compareVersions(own, version) === 0;
  if (isItself) return metadata;
  throw new UnusablePackageError(`its METADATA is that of ${show(`${metadata.name} ${metadata.version}`)}`);
}

function unzip(bytes: Uint8Array, bounds: PackageBounds): ReadonlyMap<string, Uint8Array> {
  try {
    return readZip(bytes, { ...DEFAULT_PACKAGE_LIMITS, ...bounds });
  } catch (cause) {
    if (!(cause instanceof TaskError)) throw cause;
    const state = cause.message.replace(/^Cannot \w+ code package: /, "");
    throw new UnusablePackageError(`its archive is refused: ${state}`, { cause });
  }
}

/** Reads metadata. @throws {UnusablePackageError} in place of what the parser throws */
export function parseOwnMetadata(text: string, requiresText?: string): PackageMetadata {
  try {
    return parseMetadata(text, requiresText);
  } catch (cause) {
    if (!(cause instanceof PackageError) && !(cause instanceof SyntaxError)) throw cause;
    const state = cause instanceof PackageError ? cause.state : cause.message;
    throw new UnusablePackageError(`in its metadata ${state}`, { cause });
  }
}

function infoFolder(packed: ReadonlyMap<string, Uint8Array>): string {
  const folders = new Set<string>();
  for (const path of packed.keys()) {
    const [folder = "", rest] = path.split("/");
    if (rest !== undefined && folder.endsWith(".dist-info")) folders.add(folder);
  }
  const [folder, ...others] = folders;
  if (folder === undefined || others.length > 0) {
    throw new UnusablePackageError(`it has ${folders.size} folders named .dist-info, where a wheel has one`);
  }
  return folder;
}

function textOf(packed: ReadonlyMap<string, Uint8Array>, path: string): string {
  const content = packed.get(path);
  if (content === undefined) throw new UnusablePackageError(`it lacks ${JSON.stringify(path)}`);
  if (content.length > MAX_METADATA_BYTES) throw new UnusablePackageError(`its ${JSON.stringify(path)} is too large`);
  return new TextDecoder().decode(content);
}

/** A wheel of a later major version of the format must not be installed by who does not know it. */
function checkFormat(text: string): void {
  const version = parseHeaders(text).find(([name]) => name === "wheel-version")?.[1] ?? "";
  if (/^1\.\d+$/.test(version)) return;
  throw new UnusablePackageError(`it is in version ${JSON.stringify(version)} of the format of wheels, and 1 is known`);
}

/**
 * Files as they lie in `site-packages`: of a `.data` folder its `purelib` and `platlib` go to where the others are, and
 * scripts, headers and data, which go elsewhere, are left out.
 */
function installedFiles(packed: ReadonlyMap<string, Uint8Array>, info: string): PackageFiles {
  const data = `${info.slice(0, -".dist-info".length)}.data/`;
  const files = new Map<string, Uint8Array>();
  for (const [path, content] of packed) {
    const target = path.startsWith(data) ? /^(?:purelib|platlib)\/(.+)$/s.exec(path.slice(data.length))?.[1] : path;
    if (target === undefined) continue;
    if (files.has(target)) throw new UnusablePackageError(`it has ${JSON.stringify(target)} in two places`);
    files.set(target, content);
  }
  return files;
}
