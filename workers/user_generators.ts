/**
 * What a function of the user's gives: one result, or a generator of several.
 * @module
 */

import { settle, UserFailure, type UserOutput } from "./user_failure.ts";

const { get } = Reflect;

/** The items of a generator as a list; anything else as it is. Runs user code, and throws what that throws. */
export async function collect(returned: unknown, memoryLimitBytes: number): Promise<unknown> {
  if (typeof returned !== "object" || returned === null || !isGenerator(returned)) return returned;
  const items: unknown[] = [];
  for await (const item of returned) {
    items.push(item);
    if (items.length * 8 > memoryLimitBytes) {
      throw new RangeError(`Cannot collect results: the generator gave ${items.length} items`);
    }
  }
  return items;
}

/**
 * Calls user code and gives its outputs as they are pulled: each item of a generator, nothing for `undefined` and
 * `null`, else the one result. Left early, it ends the generator. @throws {UserFailure}
 */
export async function* outputsOf(call: () => unknown): AsyncGenerator<UserOutput, void> {
  const { value } = await settle(call);
  if (value === undefined || value === null) return;
  try {
    if (typeof value !== "object" || !isGenerator(value)) {
      yield { value };
      return;
    }
    for await (const item of value) yield { value: await item };
  } catch (thrown) {
    throw new UserFailure(thrown);
  }
}

/** Generators are told from other iterables, arrays say, by their `next`. */
function isGenerator(value: object): value is AsyncIterable<unknown> {
  const next: unknown = get(value, "next");
  return typeof next === "function" &&
    (get(value, Symbol.asyncIterator) !== undefined || get(value, Symbol.iterator) !== undefined);
}
