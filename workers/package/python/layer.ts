/**
 * Layers: what a task's packages are, in one zip.
 * @module
 */

import { type Zippable, zipSync } from "fflate";
import { show } from "../limits.ts";
import { PackageError } from "./package_error.ts";
import { type Distribution, type PackageBounds, type PackageFiles, UnusablePackageError } from "./distribution.ts";
import { pinOf } from "./preference.ts";

/**
 * Packs packages as they are to lie in one `site-packages`, uncompressed. The same files give the same bytes, wherever
 * and whenever they are packed.
 *
 * @throws {PackageError} `INVALID_TASK` for packages that cannot lie in one folder, `RESOURCE_LIMIT` for more than the
 * bounds allow
 */
export async function packLayer(distributions: readonly Distribution[], bounds: PackageBounds): Promise<Uint8Array> {
  const files = new Map<string, { content: Uint8Array; owner: Distribution }>();
  let size = 0;
  for (const owner of distributions) {
    for (const [path, content] of await reading(owner, () => owner.files())) {
      const other = files.get(path);
      // Packages that share a namespace may share its files.
      if (other !== undefined && isSame(other.content, content)) continue;
      if (other !== undefined) {
        const both = `${pinOf(other.owner, " ")} and ${pinOf(owner, " ")}`;
        throw new PackageError(`${both} both have a file ${show(path)}, and they differ`);
      }
      files.set(path, { content, owner });
      size += content.length;
      checkBounds(size, files.size, bounds);
    }
  }
  const entries: Zippable = {};
  for (const [path, { content }] of [...files].sort(([a], [b]) => a < b ? -1 : 1)) {
    if (path === "__proto__") throw new PackageError(`a package has a file ${show(path)}, which no module can be`);
    entries[path] = content;
  }
  // A zip has local time, and fflate takes it from the date's local fields: this is noon in every time zone.
  return zipSync(entries, { level: 0, mtime: new Date(1980, 0, 1, 12) });
}

/**
 * Joins the files of layers.
 * @throws {PackageError} `INVALID_TASK` when a file of two layers is not the same in both
 */
export function mergeLayers(first: PackageFiles, others: readonly PackageFiles[]): PackageFiles {
  const files = new Map(first);
  for (const [path, content] of others.flatMap((other) => [...other])) {
    const there = files.get(path);
    if (there !== undefined && !isSame(there, content)) {
      throw new PackageError(`two of them have a file ${show(path)}, and they differ`);
    }
    files.set(path, content);
  }
  return files;
}

/** Reads something of a package. @throws {PackageError} naming the package, in place of {@linkcode UnusablePackageError} */
export async function reading<T>(distribution: Distribution, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!(cause instanceof UnusablePackageError)) throw cause;
    throw new PackageError(`${pinOf(distribution, " ")}: ${cause.message}`, { cause });
  }
}

function checkBounds(size: number, count: number, { maxUnpackedBytes, maxFiles }: PackageBounds): void {
  if (size > maxUnpackedBytes) {
    const state = `together they have more than ${maxUnpackedBytes} bytes, which is the limit`;
    throw new PackageError(state, { code: "RESOURCE_LIMIT" });
  }
  if (count > maxFiles) {
    throw new PackageError(`together they have more than ${maxFiles} files, which is the limit`, {
      code: "RESOURCE_LIMIT",
    });
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
