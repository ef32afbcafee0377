/**
 * What lies in a wheelhouse: wheels, and packages as an installer leaves them.
 * @module
 */

import { join } from "node:path";
import { messageOf, ServiceError } from "../../errors.ts";
import { show } from "../../../workers/package/limits.ts";
import type { Distribution, PackageBounds } from "../../../workers/package/python/distribution.ts";
import { FolderFiles, moduleOf } from "./folder_files.ts";
import { InstalledPackage } from "./installed_package.ts";
import { isName, normalizeName } from "../../../workers/package/python/name.ts";
import { tryParseVersion } from "../../../workers/package/python/version.ts";
import { Wheel } from "./wheel.ts";
import { tryParseWheelName } from "../../../workers/package/python/wheel_name.ts";

/** Entries of one folder that are looked at. */
const MAX_ENTRIES = 20_000;
/** A folder that changed this short a time ago may change again in the same tick of its clock, in milliseconds. */
const SETTLE_MS = 2_000;

/** Packages by their normalised names. */
export type FolderContents = ReadonlyMap<string, readonly Distribution[]>;

/** The index of one folder, read again when the folder changes. */
export class FolderIndex {
  readonly #path: string;
  readonly #bounds: PackageBounds;
  /** Wheels by the names of their files; they notice themselves when a file becomes another one. */
  #wheels = new Map<string, Wheel>();
  #read: { readonly index: FolderContents; readonly state: string; readonly isSettled: boolean } | undefined;

  constructor(path: string, bounds: PackageBounds) {
    this.#path = path;
    this.#bounds = bounds;
  }

  /**
   * What lies in it now.
   * @throws {ServiceError} `INTERNAL` when the folder cannot be read: nothing of the caller's
   */
  async current(): Promise<FolderContents> {
    try {
      const { mtime, dev, ino } = await Deno.stat(this.#path);
      const state = `${mtime?.getTime()} ${dev} ${ino}`;
      if (this.#read?.isSettled && this.#read.state === state) return this.#read.index;
      const isSettled = Date.now() - (mtime?.getTime() ?? Infinity) > SETTLE_MS;
      const index = await this.#scan();
      this.#read = { index, state, isSettled };
      return index;
    } catch (cause) {
      const state = messageOf(cause);
      throw new ServiceError("INTERNAL", `Cannot read the folder of Python packages ${show(this.#path)}: ${state}`, {
        cause,
      });
    }
  }

  async #scan(): Promise<FolderContents> {
    const root = await Deno.realPath(this.#path);
    const names: string[] = [];
    for await (const { name } of Deno.readDir(root)) {
      names.push(name);
      if (names.length > MAX_ENTRIES) throw new RangeError(`it has more than ${MAX_ENTRIES} entries`);
    }
    const files = new FolderFiles(root);
    const wheels = new Map<string, Wheel>();
    const index = new Map<string, Distribution[]>();
    const add = (distribution: Distribution) => {
      const sameName = index.get(distribution.name);
      if (sameName === undefined) index.set(distribution.name, [distribution]);
      else sameName.push(distribution);
    };
    for (const name of names.sort()) {
      const wheel = await this.#wheel(root, name);
      if (wheel !== undefined) wheels.set(name, wheel);
      const distribution = wheel ?? this.#installed(files, name);
      if (distribution !== undefined) add(distribution);
    }
    // A module that no metadata is about goes by its own name.
    for (const name of names) {
      const module = normalizeName(moduleOf(name) ?? "");
      if (!isName(module) || index.has(module) || !await isModule(root, name)) continue;
      add(new InstalledPackage(files, { name: module, version: undefined, info: undefined }, this.#bounds));
    }
    this.#wheels = wheels;
    return index;
  }

  async #wheel(root: string, name: string): Promise<Wheel | undefined> {
    const wheelName = tryParseWheelName(name);
    if (wheelName === undefined) return undefined;
    const path = join(root, name);
    // A link that leads elsewhere, or nowhere, is no wheel of this folder.
    const real = await Deno.realPath(path).catch(() => undefined);
    if (!real?.startsWith(`${root}/`)) return undefined;
    return this.#wheels.get(name) ?? new Wheel(path, wheelName, this.#bounds);
  }

  #installed(files: FolderFiles, info: string): Distribution | undefined {
    // `-py3.11` is in names that distutils gave.
    const [, name = "", versionText = ""] = /^([^-]+)(?:-(.+?))?(?:-py\d[\d.]*)?\.(?:dist|egg)-info$/.exec(info) ?? [];
    if (!isName(name)) return undefined;
    const version = tryParseVersion(versionText.replaceAll("_", "-"));
    return new InstalledPackage(files, { name: normalizeName(name), version, info }, this.#bounds);
  }
}

/** A file of Python, or a folder with one. */
async function isModule(root: string, name: string): Promise<boolean> {
  if (name.endsWith(".py")) return true;
  const inside = await Deno.stat(join(root, name, "__init__.py")).catch(() => undefined);
  return inside?.isFile === true;
}
