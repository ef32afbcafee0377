/**
 * Wheels of a wheelhouse.
 * @module
 */

import { basename } from "node:path";
import type { PythonVersion } from "../../../workers/protocol.ts";
import {
  type Distribution,
  type PackageBounds,
  type PackageFiles,
  UnusablePackageError,
} from "../../../workers/package/python/distribution.ts";
import type { PackageMetadata } from "../../../workers/package/python/metadata.ts";
import { supportedTags } from "../../../workers/package/python/platform.ts";
import { digestOf } from "../../../workers/package/python/record.ts";
import type { Version } from "../../../workers/package/python/version.ts";
import { readWheel, type WheelContents } from "../../../workers/package/python/wheel_archive.ts";
import type { WheelName } from "../../../workers/package/python/wheel_name.ts";

/** A wheel in a folder. Nothing of it is read until it is asked for. */
export class Wheel implements Distribution {
  readonly name: string;
  readonly version: Version;
  readonly #path: string;
  readonly #bounds: PackageBounds;
  /** Of the file when it was read last. */
  #state = "";
  #metadata: PackageMetadata | undefined;
  readonly #digests = new Map<string, string>();

  constructor(path: string, readonly wheelName: WheelName, bounds: PackageBounds) {
    this.#path = path;
    this.#bounds = bounds;
    this.name = wheelName.name;
    this.version = wheelName.version;
  }

  async refresh(): Promise<string> {
    const { size, mtime } = await this.#reading(() => Deno.stat(this.#path));
    const state = `${this.#path}\0${size}\0${mtime?.getTime()}`;
    if (state !== this.#state) {
      this.#metadata = undefined;
      this.#digests.clear();
      this.#state = state;
    }
    return state;
  }

  // deno-lint-ignore require-await -- a folder has to look first
  async unusableOn(version: PythonVersion): Promise<string | undefined> {
    const tags = supportedTags(version);
    if (this.wheelName.tags.some((tag) => tags.includes(tag))) return undefined;
    return `${basename(this.#path)} is not for CPython ${version} on WebAssembly`;
  }

  async metadata(): Promise<PackageMetadata> {
    this.#metadata ??= (await this.#open()).metadata;
    return this.#metadata;
  }

  async digest(algorithm: string): Promise<string> {
    const known = this.#digests.get(algorithm) ?? (await digestOf(await this.#read(), algorithm)).toHex();
    this.#digests.set(algorithm, known);
    return known;
  }

  async files(): Promise<PackageFiles> {
    return (await this.#open()).files;
  }

  async #open(): Promise<WheelContents> {
    return await readWheel(await this.#read(), { name: this.wheelName, bounds: this.#bounds });
  }

  async #read(): Promise<Uint8Array> {
    const { maxCompressedBytes } = this.#bounds;
    const { size, isFile } = await this.#reading(() => Deno.stat(this.#path));
    if (!isFile) throw new UnusablePackageError("it is no file");
    if (size > maxCompressedBytes) {
      throw new UnusablePackageError(`it has ${size} bytes, and ${maxCompressedBytes} is the limit of a package`);
    }
    return await this.#reading(() => Deno.readFile(this.#path));
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      // Whoever asks learns no more of the service's files than that.
      throw new UnusablePackageError("it cannot be read", { cause });
    }
  }
}
