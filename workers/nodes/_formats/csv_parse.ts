/**
 * Reads CSV (https://www.rfc-editor.org/rfc/rfc4180).
 *
 * Written here because csv-parse does not run in a worker without Node's Buffer: its browser build brings a Buffer of
 * its own that needs `Object.prototype.__proto__`, which Deno takes away.
 *
 * @module
 */

import { FormatError } from "./format.ts";

/**
 * The cells of each line. Lines end with LF, CR or CR LF; empty ones are left out.
 * @throws {FormatError} for a quote in the wrong place or one that is never closed
 */
export function parseCsv(text: string, delimiter: string): string[][] {
  const rows: string[][] = [];
  // Up to the next character that means something; the delimiter is one UTF-16 unit.
  const plain = new RegExp(`[^\\r\\n\\u${delimiter.charCodeAt(0).toString(16).padStart(4, "0")}]*`, "y");
  let at = text.startsWith("\ufeff") ? 1 : 0;
  let row: string[] = [];
  while (at < text.length) {
    if (text.charAt(at) === '"') {
      const start = at;
      [row[row.length], at] = quotedCell(text, at, rows.length + 1);
      const next = text.charAt(at);
      if (next !== "" && next !== delimiter && next !== "\r" && next !== "\n") {
        throw new FormatError(`it is no CSV: text after the quoted cell at character ${start + 1}`);
      }
    } else {
      plain.lastIndex = at;
      const cell = plain.exec(text)?.[0] ?? "";
      row.push(cell);
      at += cell.length;
    }
    if (text.charAt(at) === delimiter) {
      at++;
      // A delimiter at the very end is followed by one more, empty cell.
      if (at === text.length) row.push("");
      else if (text.charAt(at) !== "\r" && text.charAt(at) !== "\n") continue;
      else row.push("");
    }
    const isEmpty = row.length === 1 && row[0] === "" && text.charAt(at - 1) !== '"';
    if (!isEmpty) rows.push(row);
    row = [];
    at += text.startsWith("\r\n", at) ? 2 : 1;
  }
  return rows;
}

/** The cell whose opening quote is at `start`, and where it ends. */
function quotedCell(text: string, start: number, line: number): [string, number] {
  let cell = "";
  for (let at = start + 1;;) {
    const quote = text.indexOf('"', at);
    if (quote === -1) throw new FormatError(`it is no CSV: the quote in record ${line} is never closed`);
    cell += text.slice(at, quote);
    if (text.charAt(quote + 1) !== '"') return [cell, quote + 1];
    cell += '"';
    at = quote + 2;
  }
}
