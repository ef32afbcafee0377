/**
 * Does once, while nobody waits, what every task does: have a module transpiled, decode and encode. The first
 * time costs several milliseconds in compilers and tables, which a task that finds its sandbox ready then does not pay.
 *
 * @module
 */

import { codecFor } from "./codecs/mod.ts";
import { fromUserValue, toUserValue } from "./user_values.ts";

const SOURCE = `type Pair<T> = readonly [T, T];
export interface Options { readonly scale?: number; }
export default async function run(value: number, { scale = 2 }: Options = {}): Promise<Pair<number>> {
  const pair: Pair<number> = [value, value * scale];
  return await Promise.resolve(pair);
}
`;
const MODULE = `data:application/typescript,${encodeURIComponent(SOURCE)}`;
const LIMIT_BYTES = 1024 * 1024;
const LIMITS = { memoryLimitBytes: LIMIT_BYTES, maxOutputBytes: LIMIT_BYTES };

/** Never fails: a task that meets the same fault tells of it. */
export async function warmUp(): Promise<void> {
  try {
    const codec = codecFor("json");
    const value = toUserValue(codec.decode(new TextEncoder().encode('{"a": [1, 2.5, "x"]}'), LIMITS));
    codec.encode(fromUserValue(value, { format: "json", memoryLimitBytes: LIMIT_BYTES, maxDepth: 100 }), LIMITS);
    const { default: run } = await import(MODULE);
    await run(1);
  } catch {
    // See above.
  }
}
