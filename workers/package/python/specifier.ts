/**
 * Which versions a requirement takes: `>=1.2,!=1.4.*` (the version specifiers specification, which was PEP 440).
 * @module
 */

import {
  compareReleases,
  compareVersions,
  formatVersion,
  isPrerelease,
  tryParseVersion,
  type Version,
} from "./version.ts";

/** Comparisons of one requirement; nobody means more. */
const MAX_SPECIFIERS = 64;

/** How a specifier compares, the longest first. */
const OPERATORS = ["===", "~=", "==", "!=", "<=", ">=", "<", ">"] as const;

type Operator = typeof OPERATORS[number];

/** One comparison. */
export interface Specifier {
  readonly operator: Operator;
  /** As it was written. */
  readonly text: string;
  /** `undefined` for `===` with what is no version. */
  readonly version: Version | undefined;
  /** Whether it ends in `.*`. */
  readonly isPrefix: boolean;
}

/** Comparisons that must all hold; none for any version. */
export type SpecifierSet = readonly Specifier[];

/**
 * Reads comparisons between commas.
 * @returns `undefined` when it is none
 */
export function tryParseSpecifiers(text: string): SpecifierSet | undefined {
  const parts = text.split(",").map((part) => part.trim());
  // One comma too many is widespread, at the end and alone.
  const written = parts.filter((part) => part !== "");
  if (written.length > MAX_SPECIFIERS) return undefined;
  const specifiers = written.map(tryParseSpecifier);
  return specifiers.every((specifier) => specifier !== undefined) ? specifiers : undefined;
}

function tryParseSpecifier(text: string): Specifier | undefined {
  const operator = OPERATORS.find((known) => text.startsWith(known));
  if (operator === undefined) return undefined;
  const written = text.slice(operator.length).trim();
  if (operator === "===") {
    return /^[^\s;)]+$/.test(written)
      ? { operator, text: written, version: tryParseVersion(written), isPrefix: false }
      : undefined;
  }
  const isPrefix = written.endsWith(".*");
  const version = tryParseVersion(isPrefix ? written.slice(0, -2) : written);
  if (version === undefined) return undefined;
  const isEquality = operator === "==" || operator === "!=";
  if (version.local !== undefined && !isEquality) return undefined;
  if (operator === "~=" && version.release.length < 2) return undefined;
  if (isPrefix && !(isEquality && isBare(version))) return undefined;
  return { operator, text: written, version, isPrefix };
}

/** Whether a version is a release segment and nothing more. */
function isBare({ pre, post, dev, local }: Version): boolean {
  return pre === undefined && post === undefined && dev === undefined && local === undefined;
}

/** A specifier set as text. */
export function formatSpecifiers(specifiers: SpecifierSet): string {
  return specifiers.map(({ operator, text }) => `${operator}${text}`).join(",");
}

/** Whether a set names a pre-release itself, which lets pre-releases in. */
export function namesPrerelease(specifiers: SpecifierSet): boolean {
  return specifiers.some(({ operator, version }) =>
    operator !== "!=" && version !== undefined && isPrerelease(version)
  );
}

/** Whether a version fits. That pre-releases are a last resort is for who chooses. */
export function fits(version: Version, specifiers: SpecifierSet): boolean {
  return specifiers.every((specifier) => fitsOne(version, specifier));
}

function fitsOne(version: Version, specifier: Specifier): boolean {
  const { operator, text, version: wanted, isPrefix } = specifier;
  if (operator === "===") return formatVersion(version) === text.toLowerCase();
  if (wanted === undefined) return false;
  switch (operator) {
    case "==":
      return isPrefix ? hasPrefix(version, wanted) : equals(version, wanted);
    case "!=":
      return !(isPrefix ? hasPrefix(version, wanted) : equals(version, wanted));
    case "<=":
      return compareVersions(publicOf(version), wanted) <= 0;
    case ">=":
      return compareVersions(publicOf(version), wanted) >= 0;
    case "<":
      // 1.0rc1 is no answer to <1.0, unless a pre-release is named.
      return compareVersions(version, wanted) < 0 &&
        !(isPrerelease(version) && !isPrerelease(wanted) && isSameRelease(version, wanted));
    case ">":
      // Neither 1.0.post1 nor 1.0+local is one to >1.0.
      return compareVersions(version, wanted) > 0 && !(isSameRelease(version, wanted) &&
        (version.local !== undefined || (version.post !== undefined && wanted.post === undefined)));
    case "~=":
      return compareVersions(publicOf(version), wanted) >= 0 &&
        hasPrefix(version, { ...wanted, release: wanted.release.slice(0, -1) });
  }
}

/** A local version is asked for by its whole name only. */
function equals(version: Version, wanted: Version): boolean {
  return compareVersions(wanted.local === undefined ? publicOf(version) : version, wanted) === 0;
}

function publicOf(version: Version): Version {
  return version.local === undefined ? version : { ...version, local: undefined };
}

function isSameRelease(a: Version, b: Version): boolean {
  return a.epoch === b.epoch && compareReleases(a.release, b.release) === 0;
}

function hasPrefix(version: Version, prefix: Version): boolean {
  if (version.epoch !== prefix.epoch) return false;
  return prefix.release.every((number, index) => number === (version.release[index] ?? 0n));
}
