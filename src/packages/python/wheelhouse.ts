/**
 * A folder of Python packages that tasks may ask for, and nothing but that folder: no index is asked, no code of a
 * package runs.
 * @module
 */

import type { PythonVersion } from "../../../workers/protocol.ts";
import { abortable } from "../../async/abortable.ts";
import { messageOf, ServiceError } from "../../errors.ts";
import { quote } from "../errors.ts";
import type { Distribution, PackageBounds } from "./distribution.ts";
import { FolderIndex, type PackageIndex } from "./folder_index.ts";
import { packLayer, reading } from "./layer.ts";
import { type Layer, LayerCache } from "./layer_cache.ts";
import { parseRequirementLines } from "./requirement_lines.ts";
import { pinOf } from "./preference.ts";
import { resolve } from "./resolver.ts";

/** Options of {@linkcode Wheelhouse.open}. */
export interface WheelhouseOptions {
  readonly bounds: PackageBounds;
  /** Bytes of layers that are kept in memory for later tasks. */
  readonly maxCacheBytes: number;
}

/** Options of {@linkcode Wheelhouse.resolve}. */
export interface ResolveRequest {
  /** Of the sandbox that the packages are for. */
  readonly version: PythonVersion;
  /** Lines as in a requirements file. */
  readonly requirements: readonly string[];
  readonly signal: AbortSignal;
}

/** Packages for one task. */
export interface ResolvedPackages {
  /** A zip of `site-packages`, stored; empty for none. Tasks share it: it must not be changed or transferred. */
  readonly layer: Uint8Array;
  /** SHA-256 of the layer, in hexadecimal. */
  readonly digest: string;
  /** What is in it: `cloudpickle==2.2.0`, or a name alone where nothing says the version. Sorted. */
  readonly installed: readonly string[];
}

/** A folder of packages. */
export class Wheelhouse {
  readonly #index: FolderIndex | undefined;
  readonly #place: string;
  readonly #bounds: PackageBounds;
  readonly #layers: LayerCache;

  private constructor(path: string, { bounds, maxCacheBytes }: WheelhouseOptions) {
    this.#index = path === "" ? undefined : new FolderIndex(path, bounds);
    this.#place = path === ""
      ? "the service, which was given no folder of packages (PYTHON_PACKAGES_DIR)"
      : `the folder of packages ${quote(path)}`;
    this.#bounds = bounds;
    this.#layers = new LayerCache(maxCacheBytes);
  }

  /**
   * Opens a folder, which is looked at once; changes to it are noticed later.
   *
   * @param path of the folder; empty for none, where only what the sandbox has itself can be asked for
   * @throws {ServiceError} `CONFIG_INVALID` when it is no folder that can be read
   */
  static async open(path: string, options: WheelhouseOptions): Promise<Wheelhouse> {
    const wheelhouse = new Wheelhouse(path, options);
    try {
      await wheelhouse.#index?.current();
    } catch (cause) {
      throw new ServiceError("CONFIG_INVALID", messageOf(cause), { cause });
    }
    return wheelhouse;
  }

  /**
   * Finds packages for requirements, the newest versions that fit together, and makes a layer of them.
   *
   * @throws {PackageError} `INVALID_TASK` naming what cannot be had, who asks for it and where it was looked for;
   * `RESOURCE_LIMIT` when it is more than a task may have
   * @throws {ServiceError} `INTERNAL` when the folder cannot be read any more
   * @throws the signal's reason when it aborts
   */
  async resolve({ version, requirements, signal }: ResolveRequest): Promise<ResolvedPackages> {
    signal.throwIfAborted();
    const parsed = parseRequirementLines(requirements);
    const index: PackageIndex = parsed.length === 0 ? new Map() : await this.#index?.current() ?? new Map();
    const chosen = await resolve(parsed, { version, index, place: this.#place, signal });
    const { bytes, digest } = await abortable(this.#layerOf(chosen), signal);
    return { layer: bytes, digest, installed: chosen.map((distribution) => pinOf(distribution)) };
  }

  async #layerOf(chosen: readonly Distribution[]): Promise<Layer> {
    if (chosen.length === 0) return NO_PACKAGES;
    const states = await Promise.all(chosen.map((distribution) => reading(distribution, () => distribution.refresh())));
    return await this.#layers.get(states.join("\n"), () => packLayer(chosen, this.#bounds));
  }
}

/** The layer of no packages, with the SHA-256 of nothing. */
const NO_PACKAGES: Layer = {
  bytes: new Uint8Array(),
  digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
};
