/**
 * CSV (https://www.rfc-editor.org/rfc/rfc4180). Its first line names the columns, each further line is a record.
 * @module
 */

import { pythonFloat } from "../../codecs/python_float.ts";
import { pythonTypeName } from "../../codecs/type_name.ts";
import type { Value } from "../../values.ts";
import { type Format, FormatError, type FormatOptions, toText } from "./format.ts";
import { parseCsv } from "./csv_parse.ts";
import { json } from "./json.ts";
import { type PlainData, toPlainData } from "./plain_data.ts";

export const csv: Format = { binary: false, read: readCsv, write: writeCsv };

/** A list of dicts, whose values are all str: CSV has no other type. */
function readCsv(source: Uint8Array, { delimiter }: FormatOptions): Value {
  const [names = [], ...records] = parseCsv(toText(source, "CSV"), delimiter);
  return records.map((cells, at) => {
    if (cells.length !== names.length) {
      throw new FormatError(`it is no CSV: record ${at + 1} has ${cells.length} cells, the header ${names.length}`);
    }
    return new Map(names.map((name, column) => [name, cells[column] ?? null]));
  });
}

/** Dicts become lines under the names of all their keys, in the order in which they came up; lists lines as they are. */
function writeCsv(value: Value, options: FormatOptions): string {
  const plain = toPlainData(value, { memoryLimitBytes: options.memoryLimitBytes, bytes: "base64" });
  const rows = plain instanceof Map ? [plain] : plain;
  if (!Array.isArray(rows)) throw new FormatError(`a ${pythonTypeName(plain)} is no table`);
  if (!rows.some((row) => row instanceof Map)) {
    return rows.map((row) => {
      if (!Array.isArray(row)) throw new FormatError(`a list of ${pythonTypeName(row)} is no table`);
      return line(row, options);
    }).join("");
  }
  const columns = new Set<PlainData>();
  for (const row of rows) {
    if (!(row instanceof Map)) throw new FormatError(`a list of dicts and ${pythonTypeName(row)}s is no table`);
    for (const key of row.keys()) columns.add(key);
  }
  const dicts = rows as Map<PlainData, PlainData>[]; // Each was just looked at.
  const names = [...columns];
  // A table in which one record has one column of its own has as many cells as the square of its records.
  if (names.length * dicts.length * 2 > options.memoryLimitBytes) {
    throw new FormatError(`a table of ${dicts.length} lines and ${names.length} columns is too large`);
  }
  return line(names, options) + dicts.map((row) => line(names.map((name) => row.get(name) ?? null), options)).join("");
}

function line(cells: readonly PlainData[], options: FormatOptions): string {
  const texts = cells.map((cell) => quote(cellText(cell, options), options.delimiter));
  // A line of one empty cell would be no line at all.
  return `${texts.length === 1 && texts[0] === "" ? '""' : texts.join(options.delimiter)}\r\n`;
}

function cellText(cell: PlainData, options: FormatOptions): string {
  if (cell === null) return "";
  switch (typeof cell) {
    case "string":
      return cell;
    case "boolean":
      return cell ? "True" : "False";
    case "bigint":
      return cell.toString();
    case "number":
      return Number.isFinite(cell) ? pythonFloat(cell) : String(cell).replace("Infinity", "inf").toLowerCase();
    default:
      return String(json.write(cell, options));
  }
}

function quote(text: string, delimiter: string): string {
  return text.includes(delimiter) || /["\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
