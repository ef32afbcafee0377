/**
 * Why packages cannot be installed for a task.
 * @module
 */

import { type ErrorCode, ServiceError } from "../errors.ts";

/** Characters of one name or text that a message shows. */
const MAX_SHOWN = 120;

/**
 * A task's packages cannot be installed. Thrown with `INVALID_TASK` when what the task asks for cannot be had, with
 * `RESOURCE_LIMIT` when it is more than it may have: both are the task's end, and the caller's to mend.
 */
export class PackageError extends ServiceError {
  constructor(
    state: string,
    options: ErrorOptions & { code?: Extract<ErrorCode, "INVALID_TASK" | "RESOURCE_LIMIT"> } = {},
  ) {
    const { code = "INVALID_TASK", ...rest } = options;
    super(code, `Cannot install packages: ${state}`, rest);
  }
}

/** A text of the caller's or of a file, quoted, cut and without characters that a terminal obeys. */
export function quote(text: string): string {
  const cut = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Texts for a message, quoted: at most ten. */
export function quoteList(texts: readonly string[]): string {
  const shown = texts.slice(0, 10).map(quote).join(", ");
  return texts.length > 10 ? `${shown} and ${texts.length - 10} more` : shown;
}
