/**
 * Errors that Python would raise, with Python's own words.
 * @module
 */

/** The exception classes that the emulated operations raise. */
export type PythonErrorKind =
  | "TypeError"
  | "ValueError"
  | "ZeroDivisionError"
  | "OverflowError"
  | "KeyError"
  | "IndexError"
  | "NameError";

/** What CPython would raise. `message` is `str(exception)`, `kind` its class. */
export class PythonError extends Error {
  override readonly name = "PythonError";

  constructor(readonly kind: PythonErrorKind, message: string) {
    super(message);
  }
}
