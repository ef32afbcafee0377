/**
 * Where the packages that tasks depend on come from.
 * @module
 */

import { PackageError } from "./errors.ts";
import {
  type DependencyRequest,
  type DependencyResolver,
  NO_PACKAGES,
  type ResolvedDependencies,
} from "./dependencies.ts";
import { Wheelhouse, type WheelhouseOptions } from "./python/wheelhouse.ts";

/** Bytes of layers that are kept in memory for later tasks. */
const MAX_CACHE_BYTES = 128 * 1024 * 1024;

/** Gives Python what lies in the wheelhouse. */
export class TaskPackages implements DependencyResolver {
  readonly #wheelhouse: Wheelhouse;

  private constructor(wheelhouse: Wheelhouse) {
    this.#wheelhouse = wheelhouse;
  }

  /**
   * @param directory the wheelhouse; `null` for none
   * @throws {ServiceError} `CONFIG_INVALID` when it is no folder that can be read
   */
  static async open(directory: string | null, bounds: WheelhouseOptions["bounds"]): Promise<TaskPackages> {
    return new TaskPackages(await Wheelhouse.open(directory ?? "", { bounds, maxCacheBytes: MAX_CACHE_BYTES }));
  }

  async resolve(request: DependencyRequest, signal: AbortSignal): Promise<ResolvedDependencies> {
    const { version, requirements, implied } = request;
    if (version === undefined) return await NO_PACKAGES.resolve(request, signal);
    const options = { version, signal };
    try {
      return await this.#wheelhouse.resolve({ ...options, requirements: [...requirements, ...implied] });
    } catch (error) {
      // Without what is only implied the task may still do, and says so itself where it cannot.
      if (!(error instanceof PackageError) || implied.length === 0) throw error;
      return await this.#wheelhouse.resolve({ ...options, requirements });
    }
  }
}
