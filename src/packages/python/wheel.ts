/**
 * Wheels (https://packaging.python.org/en/latest/specifications/binary-distribution-format/).
 *
 * They are read as what strangers send: with the reader of code packages, every file against RECORD, within the policy's
 * bounds.
 *
 * @module
 */

import { basename } from "node:path";
import type { PythonVersion } from "../../../workers/protocol.ts";
import { DEFAULT_PACKAGE_LIMITS } from "../../../workers/package/limits.ts";
import { readZip } from "../../../workers/package/read_zip.ts";
import { TaskError } from "../../../workers/task_error.ts";
import { messageOf } from "../../errors.ts";
import { PackageError } from "../errors.ts";
import { type Distribution, type PackageBounds, type PackageFiles, UnusablePackageError } from "./distribution.ts";
import { type PackageMetadata, parseHeaders, parseMetadata } from "./metadata.ts";
import { normalizeName } from "./name.ts";
import { supportedTags } from "./platform.ts";
import { digestOf, verifyRecord } from "./record.ts";
import { compareVersions, tryParseVersion, type Version } from "./version.ts";
import type { WheelName } from "./wheel_name.ts";

const MAX_METADATA_BYTES = 4 * 2 ** 20;

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

  async #open(): Promise<{ files: PackageFiles; metadata: PackageMetadata }> {
    const packed = this.#unzip(await this.#read());
    const info = infoFolder(packed);
    await verifyRecord(packed, `${info}/RECORD`);
    checkFormat(textOf(packed, `${info}/WHEEL`));
    const metadata = this.#parseMetadata(textOf(packed, `${info}/METADATA`));
    return { files: installedFiles(packed, info), metadata };
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

  #unzip(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
    try {
      return readZip(bytes, { ...DEFAULT_PACKAGE_LIMITS, ...this.#bounds });
    } catch (cause) {
      if (!(cause instanceof TaskError)) throw cause;
      const state = cause.message.replace(/^Cannot \w+ code package: /, "");
      throw new UnusablePackageError(`its archive is refused: ${state}`, { cause });
    }
  }

  #parseMetadata(text: string): PackageMetadata {
    const metadata = parseOwnMetadata(text);
    const version = tryParseVersion(metadata.version);
    const isItself = normalizeName(metadata.name) === this.name && version !== undefined &&
      compareVersions(version, this.version) === 0;
    if (isItself) return metadata;
    throw new UnusablePackageError(`its METADATA is that of ${JSON.stringify(`${metadata.name} ${metadata.version}`)}`);
  }
}

/** Reads metadata. @throws {UnusablePackageError} in place of what the parser throws */
export function parseOwnMetadata(text: string, requiresText?: string): PackageMetadata {
  try {
    return parseMetadata(text, requiresText);
  } catch (cause) {
    if (!(cause instanceof PackageError) && !(cause instanceof SyntaxError)) throw cause;
    const state = messageOf(cause).replace(/^Cannot install packages: /, "");
    throw new UnusablePackageError(`in its metadata ${state}`, { cause });
  }
}

function infoFolder(packed: ReadonlyMap<string, Uint8Array>): string {
  const folders = new Set<string>();
  for (const path of packed.keys()) {
    const [folder = "", rest] = path.split("/");
    if (rest !== undefined && folder.endsWith(".dist-info")) folders.add(folder);
  }
  const [folder, ...others] = folders;
  if (folder === undefined || others.length > 0) {
    throw new UnusablePackageError(`it has ${folders.size} folders named .dist-info, where a wheel has one`);
  }
  return folder;
}

function textOf(packed: ReadonlyMap<string, Uint8Array>, path: string): string {
  const content = packed.get(path);
  if (content === undefined) throw new UnusablePackageError(`it lacks ${JSON.stringify(path)}`);
  if (content.length > MAX_METADATA_BYTES) throw new UnusablePackageError(`its ${JSON.stringify(path)} is too large`);
  return new TextDecoder().decode(content);
}

/** A wheel of a later major version of the format must not be installed by who does not know it. */
function checkFormat(text: string): void {
  const version = parseHeaders(text).find(([name]) => name === "wheel-version")?.[1] ?? "";
  if (/^1\.\d+$/.test(version)) return;
  throw new UnusablePackageError(`it is in version ${JSON.stringify(version)} of the format of wheels, and 1 is known`);
}

/**
 * Files as they lie in `site-packages`: of a `.data` folder its `purelib` and `platlib` go to where the others are, and
 * scripts, headers and data, which go elsewhere, are left out.
 */
function installedFiles(packed: ReadonlyMap<string, Uint8Array>, info: string): PackageFiles {
  const data = `${info.slice(0, -".dist-info".length)}.data/`;
  const files = new Map<string, Uint8Array>();
  for (const [path, content] of packed) {
    const target = path.startsWith(data) ? /^(?:purelib|platlib)\/(.+)$/s.exec(path.slice(data.length))?.[1] : path;
    if (target === undefined) continue;
    if (files.has(target)) throw new UnusablePackageError(`it has ${JSON.stringify(target)} in two places`);
    files.set(target, content);
  }
  return files;
}
