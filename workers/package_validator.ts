/**
 * What a host loads to open packages that nobody has validated: two thirds of it are a parser, which is why it is apart.
 * @module
 */

import { DEFAULT_PACKAGE_LIMITS, linkPackage, validateModules } from "./package/mod.ts";
import { isWhole, openingOf, packageLimits, type PackageOpening, readModules } from "./package/task_files.ts";
import type { PackageTask } from "./protocol.ts";

/** Opens a package, validates it, and joins it with the packages that it depends on. Never fails. */
export function openPackage(task: PackageTask): PackageOpening {
  return openingOf(() => {
    const { options, layers } = task;
    const limits = packageLimits(options);
    const read = readModules(task);
    const policy = { allowedBuiltins: [], blockedImports: options.blockedImports };
    const opened = validateModules(read, { limits, policy });
    const whole = isWhole(read, task);
    const { path, exportName } = read.entry;
    const files = whole ? read.files : linkPackage(opened, layers[0], { ...DEFAULT_PACKAGE_LIMITS, ...limits });
    return { files, path, exportName, isWhole: whole };
  });
}
