/**
 * Names of wheels (https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-name-convention).
 * @module
 */

import { isName, normalizeName } from "./name.ts";
import { tryParseVersion, type Version } from "./version.ts";

/** What the name of a wheel says. */
export interface WheelName {
  /** The name itself. */
  readonly fileName: string;
  /** Normalised. */
  readonly name: string;
  readonly version: Version;
  /** Breaks ties between wheels of one version: a number and the rest. */
  readonly build: readonly [number: bigint, rest: string] | undefined;
  /** Every tag that its compressed sets stand for, `py3-none-any` say. */
  readonly tags: readonly string[];
}

/** A name stands for at most so many tags. */
const MAX_TAGS = 1_000;

/**
 * Reads the name of a file.
 * @returns `undefined` when it is not a wheel's
 */
export function tryParseWheelName(fileName: string): WheelName | undefined {
  if (!/\.whl$/i.test(fileName) || fileName.length > 512) return undefined;
  const parts = fileName.slice(0, -4).split("-");
  if (parts.length !== 5 && parts.length !== 6) return undefined;
  const [name = "", versionText = ""] = parts;
  const [pythons = "", abis = "", platforms = ""] = parts.slice(-3);
  const version = tryParseVersion(versionText.replaceAll("_", "-"));
  if (version === undefined || !isName(name)) return undefined;
  const build = parts.length === 6 ? /^(\d+)(.*)$/.exec(parts[2] ?? "") : undefined;
  if (build === null) return undefined;
  const tags = expandTags(pythons, abis, platforms);
  if (tags === undefined) return undefined;
  return {
    fileName,
    name: normalizeName(name),
    version,
    build: build === undefined ? undefined : [BigInt(build[1] ?? 0), build[2] ?? ""],
    tags,
  };
}

/** `py2.py3-none-any` is `py2-none-any` and `py3-none-any`. */
function expandTags(pythons: string, abis: string, platforms: string): string[] | undefined {
  const sets = [pythons, abis, platforms].map((set) => set.toLowerCase().split("."));
  if (sets.flat().some((part) => !/^\w+$/.test(part))) return undefined;
  if (sets.reduce((count, { length }) => count * length, 1) > MAX_TAGS) return undefined;
  const [python = [], abi = [], platform = []] = sets;
  return python.flatMap((first) => abi.flatMap((second) => platform.map((third) => `${first}-${second}-${third}`)));
}

/** Orders wheels of one version by their builds, the older first; none comes before any. */
export function compareBuilds(a: WheelName["build"], b: WheelName["build"]): number {
  if (a === undefined || b === undefined) return (a === undefined ? 0 : 1) - (b === undefined ? 0 : 1);
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1;
  return a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0;
}
