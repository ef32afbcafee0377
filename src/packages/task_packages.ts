/**
 * Where the packages that tasks depend on come from, made of the configuration.
 * @module
 */

import type { Config } from "../config/schema.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { MEGABYTE } from "../units.ts";
import type { DependencyRequest, DependencyResolver, ResolvedDependencies } from "./dependencies.ts";
import { answerBytes, Installer, type InstallerOptions } from "./installer/installer.ts";
import { InstalledLayers } from "./layers/installed_layers.ts";
import { LayerStore } from "./layers/layer_store.ts";
import { NpmResolver } from "./npm/npm_resolver.ts";
import { PythonResolver } from "./python/python_resolver.ts";
import { Wheelhouse } from "./python/wheelhouse.ts";

/** Bytes of the wheelhouse's layers that are kept in memory for later tasks. */
const MAX_CACHE_BYTES = 128 * 1024 * 1024;

/** Gives Python packages of the wheelhouse and of an index, and TypeScript and JavaScript packages of npm. Owned by whoever opened it. */
export class TaskPackages implements DependencyResolver, AsyncDisposable {
  readonly #installer: Installer;
  readonly #npm: NpmResolver;
  readonly #python: PythonResolver;

  private constructor(installer: Installer, npm: NpmResolver, python: PythonResolver) {
    this.#installer = installer;
    this.#npm = npm;
    this.#python = python;
  }

  /**
   * Opens the folder of layers, which is made where it is missing, and the wheelhouse. Nothing is started before it is
   * needed.
   *
   * @param host What installers are started with, as hosts of user code are
   * @throws {ServiceError} `CONFIG_INVALID` when a folder or a file of certificates cannot be used
   */
  static async open(
    { policy, layers: { directory, maxMb, refreshHours }, python }: Pick<Config, "policy" | "layers" | "python">,
    host: InstallerOptions["host"],
  ): Promise<TaskPackages> {
    const { packages } = policy;
    const bounds = {
      maxCompressedBytes: packages.maxCompressedMb * MEGABYTE,
      maxUnpackedBytes: packages.maxUnpackedMb * MEGABYTE,
      maxFiles: packages.maxFiles,
    };
    const wheelhouse = await Wheelhouse.open(python.packagesDirectory ?? "", {
      bounds,
      maxCacheBytes: MAX_CACHE_BYTES,
    });
    const store = await usable(
      "layers.directory",
      LayerStore.open({ directory: directory ?? `${host.runtimeDirectory}/layers`, maxBytes: maxMb * MEGABYTE }),
    );
    const layers = new InstalledLayers({ store, refreshHours, now: Date.now });
    const installer = new Installer({
      host: { ...host, maxInputBytes: Math.max(host.maxInputBytes, (packages.maxCompressedMb + 1) * MEGABYTE) },
      maxPackageBytes: bounds.maxCompressedBytes,
      maxPackageFiles: bounds.maxFiles,
    });
    const npm = new NpmResolver({
      policy: packages.npm,
      caCerts: await certificates("npm", packages.npm),
      installer,
      layers,
      maxUnpackedBytes: bounds.maxUnpackedBytes,
    });
    const fromIndex = new PythonResolver({
      wheelhouse,
      policy: packages.python,
      caCerts: await certificates("python", packages.python),
      installer,
      layers,
    });
    return new TaskPackages(installer, npm, fromIndex);
  }

  async resolve(request: DependencyRequest, signal: AbortSignal): Promise<ResolvedDependencies> {
    return await (request.version === undefined ? this.#npm : this.#python).resolve(request, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#installer[Symbol.asyncDispose]();
  }
}

/** What npm packages may add to the frame of a task, in bytes. */
export function maxNpmLayerBytes({ packages: { npm } }: Config["policy"]): number {
  return npm.allowed ? answerBytes(npm.maxMb * MEGABYTE) : 0;
}

/** What packages of Python may add to the frame of a task, in bytes: those of the wheelhouse, and of an index. */
export function maxPythonLayerBytes({ packages: { maxUnpackedMb, python } }: Config["policy"]): number {
  return maxUnpackedMb * MEGABYTE + (python.allowed ? answerBytes(python.maxMb * MEGABYTE) : 0);
}

async function certificates(
  kind: "npm" | "python",
  { caFile, allowed }: { readonly caFile: string | null; readonly allowed: boolean },
): Promise<string[]> {
  if (caFile === null || !allowed) return [];
  return [await usable(`policy.packages.${kind}.caFile`, Deno.readTextFile(caFile))];
}

async function usable<T>(key: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (cause) {
    throw new ServiceError("CONFIG_INVALID", `Cannot use "${key}": ${messageOf(cause)}`, { cause });
  }
}
