/**
 * What a task runs: the `entry_point` of its request.
 * @module
 */

import { show } from "./limits.ts";
import { TaskError } from "../task_error.ts";

/** An entry point as it is written, before the package's files are looked at. */
export type EntryPoint =
  /** Nothing named: the package's main module, and what it exports by default. */
  | { readonly kind: "main" }
  /** A name alone: an export of the package's main module. */
  | { readonly kind: "name"; readonly name: string }
  /** `path/to/mod.ts`, `path/to/mod.ts:name` or `path/to/mod.ts#name`. */
  | { readonly kind: "module"; readonly path: string; readonly name: string }
  /** `package.module:function`, where Python's attributes may be dotted: `module:Class.method`. */
  | { readonly kind: "python"; readonly module: string; readonly attribute: string }
  /** `package.module.function`: which part is the module shows in the files. */
  | { readonly kind: "dotted"; readonly names: readonly string[] };

const MAX_LENGTH = 1_000;
const IDENTIFIER = /^[\p{ID_Start}_$][\p{ID_Continue}$\u200c\u200d]*$/u;
const PYTHON_NAME = /^[\p{ID_Start}_][\p{ID_Continue}]*$/u;
const MODULE_FILE = /\.(?:[cm]?[jt]s|[jt]sx)$/;

/**
 * Parses an entry point.
 * @throws {TaskError} `INVALID_TASK` saying which forms there are
 */
export function parseEntryPoint(text: string): EntryPoint {
  if (text.length > MAX_LENGTH) throw notAnEntryPoint(text, `it is longer than ${MAX_LENGTH} characters`);
  const trimmed = text.trim();
  if (trimmed === "") return { kind: "main" };
  const separator = trimmed.search(/[:#]/);
  const target = separator < 0 ? trimmed : trimmed.slice(0, separator);
  const name = separator < 0 ? undefined : trimmed.slice(separator + 1);
  if (name === "") throw notAnEntryPoint(text, "no name follows its separator");
  if (MODULE_FILE.test(target)) return moduleEntry(text, target, name ?? "default");
  if (separator < 0) return bareEntry(text, target);
  if (trimmed[separator] === "#") {
    throw notAnEntryPoint(text, "what stands before # is no TypeScript or JavaScript file");
  }
  const attribute = name ?? "";
  if (!isDotted(target) || !isDotted(attribute)) throw notAnEntryPoint(text, "it has none of the known forms");
  return { kind: "python", module: target, attribute };
}

function moduleEntry(text: string, target: string, name: string): EntryPoint {
  const path = target.replace(/^(?:\.\/)+/, "");
  if (path.startsWith("/") || path.includes("\\") || path.split("/").some((part) => part === ".." || part === "")) {
    throw notAnEntryPoint(text, "its path leaves the package");
  }
  if (!IDENTIFIER.test(name)) throw notAnEntryPoint(text, `${show(name)} is not a name`);
  return { kind: "module", path, name };
}

function bareEntry(text: string, target: string): EntryPoint {
  if (IDENTIFIER.test(target)) return { kind: "name", name: target };
  if (isDotted(target)) return { kind: "dotted", names: target.split(".") };
  throw notAnEntryPoint(text, "it has none of the known forms");
}

function isDotted(text: string): boolean {
  return text.split(".").every((name) => PYTHON_NAME.test(name));
}

function notAnEntryPoint(text: string, reason: string): TaskError {
  return new TaskError(
    "INVALID_TASK",
    `Cannot use entry point ${show(text)}: ${reason}. ` +
      'Write "path/to/mod.ts:name" for TypeScript and JavaScript, "package.module:function" for Python',
  );
}
