/**
 * What a package says of itself: `METADATA` and `PKG-INFO` (the core metadata specifications), and setuptools'
 * `requires.txt` (https://setuptools.pypa.io/en/latest/deprecated/python_eggs.html#requires-txt).
 * @module
 */

import { type Marker, parseMarker } from "./marker.ts";
import { normalizeName } from "./name.ts";
import { parseRequirement, type Requirement } from "./requirement.ts";
import { type SpecifierSet, tryParseSpecifiers } from "./specifier.ts";

/** What resolving needs to know of a package. */
export interface PackageMetadata {
  /** As it is written. */
  readonly name: string;
  readonly version: string;
  readonly requires: readonly Requirement[];
  /** Versions of Python that it is for. */
  readonly requiresPython: SpecifierSet;
  /** What it was read from. */
  readonly source: MetadataSource;
}

/** The texts that a package's metadata is in. */
export interface MetadataSource {
  /** Of `METADATA` or `PKG-INFO`, without the description below them. */
  readonly headers: string;
  /** Setuptools' `requires.txt`, which counts where the headers name no requirement. */
  readonly requiresText?: string;
}

/** A package may need so many others. */
const MAX_REQUIREMENTS = 2_000;

/**
 * Reads `METADATA` or `PKG-INFO`.
 * @param requiresText see {@linkcode MetadataSource}
 * @throws {PackageError | SyntaxError} for a requirement that cannot be read
 */
export function parseMetadata(text: string, requiresText?: string): PackageMetadata {
  const headers = parseHeaders(text);
  const first = (name: string) => headers.find(([header]) => header === name)?.[1] ?? "";
  const lines = headers.filter(([header]) => header === "requires-dist").map(([, value]) => value);
  if (lines.length > MAX_REQUIREMENTS) throw new SyntaxError(`it has more than ${MAX_REQUIREMENTS} requirements`);
  const requiresPython = tryParseSpecifiers(first("requires-python"));
  if (requiresPython === undefined) throw new SyntaxError("its Requires-Python does not say which versions");
  return {
    name: first("name"),
    version: first("version"),
    requires: lines.length > 0 || requiresText === undefined
      ? lines.map(parseRequirement)
      : parseRequiresText(requiresText),
    requiresPython,
    source: { headers: headersOf(text), ...(requiresText === undefined ? {} : { requiresText }) },
  };
}

function headersOf(text: string): string {
  return text.slice(0, /^\r?$/m.exec(text)?.index);
}

/** Headers as an e-mail has them (RFC 5322), names in lower case; the description below the first blank line is none. */
export function parseHeaders(text: string): [name: string, value: string][] {
  const headers: [string, string][] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line === "") break;
    const last = headers.at(-1);
    const colon = line.indexOf(":");
    if (/^[ \t]/.test(line) && last !== undefined) last[1] += ` ${line.trim()}`;
    else if (colon > 0) headers.push([line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]);
  }
  return headers;
}

/** Sections `[extra]`, `[:marker]` and `[extra:marker]`, with requirements below them. */
function parseRequiresText(text: string): Requirement[] {
  const requirements: Requirement[] = [];
  let section: Marker[] = [];
  for (const line of text.split(/\r?\n/).map((raw) => raw.trim())) {
    if (line === "" || line.startsWith("#")) continue;
    const header = /^\[([^:\]]*)(?::(.*))?\]$/.exec(line);
    if (header !== null) section = sectionMarkers(header[1] ?? "", header[2]);
    else {
      const requirement = parseRequirement(line);
      const parts = requirement.marker === undefined ? section : [requirement.marker, ...section];
      requirements.push({ ...requirement, marker: parts.length > 0 ? { kind: "and", parts } : undefined });
    }
    if (requirements.length > MAX_REQUIREMENTS) {
      throw new SyntaxError(`it has more than ${MAX_REQUIREMENTS} requirements`);
    }
  }
  return requirements;
}

function sectionMarkers(extra: string, marker: string | undefined): Marker[] {
  const markers: Marker[] = [];
  if (extra.trim() !== "") {
    const [left, right] = [{ kind: "variable", name: "extra" }, {
      kind: "text",
      text: normalizeName(extra.trim()),
    }] as const;
    markers.push({ kind: "compare", left, operator: "==", right });
  }
  if (marker !== undefined && marker.trim() !== "") markers.push(parseMarker(marker));
  return markers;
}
