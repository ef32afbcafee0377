/**
 * Installed packages on disk. A layer lies under its digest, so that sets of packages which come to the same share it, and
 * so that what has changed on disk is noticed; what was declared leads to it.
 *
 * Several processes may use one folder: files appear whole, and one that is gone is only missing.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { z } from "zod";
import { messageOf } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";

const logger = serviceLogger("packages");

/** Remembered sets; they are small, and each leads to a layer. */
const MAX_SETS = 10_000;

/** Options of a {@linkcode LayerStore}. */
export interface LayerStoreOptions {
  /** Made when it is missing. */
  readonly directory: string;
  /** What all layers may take, in bytes. One that is larger by itself is not kept. */
  readonly maxBytes: number;
}

/** A set of packages. */
export interface StoredLayer {
  readonly layer: Uint8Array;
  readonly installed: readonly string[];
  /** When versions were chosen, in milliseconds since 1970. */
  readonly resolvedAtMs: number;
}

const StoredSet = z.strictObject({
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  installed: z.array(z.string()),
  resolvedAtMs: z.number(),
});

/** A file, for deciding which goes. */
interface Aged {
  readonly path: string;
  readonly usedAtMs: number;
  readonly bytes: number;
}

/** See the module. */
export class LayerStore {
  readonly #options: LayerStoreOptions;
  readonly #layers: string;
  readonly #sets: string;

  private constructor(options: LayerStoreOptions) {
    this.#options = options;
    this.#layers = `${options.directory}/layers`;
    this.#sets = `${options.directory}/sets`;
  }

  /** Opens a folder, and makes it first where it is missing. */
  static async open(options: LayerStoreOptions): Promise<LayerStore> {
    const store = new LayerStore(options);
    for (const folder of [store.#layers, store.#sets]) await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    return store;
  }

  /** Gives what was kept for a key; `undefined` when there is nothing, or when it is not what it was. */
  async find(key: string): Promise<StoredLayer | undefined> {
    const setPath = this.#setPath(key);
    try {
      const set = StoredSet.parse(JSON.parse(await Deno.readTextFile(setPath)));
      const path = this.#layerPath(set.digest);
      const layer = await Deno.readFile(path);
      if (sha256(layer) !== set.digest) {
        logger.warn("A layer of packages has changed on disk and is removed: {path}", { path });
        await Deno.remove(path);
        return undefined;
      }
      const now = new Date();
      await Promise.all([Deno.utime(path, now, now), Deno.utime(setPath, now, now)]);
      return { layer, installed: set.installed, resolvedAtMs: set.resolvedAtMs };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        logger.warn("Cannot read a set of packages: {error}", { path: setPath, error: messageOf(error) });
      }
      return undefined;
    }
  }

  /** Keeps a layer. What was used longest ago goes when there is no room. */
  async keep(key: string, { layer, installed, resolvedAtMs }: StoredLayer): Promise<void> {
    if (layer.length > this.#options.maxBytes) return;
    const digest = sha256(layer);
    await writeWhole(this.#layerPath(digest), layer);
    const set = { digest, installed, resolvedAtMs };
    await writeWhole(this.#setPath(key), new TextEncoder().encode(JSON.stringify(set)));
    await this.#makeRoom(this.#layerPath(digest));
  }

  /** @param kept is not removed, however full it is */
  async #makeRoom(kept: string): Promise<void> {
    const layers = await filesIn(this.#layers);
    let bytes = layers.reduce((sum, file) => sum + file.bytes, 0);
    for (const { path, bytes: freed } of layers) {
      if (bytes <= this.#options.maxBytes) break;
      if (path === kept) continue;
      await removeQuietly(path);
      bytes -= freed;
    }
    const sets = await filesIn(this.#sets);
    for (const { path } of sets.slice(0, Math.max(0, sets.length - MAX_SETS))) await removeQuietly(path);
  }

  #layerPath(digest: string): string {
    return `${this.#layers}/${digest}.layer`;
  }

  #setPath(key: string): string {
    return `${this.#sets}/${sha256(new TextEncoder().encode(key))}.json`;
  }
}

/** Files of a folder, the one that was used longest ago first. */
async function filesIn(folder: string): Promise<Aged[]> {
  const files: Aged[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    const info = await Deno.stat(path).catch(() => undefined);
    if (info !== undefined) files.push({ path, usedAtMs: info.mtime?.getTime() ?? 0, bytes: info.size });
  }
  return files.sort((left, right) => left.usedAtMs - right.usedAtMs);
}

/** Another process that reads meanwhile sees the old file or the new one. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeFile(temporary, bytes, { mode: 0o600, createNew: true });
    await Deno.rename(temporary, path);
  } catch (error) {
    await removeQuietly(temporary);
    throw error;
  }
}

async function removeQuietly(path: string): Promise<void> {
  await Deno.remove(path).catch(() => {});
}

/** In hexadecimal digits. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
