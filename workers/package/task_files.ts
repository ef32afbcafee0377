/**
 * The package of a task as its host wants it: the files to write, and which of them is run.
 * @module
 */

import type { PackageFault, PackageOptions, PackageTask } from "../protocol.ts";
import { TaskError } from "../task_error.ts";
import { describeFailure } from "../traceback.ts";
import type { PackageLimits } from "./limits.ts";
import { type ModulePackage, readPackage } from "./read_package.ts";

/** A package of TypeScript or JavaScript that may be written and run. */
export interface TaskFiles {
  /** Contents by path from the code root; each path is relative, normal and safe to join. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Module that is run, from the code root. */
  readonly path: string;
  readonly exportName: string;
  /** Whether it depends on nothing outside: the files are the package's own, as they came. */
  readonly isWhole: boolean;
}

/** What opening a package came to. */
export type PackageOpening = TaskFiles | PackageFault;

/** A module that opens packages: `package_reader.ts` or `package_validator.ts`. */
export interface PackageModule {
  /** Never fails. */
  openPackage(task: PackageTask): PackageOpening;
}

/** Reads the package of a task. @throws {TaskError} as `readPackage` does, and when it is no TypeScript or JavaScript */
export function readModules({ codePackage, options }: PackageTask): ModulePackage {
  const { entryPoint, dependencies } = options;
  const read = readPackage(codePackage, { entryPoint, dependencies, limits: packageLimits(options) });
  if (read.runtime === "deno") return read;
  // The server sends Python elsewhere, as far as it can tell by a look at the outside.
  throw new TaskError(
    "INVALID_TASK",
    'Cannot run package: it is Python, which does not show; its manifest should say "runtime": "python"',
  );
}

/** Limits of a task's package. */
export function packageLimits(
  { maxPackageBytes, maxUnpackedBytes, maxFiles }: PackageOptions,
): Pick<PackageLimits, "maxCompressedBytes" | "maxUnpackedBytes" | "maxFiles"> {
  return { maxCompressedBytes: maxPackageBytes, maxUnpackedBytes, maxFiles };
}

/** Whether a package that was read depends on nothing outside. */
export function isWhole({ dependencies }: ModulePackage, { layers }: PackageTask): boolean {
  return dependencies.length === 0 && layers.length === 0;
}

/** Gives what is thrown as a fault. */
export function openingOf(open: () => TaskFiles): PackageOpening {
  try {
    return open();
  } catch (error) {
    const { message } = describeFailure(error);
    return { fault: error instanceof TaskError ? error.code : "TASK_FAILED", message };
  }
}
