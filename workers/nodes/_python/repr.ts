/**
 * `repr()` and `str()` of values, for messages and text.
 * @module
 */

import { pythonFloat } from "../../codecs/python_float.ts";
import { dtypeName, pythonTypeName } from "../../codecs/type_name.ts";
import { ByteArray, Complex, DType, FrozenSet, Tuple, type Value } from "../../values.ts";
import { toPythonNumber } from "./arithmetic.ts";

/** Longer texts are cut, with `…` at the end. */
const MAX_LENGTH = 100_000;
const MAX_DEPTH = 50;

/** Python's `str(value)`. */
export function pythonStr(value: Value): string {
  return typeof value === "string" ? value : pythonRepr(value);
}

/** Python's `repr(value)`; of arrays and other objects only the type, `<ndarray>`. */
export function pythonRepr(value: Value): string {
  const budget = { left: MAX_LENGTH };
  return write(value, budget, 0);
}

interface Budget {
  left: number;
}

function write(value: Value, budget: Budget, depth: number): string {
  if (depth > MAX_DEPTH || budget.left <= 0) return "…";
  const text = writeScalar(value) ?? writeCollection(value, budget, depth + 1);
  budget.left -= text.length;
  return text;
}

function writeScalar(value: Value): string | undefined {
  if (value === null) return "None";
  switch (typeof value) {
    case "boolean":
      return value ? "True" : "False";
    case "bigint":
      return value.toString();
    case "number":
      return floatText(value);
    case "string":
      return quote(value);
    default:
  }
  if (value instanceof Uint8Array) return bytesText(value);
  if (value instanceof ByteArray) return `bytearray(${bytesText(value.bytes)})`;
  if (value instanceof Complex) return complexText(value);
  if (value instanceof DType) return `dtype('${dtypeName(value)}')`;
  const number = toPythonNumber(value);
  return number === value ? undefined : writeScalar(number);
}

function writeCollection(value: Value, budget: Budget, depth: number): string {
  const list = (items: Iterable<Value>) => {
    const texts: string[] = [];
    for (const item of items) {
      if (budget.left <= 0) {
        texts.push("…");
        break;
      }
      texts.push(write(item, budget, depth));
    }
    return texts.join(", ");
  };
  if (Array.isArray(value)) return `[${list(value)}]`;
  if (value instanceof Tuple) return value.items.length === 1 ? `(${list(value.items)},)` : `(${list(value.items)})`;
  if (value instanceof Set) return value.size === 0 ? "set()" : `{${list(value)}}`;
  if (value instanceof FrozenSet) return value.items.size === 0 ? "frozenset()" : `frozenset({${list(value.items)}})`;
  if (!(value instanceof Map)) return `<${pythonTypeName(value)}>`;
  const pairs: string[] = [];
  for (const [key, item] of value) {
    if (budget.left <= 0) {
      pairs.push("…");
      break;
    }
    pairs.push(`${write(key, budget, depth)}: ${write(item, budget, depth)}`);
  }
  return `{${pairs.join(", ")}}`;
}

function floatText(value: number): string {
  if (Number.isFinite(value)) return pythonFloat(value);
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

function complexText({ re, im }: Complex): string {
  const part = (value: number) => floatText(value).replace(/\.0$/, "");
  if (Object.is(re, 0)) return `${part(im)}j`;
  const imaginary = part(im);
  return `(${part(re)}${/^[-]/.test(imaginary) ? "" : "+"}${imaginary}j)`;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"], ["\\", "\\\\"]]);

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const shown = text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
  // What is not printable: controls, format characters, separators but the space, surrogates, private and unassigned.
  const escaped = shown.replace(/[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu, (character) => {
    if (character === "…") return character;
    const code = character.codePointAt(0) ?? 0;
    const known = ESCAPES.get(character);
    if (known !== undefined) return known;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}

function bytesText(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes.subarray(0, MAX_LENGTH)) {
    const character = String.fromCharCode(byte);
    text += ESCAPES.get(character) ??
      (byte >= 0x20 && byte < 0x7f ? character : `\\x${byte.toString(16).padStart(2, "0")}`);
  }
  return text.includes("'") && !text.includes('"') ? `b"${text}"` : `b'${text.replaceAll("'", "\\'")}'`;
}
