/**
 * The literals of pickle's opcodes: the text of protocol 0 and the little-endian ints of protocol 2.
 * Source: CPython's Lib/pickletools.py and Modules/_pickle.c.
 * @module
 */

import { TaskError } from "../task_error.ts";
import { malformed } from "./pickle_heap.ts";

/** Digits of an int written as text: CPython's own bound, because conversion takes quadratic time. */
export const MAX_INT_DIGITS = 4300;

/** Bytes of an int of LONG1 and LONG4. Conversion is linear here, arithmetic with such ints is not. */
export const MAX_INT_BYTES = 2 ** 20;

/** The argument of INT (`12`, and `00` and `01` for bools) and LONG (`12L`). */
export function parseIntText(text: string, opcode: "INT" | "LONG"): bigint | boolean {
  if (opcode === "INT" && text === "00") return false;
  if (opcode === "INT" && text === "01") return true;
  const match = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0|[1-9][0-9]*)L?\s*$/.exec(text);
  if (match === null) return malformed(`${opcode} argument ${quote(text)} is no int`);
  const digits = match[2]!; // both groups take part in every match
  if (digits.length > MAX_INT_DIGITS) throw intTooLarge(`${digits.length} digits`, `${MAX_INT_DIGITS}`);
  return match[1] === "-" ? -BigInt(digits) : BigInt(digits);
}

/** The argument of FLOAT. */
export function parseFloatText(text: string): number {
  const trimmed = text.trim();
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return Number(trimmed);
  const match = /^([+-]?)(inf(?:inity)?|(nan))$/i.exec(trimmed);
  if (match === null) return malformed(`FLOAT argument ${quote(text)} is no float`);
  if (match[3] !== undefined) return NaN;
  return match[1] === "-" ? -Infinity : Infinity;
}

const ESCAPES: Record<string, string> = {
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

/** The argument of STRING: a Python 2 str literal. Like Python's `loads` without an encoding, it takes ASCII only. */
export function parseStringText(text: string): string {
  const trimmed = text.trim();
  const quoted = /^(['"])([^]*)\1$/.exec(trimmed);
  if (quoted === null || trimmed.length < 2) return malformed("STRING argument is not quoted");
  const inner = quoted[2]!.replace(/\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[^]|$)/g, (_, escape: string) => {
    if (escape === "" || escape === "x") return malformed("STRING argument has an unfinished escape");
    if (escape.length === 3 && escape.startsWith("x")) return String.fromCharCode(parseInt(escape.slice(1), 16));
    if (/^[0-7]/.test(escape)) return String.fromCharCode(parseInt(escape, 8) & 0xff);
    return ESCAPES[escape] ?? "\\" + escape;
  });
  return requireAscii(inner);
}

/** Python 2's str as text. */
export function requireAscii(text: string): string {
  // deno-lint-ignore no-control-regex -- NUL is ASCII
  if (!/^[\x00-\x7f]*$/.test(text)) malformed("a str of Python 2 has bytes that are not ASCII");
  return text;
}

/** The argument of UNICODE: Latin-1 with `\uXXXX` and `\UXXXXXXXX`, Python's raw-unicode-escape. */
export function parseUnicodeText(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^])/g, (whole, escape: string) => {
    if (escape === "u" || escape === "U") return malformed("UNICODE argument has an unfinished escape");
    if (escape.length === 1) return whole;
    const codePoint = parseInt(escape.slice(1), 16);
    if (codePoint > 0x10ffff) return malformed("UNICODE argument has a code point beyond 10FFFF");
    return String.fromCodePoint(codePoint);
  });
}

/** `bytes[start, end)` as Latin-1, that is one code point a byte; TextDecoder's "latin1" is Windows-1252. */
export function decodeLatin1(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, Math.min(end, at + 4096)));
  }
  return text;
}

/** Two's complement, little endian; no bytes are 0. */
export function intFromBytes(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  if (bytes.length > MAX_INT_BYTES) throw intTooLarge(`${bytes.length} bytes`, `${MAX_INT_BYTES}`);
  return BigInt.asIntN(bytes.length * 8, BigInt("0x" + bytes.slice().reverse().toHex()));
}

/** The shortest two's complement of an int, little endian. */
export function intToBytes(value: bigint): Uint8Array {
  const hex = (value < 0n ? ~value : value).toString(16);
  const bits = hex.length * 4 - (Math.clz32(parseInt(hex.charAt(0), 16)) - 28);
  const length = (bits >> 3) + 1;
  const digits = BigInt.asUintN(length * 8, value).toString(16).padStart(length * 2, "0");
  return Uint8Array.fromHex(digits).reverse();
}

function intTooLarge(size: string, limit: string): TaskError {
  return new TaskError("RESOURCE_LIMIT", `Cannot unpickle: an int of ${size}, allowed are ${limit}`);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? text.slice(0, 40) + "…" : text);
}
