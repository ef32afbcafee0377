/**
 * Reads JSON.
 *
 * It is RFC 8259 with what Python's `json.loads` adds: `NaN`, `Infinity` and `-Infinity`, lone surrogates, a byte order
 * mark. A number without fraction and exponent is an int of any size, up to {@linkcode MAX_INT_DIGITS} digits: the same
 * bound that CPython has, because V8 converts more digits in more than linear time. Of equal keys the last wins.
 *
 * @module
 */

import { TaskError } from "../task_error.ts";
import type { Dict, Value } from "../values.ts";
import { type CodecLimits, DEFAULT_LIMITS } from "./codec.ts";
import { tryDecodeUtf8 } from "./utf8.ts";

/** Digits that an int may have. */
export const MAX_INT_DIGITS = 4300;

/** Estimates of what values take in V8, from above. */
const COST = { slot: 16, int: 32, string: 40, list: 96, dict: 320, entry: 64 } as const;

/** 10^22 is the last power of ten that a double holds exactly. */
const POWERS_OF_TEN = Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));
/** Ints with as many digits are exact in a double. */
const EXACT_DIGITS = 15;

const SMALL_INTS = Array.from({ length: 1024 }, (_, value) => BigInt(value));

/** Reads one document. */
export function decodeJson(bytes: Uint8Array, limits: Partial<CodecLimits> = {}): Value {
  const text = tryDecodeUtf8(bytes);
  if (text === undefined) throw new TaskError("INVALID_TASK", "Cannot parse JSON: it is not UTF-8");
  return parseJson(text, limits);
}

/** Reads one document that is text already. */
export function parseJson(text: string, limits: Partial<CodecLimits> = {}): Value {
  const maxDepth = limits.maxDepth ?? DEFAULT_LIMITS.maxDepth;
  try {
    return new JsonParser(text, maxDepth, limits.memoryLimitBytes ?? DEFAULT_LIMITS.memoryLimitBytes).parse();
  } catch (error) {
    // The stack is enough for the default depth by far; a caller may have asked for more.
    if (error instanceof RangeError) throw tooDeep(maxDepth, error);
    throw error;
  }
}

class JsonParser {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #memoryLimitBytes: number;
  #leftBytes: number;
  #at = 0;
  #depth = 0;

  constructor(text: string, maxDepth: number, memoryLimitBytes: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
    this.#memoryLimitBytes = this.#leftBytes = memoryLimitBytes;
    this.#charge(2 * text.length);
  }

  parse(): Value {
    if (this.#text.charCodeAt(0) === 0xfeff) this.#at = 1;
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail("Extra data");
    return value;
  }

  #value(): Value {
    const code = this.#skipSpace();
    switch (code) {
      case 0x22: // "
        return this.#string();
      case 0x7b: // {
        return this.#object();
      case 0x5b: // [
        return this.#array();
      case 0x74: // t
        return this.#word("true", true);
      case 0x66: // f
        return this.#word("false", false);
      case 0x6e: // n
        return this.#word("null", null);
      case 0x4e: // N
        return this.#word("NaN", NaN);
      case 0x49: // I
        return this.#word("Infinity", Infinity);
      default:
        if (code === 0x2d || code >= 0x30 && code <= 0x39) return this.#number();
        return this.#fail("Expecting value");
    }
  }

  #object(): Dict {
    this.#enter(COST.dict);
    const dict: Dict = new Map();
    this.#at++;
    if (this.#skipSpace() === 0x7d) return this.#leave(dict);
    while (true) {
      if (this.#skipSpace() !== 0x22) this.#fail("Expecting property name enclosed in double quotes");
      const key = this.#string();
      if (this.#skipSpace() !== 0x3a) this.#fail("Expecting ':' delimiter");
      this.#at++;
      this.#charge(COST.entry);
      dict.set(key, this.#value());
      const code = this.#skipSpace();
      if (code === 0x7d) return this.#leave(dict);
      if (code !== 0x2c) this.#fail("Expecting ',' delimiter");
      this.#at++;
    }
  }

  #array(): Value[] {
    this.#enter(COST.list);
    const list: Value[] = [];
    this.#at++;
    if (this.#skipSpace() === 0x5d) return this.#leave(list);
    while (true) {
      this.#charge(COST.slot);
      list.push(this.#value());
      const code = this.#skipSpace();
      if (code === 0x5d) return this.#leave(list);
      if (code !== 0x2c) this.#fail("Expecting ',' delimiter");
      this.#at++;
    }
  }

  #enter(cost: number): void {
    this.#charge(cost);
    if (++this.#depth > this.#maxDepth) throw tooDeep(this.#maxDepth);
  }

  #leave<T>(container: T): T {
    this.#at++;
    this.#depth--;
    return container;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail("Expecting value");
    this.#at += word.length;
    return value;
  }

  #number(): Value {
    const text = this.#text;
    const start = this.#at;
    const negative = text.charCodeAt(start) === 0x2d;
    let at = negative ? start + 1 : start;
    // Digits are gathered in a double while they fit, which spares most numbers the way through a string.
    let mantissa = 0;
    const digitsAt = at;
    let code = text.charCodeAt(at);
    for (; code >= 0x30 && code <= 0x39; code = text.charCodeAt(++at)) mantissa = mantissa * 10 + code - 0x30;
    let digits = at - digitsAt;
    if (digits === 0) {
      if (negative && code === 0x49) return -this.#wordAfterSign();
      return this.#fail("Expecting value");
    }
    if (digits > 1 && text.charCodeAt(digitsAt) === 0x30) {
      this.#at = digitsAt + 1;
      this.#fail("Extra data"); // Python reads the 0 and stumbles over what follows
    }
    let fractionDigits = 0;
    if (code === 0x2e) {
      const fractionAt = ++at;
      code = text.charCodeAt(at);
      for (; code >= 0x30 && code <= 0x39; code = text.charCodeAt(++at)) mantissa = mantissa * 10 + code - 0x30;
      fractionDigits = at - fractionAt;
      if (fractionDigits === 0) this.#fail("Expecting a digit after the decimal point", at);
      digits += fractionDigits;
    }
    const hasExponent = code === 0x65 || code === 0x45;
    if (hasExponent) {
      code = text.charCodeAt(++at);
      if (code === 0x2b || code === 0x2d) code = text.charCodeAt(++at);
      const exponentAt = at;
      while (code >= 0x30 && code <= 0x39) code = text.charCodeAt(++at);
      if (at === exponentAt) this.#fail("Expecting a digit in the exponent", at);
    }
    this.#at = at;
    this.#charge(COST.int);
    if (hasExponent || fractionDigits > 0) {
      // Both are exact and so is one division of them rounded: https://doi.org/10.1145/93542.93557 (Clinger)
      if (hasExponent || digits > EXACT_DIGITS) return Number(text.slice(start, at));
      const value = mantissa / POWERS_OF_TEN[fractionDigits]!; // at most 15
      return negative ? -value : value;
    }
    if (digits <= EXACT_DIGITS) {
      const small = SMALL_INTS[mantissa];
      if (small !== undefined && !negative) return small;
      return BigInt(negative ? -mantissa : mantissa);
    }
    if (digits > MAX_INT_DIGITS) {
      throw new TaskError(
        "RESOURCE_LIMIT",
        `Cannot parse JSON: an int of ${digits} digits, allowed are ${MAX_INT_DIGITS}: ${this.#position(start)}`,
      );
    }
    return BigInt(text.slice(start, at));
  }

  #wordAfterSign(): number {
    this.#at++;
    return this.#word("Infinity", Infinity);
  }

  #string(): string {
    const text = this.#text;
    const start = ++this.#at;
    for (let at = start; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.#at = at + 1;
        this.#charge(COST.string);
        return text.slice(start, at);
      }
      if (code === 0x5c) return this.#escapedString(start, at);
      if (code < 0x20) this.#fail("Invalid control character", at);
    }
    return this.#fail("Unterminated string starting", start - 1);
  }

  /** The rest of a string whose first escape is at `at`. */
  #escapedString(start: number, at: number): string {
    const text = this.#text;
    let result = "";
    let from = start;
    while (at < text.length) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.#at = at + 1;
        this.#charge(COST.string + 2 * (at - start));
        return result + text.slice(from, at);
      }
      if (code < 0x20) this.#fail("Invalid control character", at);
      if (code !== 0x5c) {
        at++;
        continue;
      }
      result += text.slice(from, at) + this.#escape(at + 1);
      at += text.charCodeAt(at + 1) === 0x75 ? 6 : 2;
      from = at;
    }
    return this.#fail("Unterminated string starting", start - 1);
  }

  #escape(at: number): string {
    switch (this.#text.charAt(at)) {
      case '"':
        return '"';
      case "\\":
        return "\\";
      case "/":
        return "/";
      case "b":
        return "\b";
      case "f":
        return "\f";
      case "n":
        return "\n";
      case "r":
        return "\r";
      case "t":
        return "\t";
      case "u": {
        const hex = this.#text.slice(at + 1, at + 5);
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) this.#fail("Invalid \\uXXXX escape", at - 1);
        return String.fromCharCode(parseInt(hex, 16));
      }
      default:
        return this.#fail("Invalid \\escape", at - 1);
    }
  }

  /** Goes to the next character that is no white space and gives it; NaN at the end. */
  #skipSpace(): number {
    const text = this.#text;
    let code = text.charCodeAt(this.#at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++this.#at);
    return code;
  }

  #charge(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes >= 0) return;
    const limit = this.#memoryLimitBytes;
    throw new TaskError("RESOURCE_LIMIT", `Cannot parse JSON: it needs more than ${limit} bytes of memory`);
  }

  #fail(what: string, at = this.#at): never {
    throw new TaskError("INVALID_TASK", `Cannot parse JSON: ${what}: ${this.#position(at)}`);
  }

  #position(at: number): string {
    const before = this.#text.slice(0, at);
    const line = before.split("\n").length;
    return `line ${line} column ${at - before.lastIndexOf("\n")} (char ${at})`;
  }
}

function tooDeep(maxDepth: number, cause?: unknown): TaskError {
  const message = `Cannot parse JSON: nested deeper than ${maxDepth} levels`;
  return new TaskError("RESOURCE_LIMIT", message, cause === undefined ? {} : { cause });
}
