/**
 * Packages as an installer leaves them: modules in a folder, and beside them `name-version.dist-info`
 * (https://packaging.python.org/en/latest/specifications/recording-installed-packages/) or `.egg-info`, a folder of
 * setuptools' or a file of distutils'. Debian's python3-… packages are of this kind.
 * @module
 */

import type { PythonVersion } from "../../../workers/protocol.ts";
import {
  type Distribution,
  type PackageBounds,
  type PackageFiles,
  UnusablePackageError,
} from "../../../workers/package/python/distribution.ts";
import { FolderFiles } from "./folder_files.ts";
import type { PackageMetadata } from "../../../workers/package/python/metadata.ts";
import { normalizeName } from "../../../workers/package/python/name.ts";
import { platformOf } from "../../../workers/package/python/platform.ts";
import { parseRecord } from "../../../workers/package/python/record.ts";
import type { Version } from "../../../workers/package/python/version.ts";
import { parseOwnMetadata } from "../../../workers/package/python/wheel_archive.ts";

/** Code for a machine, which WebAssembly is one of. */
const EXTENSION_MODULE = /\.(?:so|pyd|dll|dylib)(?:\.\d+)*$/;
const MAX_METADATA_BYTES = 4 * 2 ** 20;

/** What is known of a package from the name of its metadata, or of its module where it has none. */
export interface InstalledName {
  /** Normalised. */
  readonly name: string;
  readonly version: Version | undefined;
  /** Name of the metadata's file or folder; `undefined` for a module that has none. */
  readonly info: string | undefined;
}

/** What a package consists of. */
interface Listing {
  /** Paths of files from the folder, sorted by code units. */
  readonly paths: readonly string[];
  /** Files and folders right in the folder that they lie in. */
  readonly tops: readonly string[];
  readonly metadata: PackageMetadata;
  /** Of the tops when they were listed. */
  readonly state: string;
}

/** A package in a folder. Nothing of it is read until it is asked for. */
export class InstalledPackage implements Distribution {
  readonly wheelName = undefined;
  readonly name: string;
  readonly version: Version | undefined;
  readonly #info: string | undefined;
  readonly #folder: FolderFiles;
  readonly #bounds: PackageBounds;
  #listing: Listing | undefined;

  constructor(folder: FolderFiles, { name, version, info }: InstalledName, bounds: PackageBounds) {
    this.#folder = folder;
    this.name = name;
    this.version = version;
    this.#info = info;
    this.#bounds = bounds;
  }

  async refresh(): Promise<string> {
    const { tops, state } = await this.#list();
    const now = await this.#folder.state(tops);
    if (now !== state) this.#listing = undefined;
    return now;
  }

  async unusableOn(version: PythonVersion): Promise<string | undefined> {
    const { paths } = await this.#list();
    const { extensionSuffix } = platformOf(version);
    const foreign = paths.find((path) => EXTENSION_MODULE.test(path) && !path.endsWith(extensionSuffix));
    if (foreign === undefined) return undefined;
    return `its ${JSON.stringify(foreign)} is code for another machine than CPython ${version} on WebAssembly`;
  }

  async metadata(): Promise<PackageMetadata> {
    return (await this.#list()).metadata;
  }

  digest(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async files(): Promise<PackageFiles> {
    const { paths } = await this.#list();
    const files = new Map<string, Uint8Array>();
    let left = this.#bounds.maxUnpackedBytes;
    for (const path of paths) {
      const content = await this.#folder.read(path, left);
      left -= content.length;
      files.set(path, content);
    }
    return files;
  }

  async #list(): Promise<Listing> {
    this.#listing ??= await this.#makeListing();
    return this.#listing;
  }

  async #makeListing(): Promise<Listing> {
    const modules = await this.#modules();
    const tops = [...new Set([...modules.map(topOf), ...this.#info === undefined ? [] : [this.#info]])].sort();
    const state = await this.#folder.state(tops);
    const starts = this.#info === undefined ? modules : [...modules, this.#info];
    const paths = await this.#folder.list(starts, this.#bounds.maxFiles);
    return { paths, tops, metadata: await this.#readMetadata(), state };
  }

  /** Where its modules are: every file where a record lists them, files and folders otherwise. */
  async #modules(): Promise<string[]> {
    const record = await this.#infoText("RECORD");
    if (record !== undefined) {
      const listed = parseRecord(record).map(({ path }) => path).filter(isBelow);
      const there = await this.#folder.existing(listed);
      if (there.length > 0) return there;
    }
    const topLevel = await this.#infoText("top_level.txt");
    const names = topLevel?.split(/\r?\n/).map((line) => line.trim()).filter(isBelow) ?? [];
    const modules = names.length > 0
      ? await this.#folder.modules((module) => names.includes(module))
      : await this.#folder.modules((module) => normalizeName(module) === this.name);
    if (modules.length > 0) return modules;
    throw new UnusablePackageError("its modules are not beside its metadata");
  }

  async #readMetadata(): Promise<PackageMetadata> {
    if (this.#info === undefined) return parseOwnMetadata(`Name: ${this.name}`);
    const text = await this.#infoText("METADATA") ?? await this.#infoText("PKG-INFO") ??
      await this.#folder.tryReadText(this.#info, MAX_METADATA_BYTES);
    if (text === undefined) throw new UnusablePackageError("it has neither METADATA nor PKG-INFO");
    return parseOwnMetadata(text, await this.#infoText("requires.txt"));
  }

  async #infoText(name: string): Promise<string | undefined> {
    if (this.#info === undefined) return undefined;
    return await this.#folder.tryReadText(`${this.#info}/${name}`, MAX_METADATA_BYTES);
  }
}

/** Scripts and manual pages lie outside of the folder. */
function isBelow(path: string): boolean {
  return path !== "" && !path.startsWith("/") && !path.split("/").includes("..");
}

function topOf(path: string): string {
  return path.split("/")[0] ?? path;
}
