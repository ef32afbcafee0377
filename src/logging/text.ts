/**
 * Text that strangers wrote, made safe for a terminal and for logs that are read line by line.
 * @module
 */

// Control characters of both sets, line and paragraph separators, and characters that turn the direction of text around.
// deno-lint-ignore no-control-regex -- they are what this looks for
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Makes control characters visible, so that text can neither forge a line nor speak to a terminal.
 *
 * @example
 * ```ts
 * import { escapeControls } from "./text.ts";
 *
 * console.assert(escapeControls("a\nb\x1b[2J") === "a\\nb\\u001b[2J");
 * ```
 */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, (char) => SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** At most so many characters of a text, with a note of how many are missing. */
export function clip(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}… (${text.length - maxLength} more)`;
}
