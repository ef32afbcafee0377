/**
 * Files below a folder, and no others: symbolic links that lead out of it are not followed.
 * @module
 */

import { faultOfPath } from "../../../workers/package/entry_name.ts";
import { UnusablePackageError } from "../../../workers/package/python/distribution.ts";

/** Folders below one another; a link to a folder that it is in would go on for ever. */
const MAX_DEPTH = 32;

/** Reads below a folder. */
export class FolderFiles {
  /** @param root the folder's real path */
  constructor(readonly root: string) {}

  /** What changes with the files and folders of these names: when each was changed last, and how large it is. */
  async state(names: readonly string[]): Promise<string> {
    const states = await Promise.all(names.map(async (name) => {
      const info = await onFile(name, () => this.#tryStat(name));
      return `${this.root}/${name}\0${info?.size}\0${info?.mtime?.getTime()}`;
    }));
    return states.join("\n");
  }

  /** Those of paths that are there. */
  async existing(paths: readonly string[]): Promise<string[]> {
    const there = await Promise.all(paths.map((path) => onFile(path, () => this.#tryStat(path))));
    return paths.filter((_, index) => there[index] !== undefined);
  }

  /** Files and folders right in the folder that are modules of the names that are wanted. */
  async modules(isWanted: (module: string) => boolean): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.root)) {
      const module = moduleOf(name);
      if (module !== undefined && isWanted(module)) names.push(name);
    }
    return names;
  }

  /**
   * Files at and below paths, without what the interpreter compiled of them.
   * @returns their paths from the folder, sorted by code units
   * @throws {UnusablePackageError} for a link out of the folder, a name that no package may have, too many files
   */
  async list(starts: readonly string[], maxFiles: number): Promise<string[]> {
    const found = new Set<string>();
    const visit = async (path: string, depth: number): Promise<void> => {
      if (/(?:^|\/)__pycache__(?:\/|$)|\.py[co]$/.test(path)) return;
      const fault = faultOfPath(path);
      if (fault !== undefined) throw new UnusablePackageError(`the name of its ${JSON.stringify(path)} ${fault}`);
      if (depth > MAX_DEPTH) throw new UnusablePackageError(`it has more than ${MAX_DEPTH} folders in one another`);
      const real = await this.#realPath(path);
      const { isDirectory, isFile } = await onFile(path, () => Deno.stat(real));
      if (isDirectory) {
        const entries = await onFile(path, () => Array.fromAsync(Deno.readDir(real)));
        for (const { name } of entries) await visit(`${path}/${name}`, depth + 1);
      } else if (isFile) {
        found.add(path);
        if (found.size > maxFiles) throw new UnusablePackageError(`it has more than ${maxFiles} files`);
      }
    };
    for (const start of starts) await visit(start, 1);
    return [...found].sort();
  }

  /** @throws {UnusablePackageError} for more bytes than there may be, or a link out of the folder */
  async read(path: string, maxBytes: number): Promise<Uint8Array> {
    const real = await this.#realPath(path);
    const tooLarge = () => new UnusablePackageError(`with ${JSON.stringify(path)} it is larger than packages may be`);
    // Before it is read: it may be larger than memory.
    if ((await onFile(path, () => Deno.stat(real))).size > maxBytes) throw tooLarge();
    const content = await onFile(path, () => Deno.readFile(real));
    if (content.length > maxBytes) throw tooLarge();
    return content;
  }

  /** The text of a file; `undefined` where there is none. */
  async tryReadText(path: string, maxBytes: number): Promise<string | undefined> {
    const info = await onFile(path, () => this.#tryStat(path));
    if (info === undefined || !info.isFile) return undefined;
    return new TextDecoder().decode(await this.read(path, maxBytes));
  }

  async #tryStat(path: string): Promise<Deno.FileInfo | undefined> {
    try {
      return await Deno.stat(`${this.root}/${path}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
      throw error;
    }
  }

  async #realPath(path: string): Promise<string> {
    const real = await onFile(path, () => Deno.realPath(`${this.root}/${path}`));
    if (real.startsWith(`${this.root}/`)) return real;
    throw new UnusablePackageError(`its ${JSON.stringify(path)} is a symbolic link out of the folder`);
  }
}

/** Whoever asks learns no more of the service's files than that one cannot be read. */
async function onFile<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    throw new UnusablePackageError(`its ${JSON.stringify(path)} cannot be read`, { cause });
  }
}

/** The module that a file or folder right in the folder is; `undefined` when it is none. */
export function moduleOf(name: string): string | undefined {
  return /^([\p{L}_][\p{L}\p{N}_]*)(?:\.py|\.(?:[\w-]+\.)?so)?$/u.exec(name)?.[1];
}
