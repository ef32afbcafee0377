/**
 * Imports the entry module of a code package in TypeScript or JavaScript, which the host opens.
 * @module
 */

import type { PackageOptions, PackageReply, PackageTask } from "./protocol.ts";
import { TaskError } from "./task_error.ts";
import { hideFolder } from "./traceback.ts";
import { UserFailure } from "./user_failure.ts";

/** What the glue offers to the run. */
export interface PackageRunContext {
  /** Aborts when the caller goes away, or when most of the time is used. */
  readonly signal: AbortSignal;
  /** Resolves when the host has validated the package and written its files, or says why not. */
  openedPackage(): Promise<PackageReply>;
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
 * Imports the package's entry module.
 *
 * @throws {TaskError} for what is wrong with the package
 * @throws {UserFailure} for whatever the user's code throws
 */
export async function loadPackage(task: PackageTask, context: PackageRunContext): Promise<LoadedEntry> {
  const opened = await context.openedPackage();
  if ("fault" in opened) throw new TaskError(opened.fault, opened.message);
  const { codeUrl, path, exportName } = opened;
  hideFolder(codeUrl);
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
