/**
 * Where the packages that tasks depend on come from.
 * @module
 */

import { PackageError } from "./errors.ts";
import type { DependencyRequest, DependencyResolver, ResolvedDependencies } from "./dependencies.ts";
import { Wheelhouse, type WheelhouseOptions } from "./python/wheelhouse.ts";

/** Bytes of layers that are kept in memory for later tasks. */
const MAX_CACHE_BYTES = 128 * 1024 * 1024;

/** Options of {@linkcode TaskPackages}. */
export interface TaskPackagesOptions {
  /** The wheelhouse; `null` for none. */
  readonly directory: string | null;
  readonly bounds: WheelhouseOptions["bounds"];
  /** What TypeScript and JavaScript get their packages from. */
  readonly npm: DependencyResolver;
}

/** Gives Python what lies in the wheelhouse, and TypeScript and JavaScript packages of npm. */
export class TaskPackages implements DependencyResolver {
  readonly #wheelhouse: Wheelhouse;
  readonly #npm: DependencyResolver;

  private constructor(wheelhouse: Wheelhouse, npm: DependencyResolver) {
    this.#wheelhouse = wheelhouse;
    this.#npm = npm;
  }

  /** @throws {ServiceError} `CONFIG_INVALID` when the wheelhouse is no folder that can be read */
  static async open({ directory, bounds, npm }: TaskPackagesOptions): Promise<TaskPackages> {
    const wheelhouse = await Wheelhouse.open(directory ?? "", { bounds, maxCacheBytes: MAX_CACHE_BYTES });
    return new TaskPackages(wheelhouse, npm);
  }

  async resolve(request: DependencyRequest, signal: AbortSignal): Promise<ResolvedDependencies> {
    const { version, requirements, implied } = request;
    if (version === undefined) return await this.#npm.resolve(request, signal);
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
