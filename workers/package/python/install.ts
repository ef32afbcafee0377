/**
 * Installs packages of Python: chooses versions, gets wheels, verifies and unpacks them, and makes a layer of them. Runs in
 * an installer's sandbox, and runs nothing of what it installs: only wheels are taken, which need no code to be installed.
 *
 * @module
 */

import type { PythonInstallRequest } from "../../install_protocol.ts";
import { PYTHON_VERSIONS } from "../../protocol.ts";
import { fetchAll } from "../fetch_all.ts";
import { show } from "../limits.ts";
import { Registry } from "../registry.ts";
import type { Distribution, PackageIndex } from "./distribution.ts";
import { packLayer, reading } from "./layer.ts";
import { DescribedPackage } from "./local_package.ts";
import { PackageError } from "./package_error.ts";
import { pinOf } from "./preference.ts";
import { parseRequirementLines } from "./requirement_lines.ts";
import { resolve } from "./resolver.ts";
import { IndexWheel, SimpleIndex } from "./simple_index.ts";

const MAX_FILES = 20_000;

/** What was installed. */
export interface InstalledPython {
  /** See {@linkcode InstallAnswer}. */
  readonly lines: readonly string[];
  /** A zip of the index' packages as they are to lie in `site-packages`; empty for none. */
  readonly layer: Uint8Array;
}

/**
 * Installs what a request asks for.
 *
 * @param fetchFunction reaches the index and where its files lie, and need reach nothing else
 * @throws {TaskError} with what is wrong, and the policy's rule where it is one
 */
export async function installPython(
  request: PythonInstallRequest,
  fetchFunction: typeof fetch,
): Promise<InstalledPython> {
  const { index: url, fileHosts, maxBytes, maxPackages, localNames } = request;
  const version = PYTHON_VERSIONS.find((known) => known === request.version);
  if (version === undefined) throw new PackageError(`there is no Python ${show(request.version)}`);
  const bounds = { maxCompressedBytes: maxBytes, maxUnpackedBytes: maxBytes, maxFiles: MAX_FILES };
  const registry = new Registry({ url, fileHosts, rule: "packages.python.fileHosts", fetch: fetchFunction });
  const index = new JoinedIndex(request, new SimpleIndex(registry, { ...request, version, bounds }));
  const own = localNames.length > 0 ? "the service's own packages and " : "";
  const place = `${own}the index ${show(registry.name)}`;
  let chosen: Distribution[];
  try {
    const { signal } = new AbortController();
    chosen = await resolve(parseRequirementLines(request.requirements), { version, index, place, signal });
  } catch (error) {
    if (index.unknown.size === 0) throw error;
    return { lines: [...index.unknown].map((name) => `unknown ${name}`), layer: new Uint8Array() };
  }
  const wheels = chosen.filter((distribution) => distribution instanceof IndexWheel);
  if (wheels.length > maxPackages) {
    const state = `they need ${wheels.length} packages of the index, the policy allows ${maxPackages}`;
    throw new PackageError(`${state} (packages.python.maxPackages)`, { code: "RESOURCE_LIMIT" });
  }
  await fetchAll(wheels, async (wheel) => void await reading(wheel, () => wheel.contents()));
  return {
    lines: chosen.map((one) => one instanceof DescribedPackage ? `local ${one.index}` : pinOf(one)),
    layer: wheels.length === 0 ? new Uint8Array() : await packLayer(wheels, bounds),
  };
}

/** The service's own packages, and the index for all other names. */
class JoinedIndex implements PackageIndex {
  /** Names of the service's own that were asked for, and are not described. */
  readonly unknown = new Set<string>();
  readonly #localNames: ReadonlySet<string>;
  readonly #local: ReadonlyMap<string, readonly Distribution[]>;
  readonly #index: SimpleIndex;

  constructor({ localNames, local }: PythonInstallRequest, index: SimpleIndex) {
    this.#localNames = new Set(localNames);
    this.#local = Map.groupBy(
      local.map((description, place) => new DescribedPackage(place, description)),
      ({ name }) => name,
    );
    this.#index = index;
  }

  async find(name: string): Promise<readonly Distribution[] | undefined> {
    // Never from the index, where anybody may have put something under the name of a private package.
    if (!this.#localNames.has(name)) return await this.#index.find(name);
    const known = this.#local.get(name);
    if (known !== undefined) return known;
    this.unknown.add(name);
    throw new PackageError(`${show(name)} has not been described`);
  }
}
