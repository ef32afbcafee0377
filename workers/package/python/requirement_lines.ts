/**
 * Lines of a requirements file, as pip reads them
 * (https://pip.pypa.io/en/stable/reference/requirements-file-format/), as far as they name packages.
 * @module
 */

import { show } from "../limits.ts";
import { PackageError } from "./package_error.ts";
import { parseRequirement, type Requirement } from "./requirement.ts";

/** Requirements of one task, and characters of one, continuations joined. */
const MAX_LINES = 2_000;
const MAX_LINE_LENGTH = 8_192;
/** Characters of all lines together: the server reads them between two turns of its event loop. */
const MAX_LENGTH = 2 ** 20;
const COMMENT = /(?:^|\s)#.*$/;
/** Hashes that pip takes, each with the length of its digest in hexadecimal. */
const HASH_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/**
 * Reads requirements, one a line: comments and blank lines do not count, a backslash at the end goes on with the next line.
 *
 * @param lines of the request, of the manifest and of requirements files, one after the other
 * @throws {PackageError} `INVALID_TASK` naming the line that is none, or that asks for what is not offered: an option, an
 * URL, a path
 */
export function parseRequirementLines(lines: readonly string[]): Requirement[] {
  if (lines.reduce((sum, { length }) => sum + length, 0) > MAX_LENGTH) {
    throw new PackageError(`the requirements are longer than ${MAX_LENGTH} characters together`);
  }
  const joined = joinLines(lines);
  if (joined.length > MAX_LINES) throw new PackageError(`there are more than ${MAX_LINES} requirements`);
  if (joined.some(({ length }) => length > MAX_LINE_LENGTH)) {
    throw new PackageError(`a line of the requirements is longer than ${MAX_LINE_LENGTH} characters`);
  }
  return joined.map(parseLine);
}

/** Joins what backslashes part, and leaves comments out. */
function joinLines(lines: readonly string[]): string[] {
  const joined: string[] = [];
  let open = "";
  for (const line of lines.flatMap((text) => text.split(/\r\n|[\n\r]/))) {
    // A line of comment does not go on, whatever it ends with.
    const isComment = /^\s*#/.test(line);
    if (line.endsWith("\\") && !isComment) {
      open += line.slice(0, -1);
      continue;
    }
    joined.push(isComment ? open : open + line);
    open = "";
  }
  joined.push(open);
  return joined.map((line) => line.replace(COMMENT, "").trim()).filter((line) => line !== "");
}

function parseLine(line: string): Requirement {
  if (line.startsWith("-")) throw notOffered(line);
  const [text = "", ...options] = line.split(/(?<!\s)\s+(?=--?[a-z])/i);
  const hashes = options.map(parseHash);
  if (isPlace(text)) {
    throw new PackageError(
      `${show(withoutPassword(text))} is an URL or a path, and only what the service has can be installed, by name`,
    );
  }
  return { ...parseRequirement(text), hashes };
}

/** Whether a line names a place rather than a package; an URL after `name @` is for who reads the name. */
function isPlace(text: string): boolean {
  const beforeMarker = text.split(";")[0] ?? "";
  if (/^[^@[<>=!~\s]*:/.test(beforeMarker)) return true;
  if (/^[\w.-]+\s*(?:\[[^\]]*\]\s*)?@/.test(beforeMarker)) return false;
  return /[/\\]/.test(beforeMarker) || /^\.|\.(?:whl|zip|tar\.\w+|tgz)$/i.test(beforeMarker.trim());
}

function parseHash(option: string): string {
  const [, algorithm = "", digest = ""] = /^--hash[=\s]\s*(\w+):([0-9a-f]+)$/i.exec(option) ?? [];
  const name = algorithm.toLowerCase();
  if (name === "") throw notOffered(option);
  if (!Object.hasOwn(HASH_LENGTHS, name) || digest.length !== HASH_LENGTHS[name]) {
    throw new PackageError(
      `${show(option)} is no hash of a file: it takes one of ${
        Object.keys(HASH_LENGTHS).join(", ")
      } and a colon before its digest in hexadecimal`,
    );
  }
  return `${name}:${digest.toLowerCase()}`;
}

/** Says the option's name only: its value may hold a password. */
function notOffered(line: string): PackageError {
  const [option = ""] = line.split(/[=\s]/);
  const name = option.startsWith("--") ? option : option.slice(0, 2);
  return new PackageError(
    `the option ${
      show(name)
    } of a requirements file is not offered; packages come from the service, by name and version`,
  );
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/@]*@/, "//…@");
}
