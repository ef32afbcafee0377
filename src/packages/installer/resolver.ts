/**
 * What turns the packages that a task depends on into files that it can have.
 * @module
 */

/** What a task depends on. */
export interface DependencyRequest {
  readonly runtime: "deno" | "python";
  /** As the request declares them. */
  readonly requirements: readonly string[];
  /** May declare more. Nobody outside of a sandbox looks into it. */
  readonly codePackage: Uint8Array;
}

/** Packages, ready for a task. */
export interface ResolvedDependencies {
  /** As a task's `layer` is sent; empty when there is none. */
  readonly layer: Uint8Array;
  /** What it holds, `npm:zod@4.1.5` each. */
  readonly installed: readonly string[];
}

/** See the module. */
export interface DependencyResolver {
  /**
   * @throws {ServiceError} `INVALID_TASK` for what does not exist, `SECURITY_VIOLATION` for what a rule of the policy refuses and for
   * archives that are not what they should be, `RESOURCE_LIMIT`, `TASK_TIMEOUT`, `TASK_FAILED` when the registry does not answer
   * as one, `SANDBOX_LOST`
   */
  resolve(request: DependencyRequest, signal: AbortSignal): Promise<ResolvedDependencies>;
}
