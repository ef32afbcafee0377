/**
 * Packages for tasks in Python: from the wheelhouse, and what that lacks from an index, where the policy allows one.
 * @module
 */

import { abortable } from "../../async/abortable.ts";
import type { PythonIndexPolicy } from "../../config/schema.ts";
import { ServiceError } from "../../errors.ts";
import { MEGABYTE } from "../../units.ts";
import type { Requirement } from "../../../workers/package/python/requirement.ts";
import { parseRequirementLines } from "../../../workers/package/python/requirement_lines.ts";
import type { PythonVersion } from "../../../workers/protocol.ts";
import { TaskError } from "../../../workers/task_error.ts";
import type { DependencyRequest, DependencyResolver, ResolvedDependencies } from "../dependencies.ts";
import { hostOf, type Installer } from "../installer/installer.ts";
import { type InstalledLayers, isOutage } from "../layers/installed_layers.ts";
import type { StoredLayer } from "../layers/layer_store.ts";
import type { DescribedDistribution, Wheelhouse } from "./wheelhouse.ts";

/** Part of every key: layers of another form are not found. */
const LAYER_FORMAT = 1;
/** How often the index' packages may turn out to need more of the wheelhouse's. */
const MAX_ROUNDS = 20;

/** A line of an installer's answer; it goes to the caller. */
const LINE = /^(?:local (?<local>\d{1,6})|unknown (?<unknown>[a-z0-9-]{1,255})|(?<installed>[a-z0-9-]+==[\w.!+-]+))$/;

/** What a {@linkcode PythonResolver} works with. */
export interface PythonResolverOptions {
  readonly wheelhouse: Wheelhouse;
  readonly policy: PythonIndexPolicy;
  /** Contents of the policy's `caFile`, if there is one. */
  readonly caCerts: readonly string[];
  readonly installer: Installer;
  readonly layers: InstalledLayers;
}

/** A task's wishes. */
interface Wishes {
  readonly version: PythonVersion;
  /** Lines as in a requirements file. */
  readonly requirements: readonly string[];
  readonly signal: AbortSignal;
}

/** See the module. What it works with belongs to others. */
export class PythonResolver implements DependencyResolver {
  readonly #options: PythonResolverOptions;

  constructor(options: PythonResolverOptions) {
    this.#options = options;
  }

  /** @throws {TypeError} for a request that names no version of Python */
  async resolve(
    { version, requirements, implied }: Pick<DependencyRequest, "version" | "requirements" | "implied">,
    signal: AbortSignal,
  ): Promise<ResolvedDependencies> {
    if (version === undefined) throw new TypeError("Cannot resolve packages: the request names no version of Python");
    try {
      return await this.#resolve({ version, requirements: [...requirements, ...implied], signal });
    } catch (error) {
      // Without what is only implied the task may still do, and says so itself where it cannot.
      const isForNothing = implied.length === 0 || !(error instanceof ServiceError);
      if (isForNothing || (!isRefusal(error) && !isOutage(error))) throw error;
      return await this.#resolve({ version, requirements, signal });
    }
  }

  async #resolve(wishes: Wishes): Promise<ResolvedDependencies> {
    try {
      const { layer, installed } = await this.#options.wheelhouse.resolve(wishes);
      return { layers: layer.length === 0 ? [] : [layer], installed };
    } catch (error) {
      if (!(error instanceof TaskError)) throw error;
      if (!this.#options.policy.allowed || error.code !== "INVALID_TASK") throw serviceError(error);
    }
    try {
      return await this.#install(wishes);
    } catch (error) {
      throw error instanceof TaskError ? serviceError(error) : error;
    }
  }

  /** What the wheelhouse has is taken from there, and all else from the index. */
  async #install(wishes: Wishes): Promise<ResolvedDependencies> {
    const { version, requirements, signal } = wishes;
    const { wheelhouse } = this.#options;
    const parsed = parseRequirementLines(requirements);
    const hashes = parsed.some((requirement) => requirement.hashes.length > 0);
    const names = await wheelhouse.names();
    const needed = new Set(parsed.map(({ name }) => name).filter((name) => names.has(name)));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const described = await wheelhouse.describe(needed, { version, hashes });
      const stored = await abortable(this.#layerOf(wishes, parsed, { names, described }), signal);
      const { local, unknown, installed } = readAnswer(stored, described);
      if (unknown.length === 0) {
        const own = await wheelhouse.pack(local, signal);
        const layers = [own.layer, stored.layer].filter((layer) => layer.length > 0);
        return { layers, installed: [...own.installed, ...installed].sort() };
      }
      for (const name of unknown) needed.add(name);
    }
    throw new ServiceError(
      "INVALID_TASK",
      `Cannot install packages: they need one another in more than ${MAX_ROUNDS} rounds`,
    );
  }

  #layerOf(
    { version, requirements }: Wishes,
    parsed: readonly Requirement[],
    { names, described }: { readonly names: ReadonlySet<string>; readonly described: readonly DescribedDistribution[] },
  ): Promise<StoredLayer> {
    const { policy, caCerts, installer, layers } = this.#options;
    const { index, fileHosts, allow, minimumAgeDays, maxPackages, maxMb, timeoutSeconds } = policy;
    const rules = { index, fileHosts, allow, minimumAgeDays, maxPackages, maxMb };
    const local = described.map(({ description }) => description);
    const localNames = [...names].sort();
    const maxBytes = maxMb * MEGABYTE;
    const key = JSON.stringify(["python", LAYER_FORMAT, rules, version, requirements, localNames, local]);
    return layers.get(key, async (nowMs) => {
      const result = await installer.run({
        request: { kind: "python", ...rules, caCerts, version, requirements, localNames, local, maxBytes, nowMs },
        hosts: [hostOf(index), ...fileHosts],
        maxBytes,
        timeoutMs: timeoutSeconds * 1_000,
        timeoutRule: "packages.python.timeoutSeconds",
      });
      if (parsed.length > 0 && result.lines.every((line) => LINE.test(line))) return result;
      throw malformed();
    });
  }
}

/** What an installer's answer says. @throws {ServiceError} `SANDBOX_LOST` when it cannot be */
function readAnswer({ installed: lines }: StoredLayer, described: readonly DescribedDistribution[]) {
  const groups = lines.map((line) => LINE.exec(line)?.groups ?? {});
  const of = (name: string) => groups.flatMap((group) => group[name] ?? []);
  const local = of("local").map((place) => {
    const found = described[Number(place)];
    if (found === undefined) throw malformed();
    return found.distribution;
  });
  return { local, unknown: of("unknown"), installed: of("installed") };
}

function malformed(): ServiceError {
  return new ServiceError("SANDBOX_LOST", "Cannot install packages: the installer's answer is malformed");
}

function serviceError(error: TaskError): ServiceError {
  return new ServiceError(error.code, error.message, { cause: error });
}

/** Whether what is asked for cannot be had. */
function isRefusal({ code }: ServiceError): boolean {
  return code === "INVALID_TASK" || code === "SECURITY_VIOLATION";
}
