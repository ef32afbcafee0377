/**
 * The files through which the kernel's control groups are used; see cgroups(7).
 * @module
 */

/** What is done with them; tests put a kernel of their own behind it. */
export interface GroupFiles {
  read(path: string): string;
  /** Writes to a file that exists. */
  write(path: string, text: string): void;
  exists(path: string): boolean;
  /** Names of the groups below a group. */
  groups(path: string): string[];
  /** Makes a group; the kernel puts its files there. */
  make(path: string): void;
  /**
   * Removes a group and the kernel's files in it.
   * @throws {Deno.errors.Busy} while a process or another group is in it
   */
  remove(path: string): void;
}

/** The kernel that this program runs on. */
export const kernelFiles: GroupFiles = {
  read: (path) => Deno.readTextFileSync(path),
  write: (path, text) => Deno.writeTextFileSync(path, text, { create: false }),
  exists(path) {
    try {
      Deno.statSync(path);
      return true;
    } catch {
      return false;
    }
  },
  groups: (path) => Array.from(Deno.readDirSync(path)).filter(({ isDirectory }) => isDirectory).map(({ name }) => name),
  make: (path) => Deno.mkdirSync(path),
  remove(path) {
    try {
      Deno.removeSync(path);
    } catch (error) {
      // Deno has a class for it and does not throw it.
      if (error instanceof Error && "code" in error && error.code === "EBUSY") {
        throw new Deno.errors.Busy(error.message, { cause: error });
      }
      throw error;
    }
  },
};
