/**
 * All that installs packages of npm, made of the configuration.
 * @module
 */

import type { Config } from "../../config/schema.ts";
import { messageOf, ServiceError } from "../../errors.ts";
import { MEGABYTE } from "../../units.ts";
import { answerBytes, Installer, type InstallerOptions } from "../installer/installer.ts";
import type { DependencyRequest, DependencyResolver, ResolvedDependencies } from "../dependencies.ts";
import { LayerStore } from "../layers/layer_store.ts";
import { NpmResolver } from "./npm_resolver.ts";

/** Packages of npm for tasks. Owned by whoever opened it. */
export class NpmPackages implements DependencyResolver, AsyncDisposable {
  readonly #installer: Installer;
  readonly #resolver: NpmResolver;

  private constructor(installer: Installer, resolver: NpmResolver) {
    this.#installer = installer;
    this.#resolver = resolver;
  }

  /**
   * Opens the folder of layers, and makes it where it is missing. Nothing is started before it is needed.
   *
   * @param host What installers are started with, as hosts of user code are
   * @throws {ServiceError} `CONFIG_INVALID` when the folder or the file of certificates cannot be used
   */
  static async open(
    { policy, layers }: Pick<Config, "policy" | "layers">,
    host: InstallerOptions["host"],
  ): Promise<NpmPackages> {
    const { npm, maxCompressedMb, maxUnpackedMb, maxFiles } = policy.packages;
    const { caFile } = npm;
    const caCerts = caFile === null || !npm.allowed
      ? []
      : [await usable("policy.packages.npm.caFile", Deno.readTextFile(caFile))];
    const directory = layers.directory ?? `${host.runtimeDirectory}/layers`;
    const store = await usable(
      "layers.directory",
      LayerStore.open({ directory, maxBytes: layers.maxMb * MEGABYTE }),
    );
    const installer = new Installer({
      host: { ...host, maxInputBytes: Math.max(host.maxInputBytes, (maxCompressedMb + 1) * MEGABYTE) },
      maxPackageBytes: maxCompressedMb * MEGABYTE,
      maxPackageFiles: maxFiles,
    });
    return new NpmPackages(
      installer,
      new NpmResolver({
        policy: npm,
        caCerts,
        refreshHours: layers.refreshHours,
        installer,
        store,
        maxUnpackedBytes: maxUnpackedMb * MEGABYTE,
        now: Date.now,
      }),
    );
  }

  resolve(
    request: Pick<DependencyRequest, "requirements" | "codePackage">,
    signal: AbortSignal,
  ): Promise<ResolvedDependencies> {
    return this.#resolver.resolve(request, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#installer[Symbol.asyncDispose]();
  }
}

/** What the layer of a task may add to its frame, in bytes. */
export function maxLayerBytes({ packages: { npm } }: Config["policy"]): number {
  return npm.allowed ? answerBytes(npm.maxMb * MEGABYTE) : 0;
}

async function usable<T>(key: string, opening: Promise<T>): Promise<T> {
  try {
    return await opening;
  } catch (cause) {
    throw new ServiceError("CONFIG_INVALID", `Cannot use "${key}": ${messageOf(cause)}`, { cause });
  }
}
