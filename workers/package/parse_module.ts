/**
 * Reads what a module imports and exports, and refuses sources that the runtime would not survive.
 *
 * Deno's own transpiler recurses natively: some thousand nested brackets overflow its stack and abort the whole
 * process. This parser is JavaScript, so the worst that happens here is a `RangeError`. What it lets pass is within a
 * depth of which Deno was measured to bear a multiple; tests/package/depth_test.ts repeats the measurement.
 *
 * @module
 */

import { parse, type ParserOptions } from "@babel/parser";
import {
  isPosition,
  ModuleDescription,
  type ParsedModule,
  type Place,
  placeOf,
  shownPath,
} from "./_describe_module.ts";
import { isNode, type Node, visitNodes } from "./_syntax_tree.ts";
import { type PackageLimits, show } from "./limits.ts";
import { TaskError } from "../task_error.ts";

/**
 * Reads of a character that the parser may make besides {@linkcode READS_PER_CHARACTER}. It needs 1.2 to 1.4 for each
 * character of ordinary modules.
 */
const FREE_READS = 200_000;
const READS_PER_CHARACTER = 20;

/**
 * A source that ends the parser once it has read it too often. What might be an arrow function or a type assertion is
 * tried as one and parsed again as something else, here as in Deno's transpiler, so that `<T>(<T>(<T>(…`,
 * `async<T>(a = async<T>(a = …` and others take twice as long for each level: a million times at twenty.
 */
class CountedSource extends String {
  #left: number;

  constructor(text: string) {
    super(text);
    this.#left = FREE_READS + READS_PER_CHARACTER * text.length;
  }

  override charCodeAt(index: number): number {
    if (--this.#left < 0) throw new RangeError("Cannot parse: the source has to be read too often");
    return super.charCodeAt(index);
  }
}

/**
 * Parses a module of the package.
 *
 * @param path its path in the package; `.ts`, `.mts` and `.js`, `.mjs` decide the language
 * @throws {TaskError} `INVALID_TASK` for a syntax error, as `path:line:column: message`; `RESOURCE_LIMIT` for a source
 * that is too large or too deep
 */
export function parseModule(path: string, source: Uint8Array, limits: PackageLimits): ParsedModule {
  if (source.length > limits.maxModuleBytes) {
    throw new TaskError(
      "RESOURCE_LIMIT",
      `Cannot parse ${show(path)}: a module is limited to ${limits.maxModuleBytes} bytes, and it has ${source.length}`,
    );
  }
  const program = parseText(path, decodeSource(path, source), parserOptions(path));
  const description = new ModuleDescription(path);
  visitAll(path, program, (node) => description.add(node));
  return description;
}

/** Visits all nodes of a program. @throws {TaskError} `RESOURCE_LIMIT` when it is deeper than the runtime bears */
export function visitAll(path: string, program: Node, visit: (node: Node) => void): void {
  const tooDeepNode = visitNodes(program, visit);
  if (tooDeepNode !== undefined) throw tooDeep(path, placeOf(tooDeepNode));
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** The text of a module, as its places are counted. @throws {TaskError} `INVALID_TASK` when it is not UTF-8 */
export function decodeSource(path: string, source: Uint8Array): string {
  try {
    return strictUtf8.decode(source);
  } catch (cause) {
    throw new TaskError("INVALID_TASK", `Cannot parse ${show(path)}: it is not UTF-8`, { cause });
  }
}

/**
 * Parses a source with the parser bounded, whatever the source is made of.
 * @throws {TaskError} `INVALID_TASK` for a syntax error, `RESOURCE_LIMIT` for a source that is nested too deeply
 */
export function parseText(path: string, text: string, options: ParserOptions): Node {
  // The parser asks of its text no more than a String has; its type says string.
  const counted = new CountedSource(text) as unknown as string;
  try {
    const program: unknown = parse(counted, options).program;
    if (!isNode(program)) throw new TypeError("Cannot parse: the parser gave no program");
    return program;
  } catch (cause) {
    if (cause instanceof RangeError) throw tooDeep(path, undefined, cause);
    if (cause instanceof SyntaxError) throw syntaxError(path, cause);
    throw cause;
  }
}

function parserOptions(path: string): ParserOptions {
  const options: ParserOptions = {
    sourceType: "module",
    attachComment: false,
    createParenthesizedExpressions: true,
    plugins: ["decorators", "decoratorAutoAccessors", "deferredImportEvaluation", "sourcePhaseImports"],
  };
  if (!/\.m?js$/.test(path)) options.plugins?.push(["typescript", { dts: /\.d\.m?ts$/.test(path) }]);
  return options;
}

function tooDeep(path: string, place?: Place, cause?: unknown): TaskError {
  const where = place === undefined ? show(path) : `${shownPath(path)}:${place.line}:${place.column}`;
  return new TaskError("RESOURCE_LIMIT", `Cannot parse ${where}: the source is nested too deeply`, { cause });
}

function syntaxError(path: string, cause: SyntaxError): TaskError {
  const message = cause.message.replace(/\s*\(\d+:\d+\)$/, "").slice(0, 300);
  const loc: unknown = Reflect.get(cause, "loc");
  const place = isPosition(loc) ? { line: loc.line, column: loc.column + 1 } : { line: 1, column: 1 };
  return new TaskError("INVALID_TASK", `${shownPath(path)}:${place.line}:${place.column}: ${message}`, { cause });
}
