/**
 * Expressions as tokens.
 * @module
 */

import { ExpressionError } from "./expression_error.ts";

/** A piece of an expression; `at` is the index of its first character. */
export type Token =
  | { readonly kind: "int"; readonly text: string; readonly at: number }
  | { readonly kind: "float"; readonly text: string; readonly at: number }
  /** `text` is what the literal means, without quotes and escapes. */
  | { readonly kind: "string"; readonly text: string; readonly at: number }
  | { readonly kind: "name"; readonly text: string; readonly at: number }
  | { readonly kind: "sign"; readonly text: string; readonly at: number }
  | { readonly kind: "end"; readonly text: ""; readonly at: number };

const SPACE = /[ \t\r\n]+/y;
const NUMBER = /(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;
const NAME = /[\p{L}_][\p{L}\p{N}\p{M}_]*/uy;
const STRING = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
const SIGN = /\*\*|\/\/|==|!=|<=|>=|[-+*/%<>()[\],.:]/y;
const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([^]))/g;
const ESCAPED: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["0", "\0"],
  ["\\", "\\"],
  ["'", "'"],
  ['"', '"'],
]);

/** @throws {ExpressionError} for a character that begins nothing */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  for (;;) {
    at += match(SPACE)?.length ?? 0;
    if (at >= source.length) break;
    const start = at;
    const number = match(NUMBER);
    const text = number ?? match(NAME) ?? match(STRING) ?? match(SIGN);
    if (text === undefined) {
      const character = String.fromCodePoint(source.codePointAt(at) ?? 0);
      const what = character === "'" || character === '"' ? "text without closing quote" : `unexpected ${character}`;
      throw new ExpressionError(what, at);
    }
    at += text.length;
    if (number !== undefined) {
      const kind = /[.eE]/.test(number) ? "float" : "int";
      tokens.push({ kind, text: number.replaceAll("_", ""), at: start });
    } else if (/^['"]/.test(text)) tokens.push({ kind: "string", text: unescape(text, start), at: start });
    else if (/^[\p{L}_]/u.test(text)) tokens.push({ kind: "name", text, at: start });
    else tokens.push({ kind: "sign", text, at: start });
  }
  tokens.push({ kind: "end", text: "", at: source.length });
  return tokens;
}

function unescape(literal: string, at: number): string {
  return literal.slice(1, -1).replace(
    ESCAPE,
    (escape, hex2?: string, hex4?: string, hex8?: string, letter?: string) => {
      const hex = hex2 ?? hex4 ?? hex8;
      if (hex !== undefined) {
        const code = Number.parseInt(hex, 16);
        if (code > 0x10ffff) throw new ExpressionError(`no such character: ${escape}`, at);
        return String.fromCodePoint(code);
      }
      // As in Python, an unknown escape stands for itself.
      return ESCAPED.get(letter ?? "") ?? escape;
    },
  );
}
