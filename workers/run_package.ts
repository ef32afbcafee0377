/**
 * Runs the entry point of a code package in TypeScript or JavaScript.
 * @module
 */

import { codecFor } from "./codecs/mod.ts";
import { DEFAULT_LIMITS } from "./codecs/codec.ts";
import { loadPackage, notUsable, ofUser, type PackageRunContext } from "./load_package.ts";
import type { PackageTask } from "./protocol.ts";
import { collect } from "./user_generators.ts";
import { fromUserValue, toUserValue } from "./user_values.ts";

/**
 * Validates the package, imports its entry module and calls the entry point with the input.
 *
 * @returns the encoded output
 * @throws {TaskError} for what is wrong with the package, the input or the output
 * @throws {UserFailure} for whatever the user's code throws
 */
export async function runPackage(task: PackageTask, context: PackageRunContext): Promise<Uint8Array> {
  const codec = codecFor(task.format);
  const limits = { memoryLimitBytes: task.memoryLimitBytes, maxOutputBytes: task.maxOutputBytes };
  const input = toUserValue(codec.decode(task.input, limits));
  const entry = await loadPackage(task, context);
  const { exported } = entry;
  if (typeof exported !== "function") throw notUsable(entry);
  const result = await ofUser(async () =>
    await collect(await Reflect.apply(exported, undefined, [input, entry.taskContext]), task.memoryLimitBytes)
  );
  return codec.encode(
    fromUserValue(result, {
      format: task.format,
      memoryLimitBytes: task.memoryLimitBytes,
      maxDepth: DEFAULT_LIMITS.maxDepth,
    }),
    limits,
  );
}
