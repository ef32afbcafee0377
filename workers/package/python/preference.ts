/**
 * Which of several packages of one name is taken.
 * @module
 */

import type { Distribution } from "./distribution.ts";
import type { Requirement } from "./requirement.ts";
import { namesPrerelease } from "./specifier.ts";
import { compareVersions, formatVersion, isPrerelease } from "./version.ts";
import { compareBuilds } from "./wheel_name.ts";

/** The name of a package with its version, as messages and lists of what is installed have it. */
export function pinOf({ name, version }: Distribution, separator = "=="): string {
  return version === undefined ? name : `${name}${separator}${formatVersion(version)}`;
}

/**
 * Orders packages of one name: the newest first; of one version the wheel that suits best, then its latest build, and a
 * folder last. What has no version comes after all that has one.
 *
 * @param tags that can be used, the best first
 */
export function inOrder(distributions: readonly Distribution[], tags: readonly string[]): Distribution[] {
  return distributions.toSorted((a, b) => {
    if (a.version === undefined || b.version === undefined) {
      return (a.version === undefined ? 1 : 0) - (b.version === undefined ? 1 : 0);
    }
    return compareVersions(b.version, a.version) || rankOf(a, tags) - rankOf(b, tags) ||
      compareBuilds(b.wheelName?.build, a.wheelName?.build);
  });
}

function rankOf({ wheelName }: Distribution, tags: readonly string[]): number {
  const ranks = wheelName?.tags.map((tag) => tags.indexOf(tag)).filter((at) => at >= 0) ?? [];
  return Math.min(tags.length, ...ranks);
}

/** Leaves pre-releases out, unless one is named or there is nothing else. */
export function withoutPrereleases(
  distributions: readonly Distribution[],
  requirements: readonly Requirement[],
): readonly Distribution[] {
  if (requirements.some(({ specifiers }) => namesPrerelease(specifiers))) return distributions;
  const releases = distributions.filter(({ version }) => version === undefined || !isPrerelease(version));
  return releases.length > 0 ? releases : distributions;
}

/** Leaves out what its author has taken back, unless its very version is asked for. */
export function withoutYanked(
  distributions: readonly Distribution[],
  requirements: readonly Requirement[],
): readonly Distribution[] {
  const isNamed = requirements.some(({ specifiers }) =>
    specifiers.some(({ operator, isPrefix }) => operator === "===" || (operator === "==" && !isPrefix))
  );
  return isNamed ? distributions : distributions.filter(({ isYanked = false }) => !isYanked);
}
