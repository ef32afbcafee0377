/**
 * Installs packages of npm: chooses versions, gets archives, verifies and unpacks them, and makes a layer of them. Runs in
 * an installer's sandbox, and runs nothing of what it installs: a package's scripts are not even read.
 *
 * @module
 */

import type { NpmInstallRequest } from "../../install_protocol.ts";
import { fetchAll } from "../fetch_all.ts";
import { show } from "../limits.ts";
import { TaskError } from "../../task_error.ts";
import { buildLayer, type UnpackedPackage } from "./build_layer.ts";
import { encodeLayer } from "./layer_index.ts";
import { Registry } from "../registry.ts";
import { type ChosenPackage, resolvePackages } from "./resolve.ts";
import { readTarball } from "./tarball.ts";

const MAX_FILES = 20_000;

/** What was installed. */
export interface Installed {
  /** `npm:name@version` each, in the order of their names. */
  readonly lines: readonly string[];
  /** See `layer_index.ts`. */
  readonly layer: Uint8Array;
}

/**
 * Installs what a request asks for.
 *
 * @param fetchFunction reaches the registry, and need reach nothing else
 * @throws {TaskError} with what is wrong, and the policy's rule where it is one
 */
export async function installNpm(request: NpmInstallRequest, fetchFunction: typeof fetch): Promise<Installed> {
  const registry = new Registry({
    url: request.registry,
    rule: "packages.npm.registry",
    fetch: fetchFunction,
  });
  const { packages, roots } = await resolvePackages(request, registry);
  const unpacked = await unpackAll(packages, registry, request.maxBytes);
  const { index, files } = buildLayer(roots, unpacked);
  return {
    lines: [...packages.keys()].sort().map((key) => `npm:${key}`),
    layer: encodeLayer(index, files),
  };
}

/** Gets and unpacks all packages. */
async function unpackAll(
  packages: ReadonlyMap<string, ChosenPackage>,
  registry: Registry,
  maxBytes: number,
): Promise<Map<string, UnpackedPackage>> {
  const unpacked = new Map<string, UnpackedPackage>();
  const left = { bytes: maxBytes, files: MAX_FILES };
  await fetchAll(packages, async ([key, chosen]) => {
    unpacked.set(key, await fetchPackage(key, chosen, { registry, left }));
  });
  return unpacked;
}

async function fetchPackage(
  key: string,
  { name, tarball, sha512, dependencies }: ChosenPackage,
  { registry, left }: { readonly registry: Registry; readonly left: { bytes: number; files: number } },
): Promise<UnpackedPackage> {
  const packed = await registry.bytes(tarball, left.bytes);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-512", packed)).toBase64();
  if (digest !== sha512) {
    throw new TaskError(
      "SECURITY_VIOLATION",
      `Cannot install ${show(key)}: its archive is not the one that the registry's sha512 is of`,
    );
  }
  const files = await readTarball(key, packed, { maxBytes: left.bytes, maxFiles: left.files });
  for (const content of files.values()) left.bytes -= content.length;
  left.files -= files.size;
  if (left.bytes < 0) {
    throw new TaskError("RESOURCE_LIMIT", `Cannot install ${show(key)}: no room is left (policy: packages.npm.maxMb)`);
  }
  return { name, dependencies, files: modulesOf(files), fields: packageJson(key, files.get("package.json")) };
}

/** What can be loaded: documentation, types and maps are not kept. */
function modulesOf(files: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  const kept = new Map<string, Uint8Array>();
  // A copy: what is not kept shares its memory with what is.
  for (const [path, content] of files) if (/\.(?:[cm]?js|json|wasm)$/.test(path)) kept.set(path, content.slice());
  return kept;
}

function packageJson(key: string, bytes: Uint8Array | undefined): UnpackedPackage["fields"] {
  try {
    const fields: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof fields === "object" && fields !== null) return fields;
  } catch (cause) {
    throw new TaskError("INVALID_TASK", `Cannot install ${show(key)}: its package.json cannot be read`, { cause });
  }
  throw new TaskError("INVALID_TASK", `Cannot install ${show(key)}: its package.json is no object`);
}
