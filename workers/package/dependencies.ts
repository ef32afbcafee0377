/**
 * Modules from outside that a package declares.
 * @module
 */

import { show } from "./limits.ts";
import { TaskError } from "../task_error.ts";

/** A package of a registry. */
export interface Dependency {
  /** `undefined` for a bare name, which stands for either registry. */
  readonly registry: "npm" | "jsr" | undefined;
  readonly name: string;
  /** As written, a range perhaps; `undefined` when none is. */
  readonly version: string | undefined;
}

const PACKAGE = /^((?:@[a-z0-9][\w.-]*\/)?[a-z0-9_][\w.-]*)(?:@([^/\s]+))?$/i;

/**
 * Reads declared dependencies of a TypeScript or JavaScript package: `npm:zod@4`, `jsr:@std/path`, `zod@4`.
 * @throws {TaskError} `INVALID_TASK` listing those that are none
 */
export function parseDependencies(lines: readonly string[]): Dependency[] {
  const faults: string[] = [];
  const dependencies: Dependency[] = [];
  for (const line of lines) {
    const [, registry, rest = ""] = /^(?:(npm|jsr):\/?)?(.*)$/s.exec(line.trim()) ?? [];
    const [, name, version] = PACKAGE.exec(rest) ?? [];
    if (name === undefined) faults.push(show(line));
    else {dependencies.push({
        registry: registry === "npm" || registry === "jsr" ? registry : undefined,
        name,
        version,
      });}
  }
  if (faults.length > 0) {
    throw new TaskError(
      "INVALID_TASK",
      `Cannot read dependencies: ${
        faults.slice(0, 10).join(", ")
      } should look like npm:name@version or jsr:@scope/name`,
    );
  }
  return dependencies;
}

/** Splits `@scope/name@1.2.3/sub/path`. */
export function packageOf(specifier: string): { name: string; version: string | undefined } {
  const parts = specifier.split("/");
  const isScoped = specifier.startsWith("@");
  const last = parts[isScoped ? 1 : 0] ?? "";
  const at = last.indexOf("@");
  const bare = at < 0 ? last : last.slice(0, at);
  return {
    name: isScoped ? `${parts[0]}/${bare}` : bare,
    version: at < 0 ? undefined : last.slice(at + 1),
  };
}

/** Whether an import is of a declared package, and of the declared version where both name one. */
export function isDeclared(specifier: string, dependencies: readonly Dependency[]): boolean {
  const [, registry, rest = ""] = /^(?:(npm|jsr):\/?)?(.*)$/is.exec(specifier) ?? [];
  const { name, version } = packageOf(rest);
  return dependencies.some((dependency) =>
    dependency.name === name &&
    (registry === undefined || dependency.registry === undefined || dependency.registry === registry.toLowerCase()) &&
    (version === undefined || dependency.version === undefined || dependency.version === version)
  );
}
