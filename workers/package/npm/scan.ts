/**
 * What a module of an npm package loads and exports, read from its source without running it.
 * @module
 */

import { literalOf, nameOf, rangeOf } from "../_describe_module.ts";
import { isNode, type Node } from "../_syntax_tree.ts";
import { parseText, visitAll } from "../parse_module.ts";
import type { LoadedBy } from "./package_fields.ts";

/** A module that another one names. */
export interface Reference {
  readonly specifier: string;
  readonly by: LoadedBy;
  /** Where an import's specifier stands, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

/** A piece of source. */
export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** What there is to know of a module. */
export interface ScannedModule {
  /** `script` for CommonJS. */
  readonly kind: "module" | "script";
  readonly references: readonly Reference[];
  /** Where it reads `process.env.NODE_ENV`. */
  readonly environmentReads: readonly Piece[];
  /** Names that a module of CommonJS puts on its exports, as far as the source shows. */
  readonly exportNames: ReadonlySet<string>;
  /** Modules whose exports it hands on, by specifier. */
  readonly reexports: readonly string[];
}

/**
 * Reads a module of JavaScript.
 * @param isModule whether its name or its package says that it is no CommonJS; otherwise its syntax decides
 * @throws {TaskError} when it does not parse as strict code, or is too deep
 */
export function scanModule(path: string, text: string, isModule: boolean): ScannedModule {
  const options = { attachComment: false, createParenthesizedExpressions: true, allowReturnOutsideFunction: true };
  const program = isModule
    ? parseText(path, text, { ...options, sourceType: "module", allowReturnOutsideFunction: false })
    // Whatever it is, it becomes part of a module, all of which are strict.
    : parseText(path, text, { ...options, sourceType: "unambiguous", strictMode: true });
  const kind = program.sourceType === "module" ? "module" : "script";
  const scan = new Scan(kind);
  visitAll(path, program, (node) => scan.add(node));
  return scan;
}

class Scan implements ScannedModule {
  readonly references: Reference[] = [];
  readonly exportNames = new Set<string>();
  readonly reexports: string[] = [];
  readonly #reads: Piece[] = [];
  /** Starts of what is written to, where nothing can take its place. */
  readonly #written = new Set<number>();

  constructor(readonly kind: "module" | "script") {}

  get environmentReads(): readonly Piece[] {
    return this.#reads.filter(({ start }) => !this.#written.has(start));
  }

  add(node: Node): void {
    switch (node.type) {
      case "ImportDeclaration":
      case "ExportAllDeclaration":
      case "ExportNamedDeclaration":
      case "ImportExpression": {
        const specifier = literalOf(node.source);
        if (specifier !== undefined) this.references.push({ specifier, by: "import", ...rangeOf(node.source) });
        return;
      }
      case "MemberExpression":
        if (memberPath(node) === "process.env.NODE_ENV") this.#reads.push(rangeOf(node));
        return;
      case "UpdateExpression":
      case "UnaryExpression":
        if (node.type === "UpdateExpression" || node.operator === "delete") this.#write(node.argument);
        return;
      case "AssignmentExpression":
        this.#write(node.left);
        return this.#addAssignment(node);
      case "CallExpression":
        return this.#addCall(node);
    }
  }

  #write(target: unknown): void {
    if (isNode(target)) this.#written.add(rangeOf(target).start);
  }

  #addAssignment({ left, right }: Node): void {
    const path = memberPath(left);
    if (path === "module.exports" || path === "exports") return this.#addExported(right);
    const name = /^(?:module\.)?exports\.(.+)$/s.exec(path ?? "")?.[1];
    if (name !== undefined && !name.includes(".")) this.exportNames.add(name);
  }

  /** `module.exports = …` */
  #addExported(value: unknown): void {
    const required = requiredBy(value);
    if (required !== undefined) this.reexports.push(required);
    if (!isNode(value) || value.type !== "ObjectExpression" || !Array.isArray(value.properties)) return;
    for (const property of value.properties) {
      if (!isNode(property)) continue;
      if (property.type === "SpreadElement") {
        const spread = requiredBy(property.argument);
        if (spread !== undefined) this.reexports.push(spread);
      } else if (property.computed !== true) {
        const name = nameOf(property.key);
        if (name !== undefined) this.exportNames.add(name);
      }
    }
  }

  #addCall(node: Node): void {
    const specifier = requiredBy(node);
    if (specifier !== undefined) this.references.push({ specifier, by: "require", ...rangeOf(node) });
    const [first, second] = Array.isArray(node.arguments) ? node.arguments : [];
    const callee = memberPath(node.callee) ?? "";
    if (callee === "Object.defineProperty" && /^(?:module\.)?exports$/.test(memberPath(first) ?? "")) {
      const name = literalOf(second);
      if (name !== undefined) this.exportNames.add(name);
    }
    // What TypeScript makes of `export * from`.
    if (/(?:^|\.)__export(?:Star)?$/.test(callee)) {
      const handedOn = requiredBy(first);
      if (handedOn !== undefined) this.reexports.push(handedOn);
    }
  }
}

/** The specifier of `require("…")`. */
function requiredBy(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === "ParenthesizedExpression") return requiredBy(node.expression);
  if (node.type !== "CallExpression" || !isNode(node.callee) || !Array.isArray(node.arguments)) return undefined;
  if (node.callee.type !== "Identifier" || node.callee.name !== "require") return undefined;
  return literalOf(node.arguments[0]);
}

/** `a.b.c` as it is written, at most three names long. */
function memberPath(node: unknown, depth = 3): string | undefined {
  if (!isNode(node) || depth === 0) return undefined;
  if (node.type === "Identifier") return nameOf(node);
  if (node.type !== "MemberExpression" || (node.computed === true && literalOf(node.property) === undefined)) {
    return undefined;
  }
  const object = memberPath(node.object, depth - 1);
  const name = nameOf(node.property);
  return object === undefined || name === undefined ? undefined : `${object}.${name}`;
}
