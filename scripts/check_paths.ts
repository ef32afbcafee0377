/**
 * Finds paths of somebody's own machine in the repository's files: they work nowhere else, and tell who wrote them.
 *
 * Usage: `deno run --allow-read scripts/check_paths.ts`
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url);

/** Folders that are not ours to check: made anew, or downloaded. */
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set([".git", "dist", "node_modules", "coverage", "__pycache__"]);

/** Files that hold no text; nothing in them is read. */
const BINARY = /\.(?:wav|png|jpg|zip|wasm|pkl|bin|binpb|pyc)$/;

/** Home folders, and folders that people and build machines work in. */
const OWN_PATH = /(?<![\w.~*$}/-])(?:\/(?:home|Users|root|work|workspace|builds|github)\/[\w.~-]+|[A-Z]:\\Users\\\w+)/;

/** A path that should not be there. */
export interface OwnPath {
  readonly line: number;
  readonly path: string;
}

/** Every own path in a text, at most one for each line. */
export function findOwnPaths(text: string): OwnPath[] {
  return text.split("\n").flatMap((line, index) => {
    const match = OWN_PATH.exec(line);
    return match === null ? [] : [{ line: index + 1, path: match[0] }];
  });
}

/** Every own path in the text files below a folder, as `file:line: path`. */
export async function checkPaths(folder: URL = ROOT, prefix = ""): Promise<string[]> {
  const faults: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    if (isDirectory && !SKIPPED_FOLDERS.has(name)) {
      faults.push(...await checkPaths(new URL(`${encodeURIComponent(name)}/`, folder), `${prefix}${name}/`));
    } else if (isFile && !BINARY.test(name)) {
      const text = await Deno.readTextFile(new URL(encodeURIComponent(name), folder));
      faults.push(...findOwnPaths(text).map(({ line, path }) => `${prefix}${name}:${line}: ${path}`));
    }
  }
  return faults.sort();
}

if (import.meta.main) {
  const faults = await checkPaths();
  for (const fault of faults) console.error(`${fault}: a path of one machine; make it relative or configurable`);
  if (faults.length > 0) Deno.exit(1);
}
