/**
 * Versions of Python packages: the version specifiers specification, which was PEP 440
 * (https://packaging.python.org/en/latest/specifications/version-specifiers/).
 * @module
 */

/** Longer ones are refused: nobody means them, and their numbers cost time. */
const MAX_VERSION_LENGTH = 128;

/** A part such as `rc1`. */
interface Labelled<Label extends string> {
  readonly label: Label;
  readonly number: bigint;
}

/** A version in its parts. Numbers are dates at times, which a double does not hold. */
export interface Version {
  readonly epoch: bigint;
  /** At least one number. */
  readonly release: readonly bigint[];
  readonly pre: Labelled<"a" | "b" | "rc"> | undefined;
  readonly post: bigint | undefined;
  readonly dev: bigint | undefined;
  /** Segments of what follows a plus sign. */
  readonly local: readonly (bigint | string)[] | undefined;
}

/** The specification's own pattern (appendix B), anchored. No part of it can match in two ways, so it takes linear time. */
const VERSION = new RegExp(
  [
    /^v?(?:(?<epoch>\d+)!)?(?<release>\d+(?:\.\d+)*)/,
    /(?:[-_.]?(?<preLabel>alpha|beta|preview|pre|a|b|c|rc)(?:[-_.]?(?<pre>\d+))?)?/,
    /(?<hasPost>-(?<implicitPost>\d+)|[-_.]?(?:post|rev|r)(?:[-_.]?(?<post>\d+))?)?/,
    /(?<hasDev>[-_.]?dev(?:[-_.]?(?<dev>\d+))?)?/,
    /(?:\+(?<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$/,
  ].map(({ source }) => source).join(""),
  "i",
);

const PRE_LABELS: Readonly<Record<string, "a" | "b" | "rc">> = {
  a: "a",
  alpha: "a",
  b: "b",
  beta: "b",
  c: "rc",
  rc: "rc",
  pre: "rc",
  preview: "rc",
};

/**
 * Reads a version in any of the spellings that the specification normalises.
 * @returns `undefined` when it is none
 */
export function tryParseVersion(text: string): Version | undefined {
  const trimmed = text.trim();
  if (trimmed.length > MAX_VERSION_LENGTH) return undefined;
  const groups = VERSION.exec(trimmed)?.groups;
  if (groups === undefined) return undefined;
  const label = PRE_LABELS[groups.preLabel?.toLowerCase() ?? ""];
  return {
    epoch: BigInt(groups.epoch ?? 0),
    release: (groups.release ?? "").split(".").map(BigInt),
    pre: label === undefined ? undefined : { label, number: BigInt(groups.pre ?? 0) },
    post: groups.hasPost === undefined ? undefined : BigInt(groups.implicitPost ?? groups.post ?? 0),
    dev: groups.hasDev === undefined ? undefined : BigInt(groups.dev ?? 0),
    local: groups.local?.toLowerCase().split(/[-_.]/).map((part) => /^\d+$/.test(part) ? BigInt(part) : part),
  };
}

/** A version's normal form. */
export function formatVersion(version: Version): string {
  const { epoch, release, pre, post, dev, local } = version;
  return [
    epoch === 0n ? "" : `${epoch}!`,
    release.join("."),
    pre === undefined ? "" : `${pre.label}${pre.number}`,
    post === undefined ? "" : `.post${post}`,
    dev === undefined ? "" : `.dev${dev}`,
    local === undefined ? "" : `+${local.join(".")}`,
  ].join("");
}

/** Whether a version is one of before a release: an alpha, beta, release candidate or development release. */
export function isPrerelease({ pre, dev }: Version): boolean {
  return pre !== undefined || dev !== undefined;
}

/** Orders versions as the specification does, the oldest first. */
export function compareVersions(a: Version, b: Version): number {
  return order(a.epoch, b.epoch) ||
    compareReleases(a.release, b.release) ||
    order(preRank(a), preRank(b)) ||
    order(a.pre?.number ?? 0n, b.pre?.number ?? 0n) ||
    order(a.post ?? -1n, b.post ?? -1n) ||
    // A development release comes before what it leads to.
    order(a.dev === undefined ? 1 : 0, b.dev === undefined ? 1 : 0) ||
    order(a.dev ?? 0n, b.dev ?? 0n) ||
    compareLocals(a.local, b.local);
}

/** Orders release segments; missing numbers are zeros. */
export function compareReleases(a: readonly bigint[], b: readonly bigint[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = order(a[index] ?? 0n, b[index] ?? 0n);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** 1.0.dev1 comes before 1.0a1, which comes before 1.0 and 1.0.post1.dev1. */
function preRank({ pre, post, dev }: Version): number {
  if (pre !== undefined) return ["a", "b", "rc"].indexOf(pre.label);
  return post === undefined && dev !== undefined ? -1 : 3;
}

/** None comes before any, a shorter one before what it begins, texts before numbers. */
function compareLocals(a: Version["local"], b: Version["local"]): number {
  if (a === undefined || b === undefined) return order(a === undefined ? 0 : 1, b === undefined ? 0 : 1);
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [left, right] = [a[index], b[index]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    if (typeof left !== typeof right) return typeof left === "string" ? -1 : 1;
    const difference = order(left, right);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Texts go by their code units, which for these is their order in ASCII. */
function order<T extends bigint | number | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
