/**
 * Python literals, as `ast.literal_eval` takes them.
 * Source: the lexical analysis chapter of the Python reference, and Lib/ast.py.
 * @module
 */

import { Tuple, type Value } from "../values.ts";

/** Digits of a decimal int, CPython's own bound. */
const MAX_INT_DIGITS = 4300;

const INT = /0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|0(?:_?0)*|[1-9](?:_?[0-9])*/y;
const FLOAT =
  /(?:[0-9](?:_?[0-9])*)?\.[0-9](?:_?[0-9])*(?:[eE][+-]?[0-9](?:_?[0-9])*)?|[0-9](?:_?[0-9])*(?:\.(?:[eE][+-]?[0-9](?:_?[0-9])*)?|[eE][+-]?[0-9](?:_?[0-9])*)/y;
const WORD = /[A-Za-z_][A-Za-z_0-9]*/y;
const STRING_START = /([bB][rR]?|[rR][bB]?|[uU])?('''|"""|'|")/y;
const SIMPLE_ESCAPES: Record<string, string> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** What is no literal. It never leaves this file. */
class NoLiteral extends Error {}

/** Reads a literal; `undefined` for text that is none, or that nests deeper than `maxDepth`. */
export function tryParsePythonLiteral(text: string, maxDepth: number): Value | undefined {
  try {
    return new LiteralParser(text.trim(), maxDepth).parse();
  } catch (error) {
    if (error instanceof NoLiteral) return undefined;
    throw error;
  }
}

class LiteralParser {
  #at = 0;
  #depth = 0;

  constructor(readonly text: string, readonly maxDepth: number) {}

  parse(): Value {
    const first = this.#value();
    if (this.#peek() !== ",") return this.#end(first);
    const items = [first]; // a tuple needs no parentheses
    while (this.#take(",") && this.#peek() !== "") items.push(this.#value());
    return this.#end(new Tuple(items));
  }

  #end(value: Value): Value {
    if (this.#peek() !== "") fail();
    return value;
  }

  #value(): Value {
    const char = this.#peek();
    if (char === "-" || char === "+") return this.#signed();
    if (char === "(") return this.#nested(() => this.#tuple());
    if (char === "[") return this.#nested(() => this.#items("]"));
    if (char === "{") return this.#nested(() => this.#braces());
    if (char >= "0" && char <= "9" || char === ".") return this.#number();
    return this.#tryStrings() ?? this.#word();
  }

  #nested(parse: () => Value): Value {
    if (++this.#depth > this.maxDepth) fail();
    this.#at++;
    const value = parse();
    this.#depth--;
    return value;
  }

  #signed(): Value {
    let negative = false;
    for (let char = this.#peek(); char === "-" || char === "+"; char = this.#peek()) {
      negative = negative !== (char === "-");
      this.#at++;
    }
    const value = this.#number();
    return negative ? -value : value;
  }

  #number(): bigint | number {
    this.#peek();
    const float = this.#match(FLOAT);
    const digits = float ?? this.#match(INT);
    if (digits === undefined || /[0-9A-Za-z_.]/.test(this.text.charAt(this.#at))) return fail();
    const plain = digits[0].replaceAll("_", "");
    if (float !== undefined) return Number(plain);
    return plain.length > MAX_INT_DIGITS ? fail() : BigInt(plain);
  }

  #word(): Value {
    switch (this.#match(WORD)?.[0]) {
      case "True":
        return true;
      case "False":
        return false;
      case "None":
        return null;
      case "set": // the one call that literal_eval takes
        if (this.#take("(") && this.#take(")")) return new Set();
    }
    return fail();
  }

  #tuple(): Value {
    if (this.#take(")")) return new Tuple([]);
    const first = this.#value();
    if (this.#take(")")) return first;
    if (!this.#take(",")) fail();
    return new Tuple([first, ...this.#items(")")]);
  }

  #items(close: string): Value[] {
    const items: Value[] = [];
    while (!this.#take(close)) {
      items.push(this.#value());
      if (!this.#take(",") && this.#peek() !== close) fail();
    }
    return items;
  }

  #braces(): Value {
    if (this.#take("}")) return new Map();
    const first = key(this.#value());
    if (!this.#take(":")) {
      if (!this.#take(",") && this.#peek() !== "}") fail();
      return new Set([first, ...this.#items("}").map(key)]);
    }
    const dict = new Map<Value, Value>([[first, this.#value()]]);
    while (!this.#take("}")) {
      if (!this.#take(",")) fail();
      if (this.#take("}")) break;
      const name = key(this.#value());
      if (!this.#take(":")) fail();
      dict.set(name, this.#value());
    }
    return dict;
  }

  /** One or more adjacent string literals, which are one. */
  #tryStrings(): string | Uint8Array | undefined {
    const parts: string[] = [];
    let isBytes = false;
    for (let start = this.#matchStart(); start !== undefined; start = this.#matchStart()) {
      const prefix = (start[1] ?? "").toLowerCase();
      if (parts.length > 0 && isBytes !== prefix.includes("b")) fail();
      isBytes = prefix.includes("b");
      parts.push(this.#stringBody(start[2]!, prefix.includes("r"), isBytes)); // the group takes part in every match
    }
    if (parts.length === 0) return undefined;
    const text = parts.join("");
    return isBytes ? Uint8Array.from(text, (char) => char.charCodeAt(0)) : text;
  }

  #matchStart(): RegExpExecArray | undefined {
    this.#peek();
    return this.#match(STRING_START);
  }

  #stringBody(quote: string, isRaw: boolean, isBytes: boolean): string {
    const { text } = this;
    const start = this.#at;
    let at = start;
    for (; !text.startsWith(quote, at); at++) {
      const char = text.charAt(at);
      if (char === "" || char === "\n" && quote.length === 1) fail();
      if (char === "\\") at++;
    }
    this.#at = at + quote.length;
    const body = text.slice(start, at);
    // deno-lint-ignore no-control-regex -- NUL is ASCII
    if (isBytes && !/^[\x00-\x7f]*$/.test(body)) fail();
    return isRaw ? body : unescape(body, isBytes);
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.text) ?? undefined;
    if (match !== undefined) this.#at += match[0].length;
    return match;
  }

  /** The next character that is no white space; "" at the end. */
  #peek(): string {
    while (/[ \t\r\n\f]/.test(this.text.charAt(this.#at))) this.#at++;
    return this.text.charAt(this.#at);
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false;
    this.#at++;
    return true;
  }
}

function unescape(body: string, isBytes: boolean): string {
  if (!body.includes("\\")) return body;
  const escapes = isBytes
    ? /\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[^])/g
    : /\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|[^])/g;
  return body.replace(escapes, (_, escape: string) => {
    if (/^[0-7]/.test(escape)) return String.fromCharCode(parseInt(escape, 8) & (isBytes ? 0xff : 0x1ff));
    if (escape.length > 1) {
      const codePoint = parseInt(escape.slice(1), 16);
      return codePoint > 0x10ffff ? fail() : String.fromCodePoint(codePoint);
    }
    // An unfinished escape, or a character by its name, whose table we do not carry.
    if (escape === "x" || !isBytes && "uUN".includes(escape)) fail();
    return SIMPLE_ESCAPES[escape] ?? "\\" + escape;
  });
}

/** A key of a dict or an element of a set, which must be hashable. */
function key(value: Value): Value {
  if (value instanceof Tuple) value.items.forEach(key);
  else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) fail();
  return value;
}

function fail(): never {
  throw new NoLiteral();
}
