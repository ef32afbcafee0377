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

/** Attempts that the parser may make at reading `<T>x` as a generic function, besides four for each `<`. */
const FREE_ATTEMPTS = 4096;

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
  const program = parseProgram(path, decodeSource(path, source));
  const description = new ModuleDescription(path);
  const tooDeepNode = visitNodes(program, (node) => description.add(node));
  if (tooDeepNode !== undefined) throw tooDeep(path, placeOf(tooDeepNode));
  return description;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function decodeSource(path: string, source: Uint8Array): string {
  try {
    return strictUtf8.decode(source);
  } catch (cause) {
    throw new TaskError("INVALID_TASK", `Cannot parse ${show(path)}: it is not UTF-8`, { cause });
  }
}

function parseProgram(path: string, text: string): Node {
  try {
    const program: unknown = parse(text, parserOptions(path, text)).program;
    if (!isNode(program)) throw new TypeError("Cannot parse: the parser gave no program");
    return program;
  } catch (cause) {
    if (cause instanceof RangeError) throw tooDeep(path, undefined, cause);
    if (cause instanceof SyntaxError) throw syntaxError(path, cause);
    throw cause;
  }
}

function parserOptions(path: string, text: string): ParserOptions {
  const options: ParserOptions = {
    sourceType: "module",
    attachComment: false,
    createParenthesizedExpressions: true,
    plugins: ["decorators", "decoratorAutoAccessors", "deferredImportEvaluation", "sourcePhaseImports"],
  };
  if (/\.m?js$/.test(path)) return options;
  let attempts = FREE_ATTEMPTS + 4 * text.split("<").length;
  const typescript = {
    dts: /\.d\.m?ts$/.test(path),
    // `<T>(<T>(<T>(…` is parsed twice at each level, a million times at twenty, here as in Deno's transpiler. The
    // parser asks for this option at every attempt and at nothing else, so it is where attempts can be counted.
    get disallowAmbiguousJSXLike() {
      if (--attempts < 0) throw new RangeError("Cannot parse: type assertions are nested too deeply");
      return false;
    },
  };
  options.plugins?.push(["typescript", typescript]);
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
