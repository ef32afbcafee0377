/**
 * What user code throws, told from what the service throws.
 * @module
 */

/** Something that the user's code threw, whatever it is: it never chooses how the service sees the task's end. */
export class UserFailure extends Error {
  override readonly name = "UserFailure";

  constructor(readonly thrown: unknown) {
    super("The user's code threw");
  }
}

/** Something that user code of another language raised, as that language describes it. Untrusted text. */
export class RaisedFailure extends Error {
  override readonly name = "RaisedFailure";

  constructor(message: string, readonly traceback: string) {
    super(message);
  }
}

/**
 * A value of user code in a box of ours. A promise that is resolved with the bare value would look at its `then`, which
 * is the user's, outside of every `try` that could tell whose failure it is.
 */
export interface UserOutput {
  readonly value: unknown;
}

/** Runs user code that gives its result at once, or only looks at an object of the user's. @throws {UserFailure} */
export function guard<T>(run: () => T): T {
  try {
    return run();
  } catch (thrown) {
    throw new UserFailure(thrown);
  }
}

/** Runs user code and awaits what it gives. @throws {UserFailure} */
export async function settle(run: () => unknown): Promise<UserOutput> {
  try {
    return { value: await run() };
  } catch (thrown) {
    throw new UserFailure(thrown);
  }
}
