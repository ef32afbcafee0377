/**
 * Makes a code package in TypeScript or JavaScript ready to be run: validates it, joins it with the packages that it
 * depends on, has its files written, and imports its entry module.
 * @module
 */

import { DEFAULT_PACKAGE_LIMITS, type DenoPackage, linkPackage, readPackage, validateModules } from "./package/mod.ts";
import type { PackageOptions, PackageTask } from "./protocol.ts";
import { TaskError } from "./task_error.ts";
import { hideFolder } from "./traceback.ts";
import { UserFailure } from "./user_failure.ts";

/** What the glue offers to the run. */
export interface PackageRunContext {
  /** Aborts when the caller goes away, or when most of the time is used. */
  readonly signal: AbortSignal;
  /** Has the host write the package's files; gives the URL of the folder that they lie in. */
  writeFiles(files: ReadonlyMap<string, Uint8Array>): Promise<string>;
  /** Gives user code what it was granted. */
  exposeGrants(grants: Pick<PackageOptions, "environment" | "egress">): void;
  /** Where a task with a scratch folder starts. */
  readonly workingDirectory: string | undefined;
}

/** What a task's function gets besides its input. */
export interface TaskContext {
  /** Aborts when the caller goes away, or at 90 % of the time limit; its reason says which and how much is left. */
  readonly signal: AbortSignal;
  /** Environment variables of the request. */
  readonly env: Readonly<Record<string, string>>;
  /** Folder that it may write to and starts in; absent unless it was granted one. */
  readonly workingDirectory?: string;
}

/** What the entry point names, and what goes with it. */
export interface LoadedEntry {
  /** For messages, `main.ts:default` say. */
  readonly name: string;
  /** The export; untrusted. `undefined` where there is none, or where it is just that. */
  readonly exported: unknown;
  readonly exportName: string;
  readonly module: Readonly<Record<string, unknown>>;
  readonly taskContext: TaskContext;
}

/**
 * Validates the package and imports its entry module.
 *
 * @throws {TaskError} for what is wrong with the package
 * @throws {UserFailure} for whatever the user's code throws
 */
export async function loadPackage(task: PackageTask, context: PackageRunContext): Promise<LoadedEntry> {
  const { entryPoint, dependencies, blockedImports, maxPackageBytes, maxUnpackedBytes, maxFiles } = task.options;
  const limits = { maxCompressedBytes: maxPackageBytes, maxUnpackedBytes, maxFiles };
  const read = readPackage(task.codePackage, { entryPoint, dependencies, limits });
  if (read.runtime !== "deno") {
    // The server sends Python elsewhere, as far as it can tell by a look at the outside.
    throw new TaskError(
      "INVALID_TASK",
      'Cannot run package: it is Python, which does not show; its manifest should say "runtime": "python"',
    );
  }
  // The host writes while the modules are looked into; nothing of what it writes is imported before they have been.
  const isWhole = read.dependencies.length === 0 && task.layers.length === 0;
  const written = isWhole ? context.writeFiles(read.files) : undefined;
  written?.catch(() => {}); // Validation may fail first.
  const opened = validateModules(read, { limits, policy: { allowedBuiltins: [], blockedImports } });
  const codeUrl = await (written ?? context.writeFiles(linked(opened, task)));
  hideFolder(codeUrl);
  const { path, exportName } = read.entry;
  context.exposeGrants(task.options);
  // The path consists of segments that validation has checked; they may hold characters that a URL escapes.
  const url = new URL(path.split("/").map(encodeURIComponent).join("/"), codeUrl).href;
  const module: Readonly<Record<string, unknown>> = await ofUser(() => import(url));
  const { signal, workingDirectory } = context;
  return {
    name: `${path}:${exportName}`,
    exported: module[exportName],
    exportName,
    module,
    taskContext: Object.freeze({
      signal,
      env: Object.freeze({ ...task.options.environment }),
      ...(workingDirectory === undefined ? {} : { workingDirectory }),
    }),
  };
}

function linked(opened: DenoPackage, { layers, options }: PackageTask): Map<string, Uint8Array> {
  return linkPackage(opened, layers[0], { ...DEFAULT_PACKAGE_LIMITS, maxUnpackedBytes: options.maxUnpackedBytes });
}

/** Runs user code. */
export async function ofUser<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (thrown) {
    throw new UserFailure(thrown);
  }
}

/** Says that the entry point names nothing that can be used, and what the module has instead. */
export function notUsable({ name, exportName, module }: LoadedEntry): TaskError {
  const names = Object.keys(module).filter((name) => typeof module[name] === "function");
  const there = names.length === 0 ? "it exports no function" : `it exports ${names.slice(0, 20).join(", ")}`;
  const kind = exportName in module ? `is a ${typeof module[exportName]}` : "does not exist";
  return new TaskError("INVALID_TASK", `Cannot run "${name}": the export ${kind}; ${there}`);
}
