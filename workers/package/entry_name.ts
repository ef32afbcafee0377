/**
 * Names of files in a package: which are safe wherever they may be used, as a path, a URL or a key.
 * @module
 */

import { hostile, malformed, overLimit, type PackageLimits, show } from "./limits.ts";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads the name of a zip entry (APPNOTE 4.4.17 and appendix D).
 *
 * Without the UTF-8 flag a name is in code page 437, which agrees with UTF-8 in ASCII alone; CPython sets the flag on
 * every other name, so what remains is refused rather than guessed.
 *
 * @returns the path with `/` between segments and none at its end, in the bytes' own normalisation
 * @throws {TaskError} `INVALID_TASK`, `SECURITY_VIOLATION` or `RESOURCE_LIMIT`, naming the entry
 */
export function parseEntryName(
  bytes: Uint8Array,
  options: { isUtf8: boolean; limits: PackageLimits },
): { path: string; isDirectory: boolean } {
  const { isUtf8, limits } = options;
  if (bytes.length > limits.maxPathBytes) {
    throw overLimit("the length of a path", limits.maxPathBytes, bytes.length, "bytes");
  }
  const name = decodeName(bytes);
  if (!isUtf8 && bytes.some((byte) => byte >= 0x80)) {
    throw malformed(`the name of entry ${show(name)} is not marked as UTF-8`);
  }
  const isDirectory = name.endsWith("/");
  const path = isDirectory ? name.slice(0, -1) : name;
  const fault = faultOfPath(path);
  if (fault !== undefined) throw hostile(`the name of entry ${show(name)} ${fault}`);
  const depth = path.split("/").length;
  if (depth > limits.maxPathDepth) throw overLimit("the depth of a path", limits.maxPathDepth, depth, "segments");
  return { path, isDirectory };
}

function decodeName(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw malformed("the name of an entry is not UTF-8", { cause });
  }
}

/** Says why a path must not be used; `undefined` when it is a plain relative path. */
export function faultOfPath(path: string): string | undefined {
  if (path === "") return "is empty";
  // deno-lint-ignore no-control-regex -- these are the characters to refuse
  if (/[\u0000-\u001f\u007f-\u009f]/.test(path)) return "holds a control character";
  if (path.includes("\\")) return "holds a backslash";
  if (path.startsWith("/")) return "is an absolute path";
  // A drive letter, an alternate stream of NTFS, a scheme; it would also end the path of an entry point.
  if (path.includes(":")) return "holds a colon";
  // The URL standard reads %2e as a dot segment; %2f and %5c turn into separators as soon as someone decodes.
  if (/%(?:2e|2f|5c|00)/i.test(path)) return "holds a percent-encoded dot, separator or NUL";
  // Bidirectional and zero-width characters make a name look like another one.
  if (/[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/.test(path)) return "holds an invisible character";
  for (const segment of path.split("/")) {
    if (segment === "") return "holds an empty segment";
    if (segment === "." || segment === "..") return `holds a "${segment}" segment`;
    // Windows drops both, so that "main.ts." would be main.ts.
    if (/[. ]$/.test(segment)) return "holds a segment that ends in a dot or a space";
  }
  return undefined;
}

/** Paths with the same key are one file on some file system: case and Unicode normalisation are ignored. */
export function collisionKey(path: string): string {
  return path.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFC");
}

/** Refuses entries that cannot lie in one folder: twins, and files that would have to be folders. */
export class PathRegister {
  readonly #seen = new Map<string, { path: string; isDirectory: boolean; isEntry: boolean }>();

  /** @throws {TaskError} `SECURITY_VIOLATION` naming both paths */
  add(path: string, isDirectory: boolean): void {
    const key = collisionKey(path);
    const twin = this.#seen.get(key);
    if (twin !== undefined && (twin.isEntry || twin.path !== path || !isDirectory)) {
      throw hostile(`the entries ${show(twin.path)} and ${show(path)} are one and the same file`);
    }
    this.#seen.set(key, { path, isDirectory, isEntry: true });
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const folder = path.slice(0, at);
      const folderKey = collisionKey(folder);
      const known = this.#seen.get(folderKey);
      if (known === undefined) {
        this.#seen.set(folderKey, { path: folder, isDirectory: true, isEntry: false });
      } else if (!known.isDirectory) {
        throw hostile(`the entry ${show(known.path)} is a file, and ${show(path)} lies below it`);
      } else if (known.path !== folder) {
        throw hostile(`the folders ${show(known.path)} and ${show(folder)} are one and the same`);
      } else return;
    }
  }
}
