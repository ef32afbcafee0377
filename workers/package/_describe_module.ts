/**
 * What a module's syntax tree says about its imports and exports.
 * @module
 */

import { isNode, type Node } from "./_syntax_tree.ts";
import { show } from "./limits.ts";
import { TaskError } from "../task_error.ts";

/** A place in a file, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A module that another one names. */
export interface ImportReference extends Place {
  readonly specifier: string;
  readonly kind: "static" | "dynamic";
  /** `type` of its import attributes, where one is written out. */
  readonly attributeType: string | undefined;
  /** Where the specifier stands with its quotes, in UTF-16 units from the start of the source. */
  readonly start: number;
  readonly end: number;
}

/** What there is to know of a module. */
export interface ParsedModule {
  /** What it loads, in order of appearance. `import type` loads nothing and is left out. */
  readonly imports: readonly ImportReference[];
  /** Names of the values that it exports. */
  readonly exports: ReadonlySet<string>;
  /** Whether it has an `export * from`, so that `exports` is not all. */
  readonly hasStarExport: boolean;
}

/** A path as it stands before a line and column: without quotes unless it needs them. */
export function shownPath(path: string): string {
  return /^[\w./@ -]{1,120}$/.test(path) ? path : show(path);
}

/** Whether a value is a position of the parser: lines from 1, columns from 0. */
export function isPosition(value: unknown): value is { line: number; column: number } {
  return typeof value === "object" && value !== null && typeof Reflect.get(value, "line") === "number" &&
    typeof Reflect.get(value, "column") === "number";
}

/** Where a node starts. */
export function placeOf(node: Node): Place {
  const start: unknown = node.loc?.start;
  return isPosition(start) ? { line: start.line, column: start.column + 1 } : { line: 1, column: 1 };
}

/** Collects the imports and exports of a module from its nodes, in the order of the source. */
export class ModuleDescription implements ParsedModule {
  readonly imports: ImportReference[] = [];
  readonly exports = new Set<string>();
  hasStarExport = false;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws {TaskError} `INVALID_TASK` for TypeScript's forms of CommonJS */
  add(node: Node): void {
    switch (node.type) {
      case "ImportDeclaration":
        if (node.importKind !== "type") this.imports.push(reference(node, node.source, "static", node.attributes));
        break;
      case "ExportAllDeclaration":
        if (node.exportKind === "type") break;
        this.hasStarExport = true;
        this.imports.push(reference(node, node.source, "static", node.attributes));
        break;
      case "ExportNamedDeclaration":
        if (node.exportKind === "type") break;
        if (isNode(node.source)) this.imports.push(reference(node, node.source, "static", node.attributes));
        addExports(node, this.exports);
        break;
      case "ExportDefaultDeclaration":
        this.exports.add("default");
        break;
      case "ImportExpression": {
        const specifier = literalOf(node.source);
        if (specifier === undefined) break; // Computed: the sandbox's own rights decide when it runs.
        const attributeType = typeOfOptions(node.options);
        this.imports.push({ ...placeOf(node), specifier, kind: "dynamic", attributeType, ...rangeOf(node.source) });
        break;
      }
      case "TSImportEqualsDeclaration":
        if (node.importKind === "type" || !isNode(node.moduleReference)) break;
        if (node.moduleReference.type !== "TSExternalModuleReference") break;
        throw commonJs(this.#path, node, "import = require()");
      case "TSExportAssignment":
        throw commonJs(this.#path, node, "export =");
    }
  }
}

function commonJs(path: string, node: Node, what: string): TaskError {
  const { line, column } = placeOf(node);
  return new TaskError(
    "INVALID_TASK",
    `${shownPath(path)}:${line}:${column}: ${what} is CommonJS; use import and export`,
  );
}

function reference(node: Node, source: unknown, kind: ImportReference["kind"], attributes: unknown): ImportReference {
  let attributeType: string | undefined;
  for (const attribute of Array.isArray(attributes) ? attributes : []) {
    if (isNode(attribute) && nameOf(attribute.key) === "type") attributeType = literalOf(attribute.value);
  }
  const place = placeOf(isNode(source) ? source : node);
  return { ...place, specifier: literalOf(source) ?? "", kind, attributeType, ...rangeOf(source) };
}

/** Where a node starts and ends in its source, in UTF-16 units. */
export function rangeOf(node: unknown): { readonly start: number; readonly end: number } {
  const start = isNode(node) ? node.start : undefined;
  const end = isNode(node) ? node.end : undefined;
  if (typeof start !== "number" || typeof end !== "number") throw new TypeError("Cannot find node: it has no place");
  return { start, end };
}

/** The string that an expression is, where it is written out. */
export function literalOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === "ParenthesizedExpression") return literalOf(node.expression);
  if (node.type === "StringLiteral" && typeof node.value === "string") return node.value;
  if (node.type === "TemplateLiteral" && Array.isArray(node.quasis) && node.quasis.length === 1) {
    const quasi: unknown = node.quasis[0];
    const value = isNode(quasi) ? quasi.value : undefined;
    const cooked: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "cooked") : undefined;
    return typeof cooked === "string" ? cooked : undefined;
  }
  return undefined;
}

/** `type` of the options of a dynamic import, `{ with: { type: "json" } }`. */
function typeOfOptions(options: unknown): string | undefined {
  return literalOf(propertyOf(propertyOf(options, "with"), "type"));
}

function propertyOf(node: unknown, name: string): unknown {
  if (!isNode(node) || node.type !== "ObjectExpression" || !Array.isArray(node.properties)) return undefined;
  for (const property of node.properties) {
    if (isNode(property) && property.type === "ObjectProperty" && nameOf(property.key) === name) return property.value;
  }
  return undefined;
}

/** Name of an identifier or of a string that stands for one. */
export function nameOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === "Identifier" && typeof node.name === "string") return node.name;
  return literalOf(node);
}

/** Adds the names that `export …` gives values to. */
function addExports(node: Node, exports: Set<string>): void {
  for (const specifier of Array.isArray(node.specifiers) ? node.specifiers : []) {
    if (!isNode(specifier) || specifier.exportKind === "type") continue;
    const name = nameOf(specifier.exported);
    if (name !== undefined) exports.add(name);
  }
  const declaration = node.declaration;
  if (!isNode(declaration) || declaration.declare === true) return;
  switch (declaration.type) {
    case "VariableDeclaration":
      for (const declarator of Array.isArray(declaration.declarations) ? declaration.declarations : []) {
        if (isNode(declarator)) addBindings(declarator.id, exports);
      }
      break;
    case "FunctionDeclaration":
    case "ClassDeclaration":
    case "TSEnumDeclaration":
    case "TSModuleDeclaration":
      addBindings(declaration.id, exports);
  }
}

/** Adds the names that a pattern binds; its depth is bounded already. */
function addBindings(pattern: unknown, names: Set<string>): void {
  if (!isNode(pattern)) return;
  switch (pattern.type) {
    case "Identifier":
      if (typeof pattern.name === "string") names.add(pattern.name);
      break;
    case "ObjectPattern":
      for (const property of Array.isArray(pattern.properties) ? pattern.properties : []) {
        if (isNode(property)) addBindings(property.type === "RestElement" ? property : property.value, names);
      }
      break;
    case "ArrayPattern":
      for (const element of Array.isArray(pattern.elements) ? pattern.elements : []) addBindings(element, names);
      break;
    case "AssignmentPattern":
      addBindings(pattern.left, names);
      break;
    case "RestElement":
      addBindings(pattern.argument, names);
  }
}
