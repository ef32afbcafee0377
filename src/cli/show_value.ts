/**
 * Values for people: like JSON, with arrays and bytes summarised and long things cut.
 * @module
 */

import { dtypeName, pythonFloat, pythonTypeName } from "../../workers/codecs/mod.ts";
import { isReal, readNumbers } from "../../workers/media/arrays.ts";
import { ByteArray, NDArray, Tuple, type Value } from "../../workers/values.ts";
import { printable } from "./terminal.ts";

/** Items of a list or dict that are shown; the rest is counted. */
const MAX_ITEMS = 50;
const MAX_TEXT = 2_000;
const MAX_DEPTH = 12;

/** A value as text of one line or more, without a line feed at the end. */
export function showValue(value: Value, depth = 0): string {
  if (value === null) return "null";
  if (typeof value === "number") return pythonFloat(value);
  if (typeof value === "string") return showText(value);
  if (typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return `<bytes, ${value.length}>`;
  if (value instanceof ByteArray) return `<bytearray, ${value.bytes.length}>`;
  if (value instanceof NDArray) return showArray(value);
  const items = itemsOf(value, depth);
  if (items === undefined) return `<${pythonTypeName(value)}>`;
  const [open, close] = value instanceof Map ? "{}" : value instanceof Tuple ? "()" : "[]";
  if (items.length === 0) return `${open}${close}`;
  if (depth >= MAX_DEPTH) return `${open}…${close}`;
  const oneLine = `${open}${items.join(", ")}${close}`;
  if (oneLine.length <= 80 && !oneLine.includes("\n")) return oneLine;
  const indent = "  ".repeat(depth + 1);
  return `${open}\n${items.map((item) => indent + item).join(",\n")}\n${"  ".repeat(depth)}${close}`;
}

function itemsOf(value: Value & object, depth: number): string[] | undefined {
  if (value instanceof Map) {
    const inner = depth < MAX_DEPTH ? [...value].slice(0, MAX_ITEMS) : [];
    const items = inner.map(([key, item]) => `${showValue(key, depth + 1)}: ${showValue(item, depth + 1)}`);
    return withRest(items, value.size);
  }
  const list = value instanceof Tuple ? value.items : Array.isArray(value) ? value : undefined;
  if (list === undefined) return undefined;
  return withRest(
    depth < MAX_DEPTH ? list.slice(0, MAX_ITEMS).map((item) => showValue(item, depth + 1)) : [],
    list.length,
  );
}

function withRest(items: string[], total: number): string[] {
  return total > items.length ? [...items, `… ${total - items.length} more`] : items;
}

function showText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… ${text.length - MAX_TEXT} more` : text;
  return printable(JSON.stringify(cut));
}

function showArray(array: NDArray): string {
  const head = `<array ${dtypeName(array.dtype)} (${array.shape.join(", ")})`;
  if (array.size === 0 || array.objects !== undefined || !isReal(array)) return `${head}>`;
  let lowest = Infinity;
  let highest = -Infinity;
  for (const number of readNumbers(array)) {
    lowest = Math.min(lowest, number);
    highest = Math.max(highest, number);
  }
  return `${head}, ${round(lowest)} … ${round(highest)}>`;
}

function round(number: number): string {
  return String(Number(number.toPrecision(5)));
}
