/**
 * Versions as npm reads them (https://semver.org, https://github.com/npm/node-semver#ranges).
 * @module
 */

import semver from "semver";

/** The part of the library that is used; it brings no types. */
interface Semver {
  valid(version: string): string | null;
  validRange(range: string): string | null;
  satisfies(version: string, range: string): boolean;
  rcompare(left: string, right: string): number;
}
const { valid, validRange, satisfies, rcompare } = semver as Semver;

/** Longest text that is read as a range; the library bounds versions itself. */
const MAX_RANGE_LENGTH = 256;

/** Whether a text is a version in its normal form. */
export function isVersion(text: string): boolean {
  return valid(text) === text;
}

/** Whether a text is a range of versions. */
export function isRange(text: string): boolean {
  return text.length <= MAX_RANGE_LENGTH && validRange(text) !== null;
}

/** Those of the versions that lie in a range, the newest first. */
export function versionsIn(range: string, versions: Iterable<string>): string[] {
  return [...versions].filter((version) => satisfies(version, range)).sort(rcompare);
}
