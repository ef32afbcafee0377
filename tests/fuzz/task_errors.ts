/**
 * The one way in which code of `workers/` may refuse an input.
 * @module
 */

import { TaskError, type TaskErrorCode } from "../../workers/task_error.ts";

/**
 * Runs a function that either gives a value or refuses with a documented {@linkcode TaskError}.
 *
 * @param allowed the codes that its documentation names
 * @returns the value, or the code of the refusal
 * @throws {unknown} whatever else it throws
 */
export function attempt<T>(
  allowed: readonly TaskErrorCode[],
  run: () => T,
): { readonly value: T } | { readonly refused: TaskErrorCode } {
  try {
    return { value: run() };
  } catch (error) {
    if (!(error instanceof TaskError)) throw error;
    if (!allowed.includes(error.code)) throw new Error(`Refused with ${error.code}`, { cause: error });
    if (error.message === "" || error.message.length > MAX_MESSAGE_LENGTH) {
      throw new Error(`Refused with a message of ${error.message.length} characters`, { cause: error });
    }
    return { refused: error.code };
  }
}

/** A refusal must be readable whatever it quotes. */
const MAX_MESSAGE_LENGTH = 20_000;
