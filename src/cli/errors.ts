/**
 * Mistakes that a person at the command line can mend. Messages say what was wrong and where; `hint` what to do.
 * @module
 */

/** The command line or a file that it names is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";

  constructor(message: string, readonly hint?: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** An output cannot be written as asked. */
export class OutputError extends Error {
  override readonly name = "OutputError";

  constructor(message: string, readonly hint?: string, options?: ErrorOptions) {
    super(message, options);
  }
}
