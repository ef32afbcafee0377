/**
 * A folder of Python packages that tasks may ask for; no code of a package runs.
 * @module
 */

import type { PythonVersion } from "../../../workers/protocol.ts";
import { abortable } from "../../async/abortable.ts";
import { messageOf, ServiceError } from "../../errors.ts";
import { show } from "../../../workers/package/limits.ts";
import type { LocalPackage } from "../../../workers/install_protocol.ts";
import {
  type Distribution,
  type PackageBounds,
  type PackageIndex,
  UnusablePackageError,
} from "../../../workers/package/python/distribution.ts";
import { formatVersion } from "../../../workers/package/python/version.ts";
import { type FolderContents, FolderIndex } from "./folder_index.ts";
import { packLayer, reading } from "../../../workers/package/python/layer.ts";
import { type Layer, LayerCache } from "./layer_cache.ts";
import { parseRequirementLines } from "../../../workers/package/python/requirement_lines.ts";
import { pinOf } from "../../../workers/package/python/preference.ts";
import { resolve } from "../../../workers/package/python/resolver.ts";

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

/** A package, and what an installer is told of it. */
export interface DescribedDistribution {
  readonly distribution: Distribution;
  readonly description: LocalPackage;
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
      : `the folder of packages ${show(path)}`;
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

  /** Normalised names of the packages that it has. @throws {ServiceError} `INTERNAL` when it cannot be read */
  async names(): Promise<ReadonlySet<string>> {
    return new Set((await this.#contents()).keys());
  }

  /**
   * Describes packages for an installer, and those of its own that these need in turn.
   *
   * @param options `hashes` says whether digests are wanted, which takes reading the files
   */
  async describe(
    names: Iterable<string>,
    { version, hashes }: { readonly version: PythonVersion; readonly hashes: boolean },
  ): Promise<DescribedDistribution[]> {
    const contents = await this.#contents();
    const described: DescribedDistribution[] = [];
    const open = new Set(names);
    // A set gives what is added while it is gone through.
    for (const name of open) {
      for (const distribution of contents.get(name) ?? []) {
        const { description, needs } = await describe(distribution, { version, hashes });
        described.push({ distribution, description });
        for (const need of needs) open.add(need);
      }
    }
    return described;
  }

  /**
   * Makes a layer of packages that were chosen.
   * @throws {PackageError | ServiceError} as {@linkcode resolve}
   */
  async pack(chosen: readonly Distribution[], signal: AbortSignal): Promise<ResolvedPackages> {
    const { bytes, digest } = await abortable(this.#layerOf(chosen), signal);
    return { layer: bytes, digest, installed: chosen.map((distribution) => pinOf(distribution)) };
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
    const contents: FolderContents = parsed.length === 0 ? new Map() : await this.#contents();
    const index: PackageIndex = { find: (name) => Promise.resolve(contents.get(name)) };
    return await this.pack(await resolve(parsed, { version, index, place: this.#place, signal }), signal);
  }

  async #contents(): Promise<FolderContents> {
    return await this.#index?.current() ?? new Map();
  }

  async #layerOf(chosen: readonly Distribution[]): Promise<Layer> {
    if (chosen.length === 0) return NO_PACKAGES;
    const states = await Promise.all(chosen.map((distribution) => reading(distribution, () => distribution.refresh())));
    return await this.#layers.get(states.join("\n"), () => packLayer(chosen, this.#bounds));
  }
}

async function describe(
  distribution: Distribution,
  { version, hashes }: { readonly version: PythonVersion; readonly hashes: boolean },
): Promise<{ readonly description: LocalPackage; readonly needs: readonly string[] }> {
  const { name, wheelName } = distribution;
  const head = {
    name,
    version: distribution.version === undefined ? null : formatVersion(distribution.version),
    wheel: wheelName?.fileName ?? null,
  };
  try {
    await distribution.refresh();
    const unusable = await distribution.unusableOn(version);
    if (unusable !== undefined) throw new UnusablePackageError(unusable);
    const { source: { headers, requiresText = null }, requires } = await distribution.metadata();
    const sha256 = hashes ? await distribution.digest("sha256") ?? null : null;
    return {
      description: { ...head, unusable: null, headers, requiresText, sha256 },
      needs: requires.map((requirement) => requirement.name),
    };
  } catch (error) {
    if (!(error instanceof UnusablePackageError)) throw error;
    return {
      description: { ...head, unusable: error.message, headers: "", requiresText: null, sha256: null },
      needs: [],
    };
  }
}

/** The layer of no packages, with the SHA-256 of nothing. */
const NO_PACKAGES: Layer = {
  bytes: new Uint8Array(),
  digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
};
