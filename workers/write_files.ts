/**
 * Writes the files of a code package where the worker of user code can read them. Runs in the sandbox host.
 * @module
 */

/** Longest path of a file of a package, in UTF-16 units. */
const MAX_PATH_LENGTH = 512;

/**
 * Writes files below a folder, then gives up the right to write there.
 * @param files contents by path from the folder
 * @returns the name of the error that kept it from that; `null` when all are written
 */
export function writeFiles(files: ReadonlyMap<string, Uint8Array>, directory: string): string | null {
  try {
    const made = new Set<string>([directory]);
    for (const [path, bytes] of files) {
      if (!isSafePath(path)) return "unsafe path";
      const file = `${directory}/${path}`;
      const parent = file.slice(0, file.lastIndexOf("/"));
      if (!made.has(parent)) Deno.mkdirSync(parent, { recursive: true });
      made.add(parent);
      Deno.writeFileSync(file, bytes, { createNew: true });
    }
    return null;
  } catch (error) {
    return error instanceof Error ? error.name : "unknown";
  } finally {
    Deno.permissions.revokeSync({ name: "write", path: directory });
  }
}

/** Reading the package has checked the path already; nothing is written on one look. */
function isSafePath(path: string): boolean {
  if (path.length > MAX_PATH_LENGTH || path.includes("\\") || path.includes("\0")) return false;
  return path.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
}
