/**
 * Why packages of Python cannot be installed for a task.
 * @module
 */

import { TaskError, type TaskErrorCode } from "../../task_error.ts";

/**
 * A task's packages cannot be installed. Thrown with `INVALID_TASK` when what the task asks for cannot be had, with
 * `RESOURCE_LIMIT` when it is more than it may have, with `SECURITY_VIOLATION` when the policy refuses it.
 */
export class PackageError extends TaskError {
  /** The message without what begins each. */
  readonly state: string;

  constructor(state: string, options: ErrorOptions & { readonly code?: TaskErrorCode } = {}) {
    const { code = "INVALID_TASK", ...rest } = options;
    super(code, `Cannot install packages: ${state}`, rest);
    this.state = state;
  }
}
