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
  #bytes = 0;
  #measuredAt = 0;
  #measuring = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Bytes that it took when it was last measured. Measures again when that is some time ago. */
  bytes(nowMs: number): number {
    if (!this.#measuring && nowMs - this.#measuredAt >= INTERVAL_MS) {
      this.#measuring = true;
      this.#measuredAt = nowMs;
      void directoryBytes(this.#directory).then((bytes) => {
        this.#bytes = bytes;
        this.#measuring = false;
      });
    }
    return this.#bytes;
  }
}

/** Space that a folder takes, in bytes; what vanishes while it is measured is not counted. */
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
        const { blocks, size } = await Deno.lstat(path);
        bytes += ENTRY_BYTES + (blocks === null ? size : blocks * BLOCK_BYTES);
      }
    } catch {
      // Removed meanwhile, by the task or with its host.
    }
  }
  return bytes;
}
