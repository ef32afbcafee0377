/**
 * Decides on each import of a package: a file of the package, something that was granted, or a refusal.
 *
 * This is the early and readable no. What a module can reach when it runs is decided by the rights of its process.
 *
 * @module
 */

import { type Dependency, isDeclared, packageOf } from "./dependencies.ts";
import { faultOfPath } from "./entry_name.ts";
import { show } from "./limits.ts";
import { isNodeBuiltin } from "./node_builtins.ts";
import type { ImportReference } from "./_describe_module.ts";
import { MODULE_EXTENSIONS } from "./resolve_entry.ts";

/** What user code may import besides its own files. */
export interface ImportPolicy {
  /** Builtins of Node that are granted, without `node:`. */
  readonly allowedBuiltins: readonly string[];
  /** Names that are refused whatever else says: a module, a package, a builtin. */
  readonly blockedImports: readonly string[];
}

/** Nothing but the package's own files. */
export const NO_IMPORTS: ImportPolicy = { allowedBuiltins: [], blockedImports: [] };

/** An import that is fine. */
export interface ResolvedImport {
  readonly specifier: string;
  /** Path in the package, or the specifier of what lies outside. */
  readonly target: string;
  readonly isExternal: boolean;
}

/** An import that is refused. */
export interface ImportRefusal {
  readonly code: "INVALID_TASK" | "SECURITY_VIOLATION";
  readonly message: string;
}

/** What imports are decided by. */
export interface ImportContext {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly dependencies: readonly Dependency[];
  readonly policy: ImportPolicy;
}

/**
 * Resolves an import.
 * @param importer path of the importing module from the code root
 */
export function resolveImport(
  importer: string,
  reference: ImportReference,
  context: ImportContext,
): ResolvedImport | ImportRefusal {
  const { specifier } = reference;
  // URL parsers drop some of these and trim others, so that "\tfile:///x" is a file.
  // deno-lint-ignore no-control-regex -- these are the characters to refuse
  if (specifier === "" || /[\u0000-\u001f\u007f-\u009f\\]|^\s|\s$/.test(specifier)) {
    return violation(`the import ${show(specifier)} is empty or holds white space, a control character or a backslash`);
  }
  const blocked = context.policy.blockedImports.find((name) => isBlocked(specifier, name));
  if (blocked !== undefined) return violation(`the import of ${show(specifier)} is blocked by the policy`);
  if (specifier.startsWith("/")) return violation(`the import ${show(specifier)} leaves the package`);
  if (/^\.{1,2}(?:\/|$)/.test(specifier)) return resolveRelative(importer, reference, context.files);
  return resolveExternal(reference, context);
}

function resolveExternal(reference: ImportReference, context: ImportContext): ResolvedImport | ImportRefusal {
  const { specifier } = reference;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(specifier)?.[1]?.toLowerCase();
  const fine = { specifier, target: specifier, isExternal: true };
  if (scheme === "node" || (scheme === undefined && isNodeBuiltin(specifier))) {
    const name = specifier.replace(/^node:/i, "");
    if (specifier.startsWith("node:") || scheme === undefined) {
      if (context.policy.allowedBuiltins.includes(name)) return fine;
    }
    return violation(`the builtin ${show(specifier)} is not offered in this sandbox`);
  }
  if (scheme === "npm" || scheme === "jsr") {
    if (isDeclared(specifier, context.dependencies)) return fine;
    return violation(`the import of ${show(specifier)} is not declared in the dependencies`);
  }
  if (scheme !== undefined) return violation(`the import of ${show(specifier)} leaves the package`);
  if (isDeclared(specifier, context.dependencies)) return fine;
  const relative = MODULE_EXTENSIONS.some((extension) => specifier.endsWith(extension));
  return invalid(
    `cannot find module ${show(specifier)}: ` +
      (relative
        ? `a file of the package is imported as ${show(`./${specifier}`)}`
        : "it is not declared in the dependencies"),
  );
}

/** Follows a relative import through the package's folders, as the URL standard would. */
function resolveRelative(
  importer: string,
  reference: ImportReference,
  files: ReadonlyMap<string, Uint8Array>,
): ResolvedImport | ImportRefusal {
  const { specifier } = reference;
  if (/[?#]/.test(specifier)) return invalid(`the import ${show(specifier)} has a query or fragment`);
  const decoded = tryDecode(specifier);
  if (decoded === undefined || /%(?:2f|5c|00)/i.test(specifier)) {
    return violation(`the import ${show(specifier)} holds an encoded separator or is badly encoded`);
  }
  const segments = importer.split("/").slice(0, -1);
  for (const segment of decoded.split("/")) {
    if (segment === "..") {
      if (segments.pop() === undefined) return violation(`the import ${show(specifier)} leaves the package`);
    } else if (segment !== ".") segments.push(segment);
  }
  const path = segments.join("/");
  if (faultOfPath(path) !== undefined) {
    return invalid(`cannot find module ${show(specifier)}${suggestion(path, files)}`);
  }
  if (!files.has(path)) return invalid(`cannot find module ${show(specifier)}${suggestion(path, files)}`);
  return checkContent(path, reference);
}

function tryDecode(specifier: string): string | undefined {
  try {
    return decodeURIComponent(specifier);
  } catch {
    return undefined;
  }
}

/** What was probably meant: an extension is missing, or that of the compiled file was written. */
function suggestion(path: string, files: ReadonlyMap<string, Uint8Array>): string {
  const stem = path.replace(/\.[cm]?[jt]sx?$/, "");
  const candidates = [...MODULE_EXTENSIONS, ".json"].flatMap((extension) => [
    path + extension,
    stem + extension,
    `${path}/mod${extension}`,
    `${path}/index${extension}`,
  ]);
  const found = candidates.find((candidate) => files.has(candidate)) ??
    [...files.keys()].find((name) => name.toLowerCase() === path.toLowerCase());
  return found === undefined ? ` in the package: there is no ${show(path)}` : `: did you mean ${show(found)}?`;
}

/** Sees that a file is imported as what it is. */
function checkContent(path: string, reference: ImportReference): ResolvedImport | ImportRefusal {
  const { specifier, attributeType, kind } = reference;
  const isModule = MODULE_EXTENSIONS.some((extension) => path.endsWith(extension));
  // A dynamic import may compute its attributes.
  if (attributeType === undefined && !isModule && kind === "static") {
    const type = path.endsWith(".json") ? "json" : "text";
    return invalid(`the import of ${show(specifier)} needs \`with { type: "${type}" }\``);
  }
  if (attributeType === "json" && !path.endsWith(".json")) {
    return invalid(`the import of ${show(specifier)} says that it is JSON, and its name does not end in .json`);
  }
  if (attributeType !== undefined && !["json", "text", "bytes"].includes(attributeType)) {
    return invalid(`the import of ${show(specifier)} has the unknown type ${show(attributeType)}`);
  }
  return { specifier, target: path, isExternal: false };
}

/** `fs` stands for `node:fs` and `fs/promises` as well, `lodash` for `npm:lodash@4/fp`. */
function isBlocked(specifier: string, name: string): boolean {
  if (specifier === name || specifier.startsWith(`${name}/`)) return true;
  const bare = specifier.replace(/^(?:node|npm|jsr):\/?/i, "");
  const blocked = name.replace(/^(?:node|npm|jsr):\/?/i, "");
  return bare === blocked || bare.startsWith(`${blocked}/`) || packageOf(bare).name === blocked;
}

function violation(message: string): ImportRefusal {
  return { code: "SECURITY_VIOLATION", message };
}

function invalid(message: string): ImportRefusal {
  return { code: "INVALID_TASK", message };
}
