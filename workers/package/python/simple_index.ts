/**
 * Packages of an index that is reached by network.
 * @module
 */

import type { PythonInstallRequest } from "../../install_protocol.ts";
import { show } from "../limits.ts";
import { matchesPattern } from "../name_pattern.ts";
import type { Registry } from "../registry.ts";
import type { Distribution, PackageBounds, PackageFiles } from "./distribution.ts";
import type { PackageMetadata } from "./metadata.ts";
import { normalizeName } from "./name.ts";
import { PackageError } from "./package_error.ts";
import { supportedTags } from "./platform.ts";
import { digestOf } from "./record.ts";
import { type IndexFile, PAGE_TYPES, parsePage } from "./simple_page.ts";
import type { PythonVersion } from "../../protocol.ts";
import { formatVersion, type Version } from "./version.ts";
import { readWheel, readWheelMetadata, type WheelContents } from "./wheel_archive.ts";
import { tryParseWheelName, type WheelName } from "./wheel_name.ts";

const MS_PER_DAY = 86_400_000;
/** The longest pages of public packages have some MB. */
const MAX_PAGE_BYTES = 64 * 2 ** 20;
const MAX_METADATA_BYTES = 4 * 2 ** 20;

/** What an index is asked for. */
export type IndexRules = Pick<PythonInstallRequest, "allow" | "minimumAgeDays" | "nowMs"> & {
  readonly version: PythonVersion;
  readonly bounds: PackageBounds;
};

/** The packages of one index. */
export class SimpleIndex {
  readonly #registry: Registry;
  readonly #rules: IndexRules;

  constructor(registry: Registry, rules: IndexRules) {
    this.#registry = registry;
    this.#rules = rules;
  }

  /**
   * The wheels that there are of a package; of versions that have none which can be used, one.
   *
   * @param name Normalised
   * @returns `undefined` when there is no such package
   * @throws {PackageError} `SECURITY_VIOLATION` when the policy does not allow it
   * @throws {TaskError} as {@linkcode Registry.tryGet}
   */
  async find(name: string): Promise<readonly IndexWheel[] | undefined> {
    if (!this.#rules.allow.some((pattern) => matchesPattern(name, normalizeName(pattern)))) {
      throw new PackageError(`the policy does not allow ${show(name)} (packages.python.allow)`, {
        code: "SECURITY_VIOLATION",
      });
    }
    const answer = await this.#registry.tryGet(`${name}/`, { accept: PAGE_TYPES, maxBytes: MAX_PAGE_BYTES });
    if (answer === undefined) return undefined;
    const tags = new Set(supportedTags(this.#rules.version));
    const usable: IndexWheel[] = [];
    const others = new Map<string, IndexWheel>();
    for (const file of parsePage(answer)) {
      const wheelName = tryParseWheelName(file.fileName);
      if (wheelName?.name !== name) continue;
      const wheel = new IndexWheel(this.#registry, { file, wheelName, rules: this.#rules });
      if (wheelName.tags.some((tag) => tags.has(tag))) usable.push(wheel);
      else others.set(formatVersion(wheelName.version), wheel);
    }
    for (const { version } of usable) others.delete(formatVersion(version));
    return [...usable, ...others.values()];
  }
}

/** A wheel on an index. Nothing of it is fetched until it is asked for. */
export class IndexWheel implements Distribution {
  readonly name: string;
  readonly version: Version;
  readonly wheelName: WheelName;
  readonly isYanked: boolean;
  readonly #registry: Registry;
  readonly #file: IndexFile;
  readonly #rules: IndexRules;
  #contents: Promise<WheelContents> | undefined;

  constructor(
    registry: Registry,
    { file, wheelName, rules }: { readonly file: IndexFile; readonly wheelName: WheelName; readonly rules: IndexRules },
  ) {
    this.#registry = registry;
    this.#file = file;
    this.#rules = rules;
    this.wheelName = wheelName;
    this.name = wheelName.name;
    this.version = wheelName.version;
    this.isYanked = file.isYanked;
  }

  /** What an index has under a name with a digest does not change. */
  refresh(): Promise<string> {
    return Promise.resolve("");
  }

  // deno-lint-ignore require-await -- a folder has to look first
  async unusableOn(version: PythonVersion): Promise<string | undefined> {
    const { fileName, sha256, uploadedAtMs } = this.#file;
    const tags = supportedTags(version);
    if (!this.wheelName.tags.some((tag) => tags.includes(tag))) {
      return `${show(fileName)} is not for CPython ${version} on WebAssembly`;
    }
    if (sha256 === undefined) return `the index gives no sha256 of ${show(fileName)}`;
    const { minimumAgeDays, nowMs } = this.#rules;
    if (minimumAgeDays === 0) return undefined;
    const rule = `the policy wants ${minimumAgeDays} days (packages.python.minimumAgeDays)`;
    if (uploadedAtMs === undefined) return `the index does not say since when it has ${show(fileName)}, and ${rule}`;
    if (nowMs - uploadedAtMs >= minimumAgeDays * MS_PER_DAY) return undefined;
    return `it was published on ${new Date(uploadedAtMs).toISOString()}, and ${rule}`;
  }

  async metadata(): Promise<PackageMetadata> {
    const { metadataSha256, url } = this.#file;
    if (metadataSha256 === undefined) return (await this.contents()).metadata;
    const bytes = await this.#get(`${url}.metadata`, { maxBytes: MAX_METADATA_BYTES, sha256: metadataSha256 });
    return readWheelMetadata(new TextDecoder().decode(bytes), this.wheelName);
  }

  digest(algorithm: string): Promise<string | undefined> {
    return Promise.resolve(algorithm === "sha256" ? this.#file.sha256 : undefined);
  }

  async files(): Promise<PackageFiles> {
    return (await this.contents()).files;
  }

  /** What is in it, fetched once. @throws {UnusablePackageError} */
  contents(): Promise<WheelContents> {
    this.#contents ??= this.#fetch();
    return this.#contents;
  }

  async #fetch(): Promise<WheelContents> {
    const { url, sha256 } = this.#file;
    const { bounds } = this.#rules;
    const bytes = await this.#get(url, { maxBytes: bounds.maxCompressedBytes, sha256 });
    return await readWheel(bytes, { name: this.wheelName, bounds });
  }

  async #get(
    url: string,
    { maxBytes, sha256 }: { readonly maxBytes: number; readonly sha256: string | undefined },
  ): Promise<Uint8Array> {
    const bytes = await this.#registry.bytes(url, maxBytes);
    const digest = (await digestOf(bytes, "sha256")).toHex();
    if (digest === sha256) return bytes;
    throw new PackageError(`${show(url)} is not the file that the index' sha256 is of`, { code: "SECURITY_VIOLATION" });
  }
}
