/**
 * What stands behind the packages that user code depends on.
 * @module
 */

import type { PythonVersion } from "../../workers/protocol.ts";

/** Packages that a task needs. */
export interface DependencyRequest {
  readonly runtime: "deno" | "python";
  /** Version of Python; `undefined` for another runtime. */
  readonly version: PythonVersion | undefined;
  /**
   * What the request names, as it is written there: `npm:zod@4`, `numpy>=2`; for Python with what the package's manifest
   * and its `requirements.txt` name. Untrusted.
   */
  readonly requirements: readonly string[];
  /** What its kind of task needs, where it is to be had; nothing is wrong when it is not. */
  readonly implied: readonly string[];
  /** The code package, whose manifest may name more for TypeScript; empty for a node. Untrusted. */
  readonly codePackage: Uint8Array;
}

/** What a task is given of them. */
export interface ResolvedDependencies {
  /** For Python zips of their files as they are to lie in `site-packages`, for npm what an installer made. */
  readonly layers: readonly Uint8Array[];
  /** Each with its version, `numpy==2.1.0`. */
  readonly installed: readonly string[];
  /** What the task is started with as its declared dependencies; those of its request where this is absent. */
  readonly requirements?: readonly string[];
}

/** Finds packages, or installs them. Called once for a task; its time is part of the task's. */
export interface DependencyResolver {
  /**
   * @param signal aborts when the caller goes away or the task's time is up
   * @throws {ServiceError} `INVALID_TASK` for what there is not, `SECURITY_VIOLATION` for what is not what it should be,
   * `RESOURCE_LIMIT`, `TASK_TIMEOUT`, `TASK_FAILED`, `SANDBOX_LOST`: the task then ends so; with any other code
   * (`PERMISSION_DENIED`) the call is refused
   */
  resolve(request: DependencyRequest, signal: AbortSignal): Promise<ResolvedDependencies>;
}
