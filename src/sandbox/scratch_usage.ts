/**
 * How much a task has written to its scratch folder, where the file system itself does not bound it.
 * @module
 */

/** Unit of `st_blocks`; see stat(2). */
const BLOCK_BYTES = 512;
/** Entries after which the count goes no further: a folder of empty files takes space, too. */
const MAX_ENTRIES = 10_000;
/** What an entry takes besides its contents. */
const ENTRY_BYTES = 1_024;
/** How often the folder is measured, in milliseconds. */
const INTERVAL_MS = 20;

/** Measures a folder again and again, in the background. */
export class ScratchUsage {
  readonly #directory: string;
  readonly #pid: number;
  #bytes = 0;
  #measuredAt = 0;
  #measuring = false;

  /** @param pid the process that writes to it */
  constructor(directory: string, pid: number) {
    this.#directory = directory;
    this.#pid = pid;
  }

  /** Bytes that it took when it was last measured. Measures again when that is some time ago. */
  bytes(nowMs: number): number {
    if (!this.#measuring && nowMs - this.#measuredAt >= INTERVAL_MS) {
      this.#measuring = true;
      this.#measuredAt = nowMs;
      const parts = [directoryBytes(this.#directory), removedBytes(this.#pid, this.#directory)];
      void Promise.all(parts).then(([kept = 0, removed = 0]) => {
        this.#bytes = kept + removed;
        this.#measuring = false;
      });
    }
    return this.#bytes;
  }
}

/**
 * Space that a folder takes, in bytes; what vanishes while it is measured is not counted. What cannot be looked at takes
 * too much: a folder that may not be read, one below `PATH_MAX`, a file in the folder's own place.
 */
export async function directoryBytes(directory: string): Promise<number> {
  let entries = 0;
  let bytes = 0;
  const folders = [directory];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        if (++entries > MAX_ENTRIES) return Infinity;
        const path = `${folder}/${name}`;
        if (isDirectory) folders.push(path);
        bytes += ENTRY_BYTES + await fileBytes(path, Deno.lstat);
      }
    } catch (error) {
      // Removed meanwhile, by the task or with its host.
      if (!(error instanceof Deno.errors.NotFound)) return Infinity;
    }
  }
  return bytes;
}

/** Space of files in a folder that a process holds open though they are removed, which no folder shows. */
async function removedBytes(pid: number, directory: string): Promise<number> {
  let bytes = 0;
  try {
    for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${name}`;
      const target = await Deno.readLink(path).catch(() => "");
      if (!target.startsWith(`${directory}/`) || !target.endsWith(" (deleted)")) continue;
      bytes += await fileBytes(path, Deno.stat);
    }
  } catch {
    // The process has ended, or there is no `/proc`.
  }
  return bytes;
}

async function fileBytes(path: string, stat: (path: string) => Promise<Deno.FileInfo>): Promise<number> {
  try {
    const { blocks, size } = await stat(path);
    return blocks === null ? size : blocks * BLOCK_BYTES;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
