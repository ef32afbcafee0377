/**
 * Requirements of Python packages: `name[extra]>=1.2; python_version < "3.12"` (the dependency specifiers specification,
 * which was PEP 508).
 * @module
 */

import { show } from "../limits.ts";
import { PackageError } from "./package_error.ts";
import { type Marker, parseMarker } from "./marker.ts";
import { isName, normalizeName } from "./name.ts";
import { formatSpecifiers, type SpecifierSet, tryParseSpecifiers } from "./specifier.ts";

/** What one line asks for. */
export interface Requirement {
  /** Normalised. */
  readonly name: string;
  /** Normalised, each once. */
  readonly extras: readonly string[];
  readonly specifiers: SpecifierSet;
  /** When it counts; always without. */
  readonly marker: Marker | undefined;
  /** `sha256:…` of the files that may be taken, as `--hash` gives them; none for any file. */
  readonly hashes: readonly string[];
}

/** Characters of one; nobody means a longer one. */
const MAX_LENGTH = 8_192;
const HEAD = /^([a-z0-9][a-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*/i;

/**
 * Reads a requirement.
 *
 * ```ts
 * import { parseRequirement } from "./requirement.ts";
 * const { name, extras } = parseRequirement("Foo_Bar[test] >= 1.2");
 * console.assert(name === "foo-bar" && extras[0] === "test");
 * ```
 *
 * @throws {PackageError} `INVALID_TASK` quoting it and saying what is wrong
 */
export function parseRequirement(text: string): Requirement {
  if (text.length > MAX_LENGTH) throw faulty(text, `it is longer than ${MAX_LENGTH} characters`);
  const trimmed = text.trim();
  const head = HEAD.exec(trimmed);
  const name = head?.[1] ?? "";
  if (head === null || !isName(name)) throw faulty(text, "it does not begin with the name of a package");
  const rest = trimmed.slice(head[0].length);
  if (rest.startsWith("@")) {
    throw new PackageError(`${show(name)} is asked for by URL, and only what the service has can be installed`);
  }
  const [versions, marker] = splitMarker(rest);
  const specifiers = tryParseSpecifiers(withoutParentheses(versions));
  if (specifiers === undefined) {
    throw faulty(text, `${show(versions)} does not say which versions, as ">=1.2,<2" would`);
  }
  return {
    name: normalizeName(name),
    extras: parseExtras(head[2], text),
    specifiers,
    marker: marker === undefined ? undefined : parseItsMarker(marker, text),
    hashes: [],
  };
}

/** A requirement as messages show it: without marker and hashes. */
export function formatRequirement({ name, extras, specifiers }: Requirement): string {
  return `${name}${extras.length === 0 ? "" : `[${extras.join(",")}]`}${formatSpecifiers(specifiers)}`;
}

function splitMarker(rest: string): [versions: string, marker: string | undefined] {
  const at = rest.indexOf(";");
  return at === -1 ? [rest.trim(), undefined] : [rest.slice(0, at).trim(), rest.slice(at + 1)];
}

function withoutParentheses(versions: string): string {
  return versions.startsWith("(") && versions.endsWith(")") ? versions.slice(1, -1) : versions;
}

function parseExtras(list: string | undefined, text: string): string[] {
  if (list === undefined || list.trim() === "") return [];
  const extras = list.split(",").map((extra) => extra.trim());
  const wrong = extras.find((extra) => !isName(extra));
  if (wrong !== undefined) throw faulty(text, `${show(wrong)} cannot name an extra`);
  return [...new Set(extras.map(normalizeName))];
}

function parseItsMarker(marker: string, text: string): Marker {
  try {
    return parseMarker(marker);
  } catch (error) {
    if (error instanceof SyntaxError) throw faulty(text, error.message, { cause: error });
    throw error;
  }
}

function faulty(text: string, state: string, options?: ErrorOptions): PackageError {
  return new PackageError(`the requirement ${show(text)} cannot be read: ${state}`, options);
}
