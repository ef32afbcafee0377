/**
 * What a host loads to open packages whose sources have been looked into before: it unpacks them and finds what is run.
 * @module
 */

import { isWhole, openingOf, type PackageOpening, readModules } from "./package/task_files.ts";
import type { PackageTask } from "./protocol.ts";

/** Opens a package without a look at its sources. Never fails. */
export function openPackage(task: PackageTask): PackageOpening {
  return openingOf(() => {
    const read = readModules(task);
    const { path, exportName } = read.entry;
    return { files: read.files, path, exportName, isWhole: isWhole(read, task) };
  });
}
