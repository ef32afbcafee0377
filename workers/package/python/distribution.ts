/**
 * A package of a wheelhouse: one version of it, in one file or folder.
 * @module
 */

import type { PythonVersion } from "../../protocol.ts";
import type { PackageMetadata } from "./metadata.ts";
import type { Version } from "./version.ts";
import type { WheelName } from "./wheel_name.ts";

/** What a layer, and each package that goes into it, may have. */
export interface PackageBounds {
  /** One wheel as it lies in its folder, in bytes. */
  readonly maxCompressedBytes: number;
  /** All packages of a task together, unpacked, in bytes. */
  readonly maxUnpackedBytes: number;
  /** Files of all packages of a task together. */
  readonly maxFiles: number;
}

/** Contents by path from `site-packages`, with `/` between segments; each path is relative and safe to join. */
export type PackageFiles = ReadonlyMap<string, Uint8Array>;

/** A package that might be installed. */
export interface Distribution {
  /** Normalised. */
  readonly name: string;
  /** `undefined` where nothing says it. */
  readonly version: Version | undefined;
  /** Of a wheel; `undefined` for a folder as an installer leaves it. */
  readonly wheelName: WheelName | undefined;
  /** Whether its author has taken it back: then only who names its very version gets it (PEP 592). */
  readonly isYanked?: boolean;
  /** Forgets what was read of its files if they changed since. @returns what tells them from other files */
  refresh(): Promise<string>;
  /** Why it cannot be used on a version of Python, as the end of a sentence about it; `undefined` when it can. */
  unusableOn(version: PythonVersion): Promise<string | undefined>;
  /** @throws {UnusablePackageError} when it cannot be read */
  metadata(): Promise<PackageMetadata>;
  /** The digest of its file in hexadecimal; `undefined` for a folder, which has none. */
  digest(algorithm: string): Promise<string | undefined>;
  /** @throws {UnusablePackageError} when they cannot be read, or are not what the package says */
  files(): Promise<PackageFiles>;
}

/** A package is not what it should be: its message is the end of a sentence about it, `it has no METADATA` say. */
export class UnusablePackageError extends Error {
  override readonly name = "UnusablePackageError";
}

/** Where packages are found, by their normalised names. */
export interface PackageIndex {
  /**
   * Every version that there is of a package, usable or not; `undefined` when there is no such package.
   * @throws {PackageError} when it may not be had
   */
  find(name: string): Promise<readonly Distribution[] | undefined>;
}
