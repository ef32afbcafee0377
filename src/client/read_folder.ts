/**
 * Reads a folder of code, and nothing that lies outside of it.
 * @module
 */

import { basename, join, relative, resolve, sep } from "node:path";
import { messageOf } from "../errors.ts";
import { PackageError } from "./errors.ts";
import { megabytes, type PackageBounds } from "./package_bounds.ts";

/** What was found. */
export interface FolderFiles {
  /** Contents by path from the folder, with `/` between segments. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Whether it is a folder rather than a single file. */
  readonly isFolder: boolean;
}

/** Whether a file or folder of this name is left out, and all that lies below it. */
export function isLeftOut(name: string): boolean {
  return name.startsWith(".") || name === "node_modules" || name === "__pycache__";
}

/**
 * Reads a folder, or a single file, which then goes by its own name alone.
 *
 * Links are followed where they stay in the folder and lead to nothing that is left out; another one is an error, since
 * a package without the file would fail later and further away.
 *
 * @throws {PackageError} naming the file
 */
export async function readFolder(path: string, bounds: PackageBounds): Promise<FolderFiles> {
  const root = await onFile(path, () => Deno.realPath(path));
  const reader = new FolderReader(root, bounds);
  const { isDirectory } = await onFile(path, () => Deno.stat(root));
  if (isDirectory) await reader.addFolder(root, "", [root]);
  // The name that the user gave, also where it is that of a link.
  else await reader.addFile(root, basename(resolve(path)));
  return { files: reader.files, isFolder: isDirectory };
}

class FolderReader {
  readonly files = new Map<string, Uint8Array>();
  readonly #root: string;
  readonly #bounds: PackageBounds;
  #size = 0;

  constructor(root: string, bounds: PackageBounds) {
    this.#root = root;
    this.#bounds = bounds;
  }

  /** @param above real paths of the folders that lead here, itself among them */
  async addFolder(folder: string, prefix: string, above: readonly string[]): Promise<void> {
    const entries = await onFile(prefix || folder, () => Array.fromAsync(Deno.readDir(folder)));
    for (const entry of entries) {
      if (isLeftOut(entry.name)) continue;
      const name = prefix + entry.name;
      const path = entry.isSymlink ? await this.#follow(join(folder, entry.name), name) : join(folder, entry.name);
      const { isDirectory } = entry.isSymlink ? await onFile(name, () => Deno.stat(path)) : entry;
      if (!isDirectory) await this.addFile(path, name);
      else if (above.includes(path)) {
        throw new PackageError(`the link ${quote(name)} leads back to a folder that it is in`);
      } else await this.addFolder(path, `${name}/`, [...above, path]);
    }
  }

  async addFile(path: string, name: string): Promise<void> {
    const { isFile, size } = await onFile(name, () => Deno.stat(path));
    // Reading a pipe or a device might never end.
    if (!isFile) throw new PackageError(`${quote(name)} is neither a file nor a folder`);
    this.#take(size);
    const content = await onFile(name, () => Deno.readFile(path));
    this.#take(content.length - size);
    this.files.set(name, content);
    const { maxFiles } = this.#bounds;
    if (this.files.size > maxFiles) throw new PackageError(`${this.#root} has more than ${maxFiles} files`);
  }

  #take(bytes: number): void {
    this.#size += bytes;
    const { maxBytes } = this.#bounds;
    if (this.#size <= maxBytes) return;
    throw new PackageError(`the files of ${this.#root} have more than ${megabytes(maxBytes)}, which is the limit`);
  }

  /** Where a link leads. */
  async #follow(link: string, name: string): Promise<string> {
    const target = await onFile(name, () => Deno.realPath(link));
    const segments = relative(this.#root, target).split(sep);
    if (target !== this.#root && !target.startsWith(this.#root.endsWith(sep) ? this.#root : this.#root + sep)) {
      throw new PackageError(`the link ${quote(name)} leaves the folder: it leads to ${target}`);
    }
    if (segments.some(isLeftOut)) {
      throw new PackageError(`the link ${quote(name)} leads to what is left out: ${target}`);
    }
    return target;
  }
}

/** Does something with a file; what goes wrong says which one. */
async function onFile<Result>(name: string, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotFound
      ? "there is no such file or folder"
      : cause instanceof Deno.errors.PermissionDenied
      ? "permission denied"
      : messageOf(cause);
    throw new PackageError(`cannot read ${quote(name)}: ${reason}`, { cause });
  }
}

function quote(name: string): string {
  return JSON.stringify(name);
}
