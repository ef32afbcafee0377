/**
 * Packages that have passed validation, so that a sandbox need not load a parser to look into the same sources again.
 *
 * A sandbox says that a package has passed, before any of its code runs, and nothing that a sandbox says is believed where
 * it counts: one that lies vouches for its own package alone, which has run by then, and whose rights are those of its
 * process. A package that is refused never runs, and so never vouches for itself.
 *
 * @module
 */

import type { PackageOptions } from "../../workers/protocol.ts";

/** Packages that are remembered; a key has some hundred bytes. */
const MAX_PACKAGES = 4_096;
/** Longest key; what has a longer one is validated each time. */
const MAX_KEY_LENGTH = 4_096;

/** A package, and what decides on whether it passes. */
export interface PackageToValidate {
  /** Whose it is: how long a task takes is not to tell what others run. */
  readonly caller: string;
  /** As `packageDigestOf` gives it. */
  readonly packageDigest: string;
  readonly rules: Pick<
    PackageOptions,
    "entryPoint" | "blockedImports" | "maxPackageBytes" | "maxUnpackedBytes" | "maxFiles"
  >;
}

/** Remembers those that passed last. */
export class ValidatedPackages {
  readonly #keys = new Set<string>();

  /** Whether it has passed. */
  has(subject: PackageToValidate): boolean {
    const key = keyOf(subject);
    if (!this.#keys.delete(key)) return false;
    this.#keys.add(key);
    return true;
  }

  /** Remembers that it has. */
  add(subject: PackageToValidate): void {
    const key = keyOf(subject);
    if (key.length > MAX_KEY_LENGTH) return;
    this.#keys.add(key);
    if (this.#keys.size <= MAX_PACKAGES) return;
    const [oldest] = this.#keys;
    if (oldest !== undefined) this.#keys.delete(oldest);
  }
}

function keyOf({ caller, packageDigest, rules }: PackageToValidate): string {
  const { entryPoint, blockedImports, maxPackageBytes, maxUnpackedBytes, maxFiles } = rules;
  return JSON.stringify([
    caller,
    packageDigest,
    entryPoint,
    blockedImports,
    maxPackageBytes,
    maxUnpackedBytes,
    maxFiles,
  ]);
}
