/**
 * Writes the files of a code package where the worker of user code can read them. Runs in the sandbox host.
 * @module
 */

import type { FilesReply, FilesToWrite } from "./protocol.ts";

/** Longest path of a file of a package, in UTF-16 units. */
const MAX_PATH_LENGTH = 512;

/** Whether a worker's message has the shape of {@linkcode FilesToWrite}. */
export function isFilesToWrite(data: unknown): data is FilesToWrite {
  if (typeof data !== "object" || data === null || !("files" in data) || !Array.isArray(data.files)) return false;
  return data.files.every((entry: unknown) =>
    Array.isArray(entry) && typeof entry[0] === "string" && isSafePath(entry[0]) && entry[1] instanceof Uint8Array
  );
}

/** Writes them below a folder, then gives up the right to write there. */
export function writeFiles({ files }: FilesToWrite, directory: string): FilesReply {
  try {
    const made = new Set<string>([directory]);
    for (const [path, bytes] of files) {
      const file = `${directory}/${path}`;
      const parent = file.slice(0, file.lastIndexOf("/"));
      if (!made.has(parent)) Deno.mkdirSync(parent, { recursive: true });
      made.add(parent);
      Deno.writeFileSync(file, bytes, { createNew: true });
    }
    return { codeUrl: `file://${directory}/` };
  } catch (error) {
    return { filesError: error instanceof Error ? error.name : "unknown" };
  } finally {
    Deno.permissions.revokeSync({ name: "write", path: directory });
  }
}

/** Validation has checked the path already; the host believes nobody. */
function isSafePath(path: string): boolean {
  if (path.length > MAX_PATH_LENGTH || path.includes("\\") || path.includes("\0")) return false;
  return path.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
}
