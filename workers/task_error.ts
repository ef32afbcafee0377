/**
 * Failures of a task, as the worker reports them to the server.
 * @module
 */

/** Why a task failed, as far as the worker can tell. */
export type TaskErrorCode =
  /** The request asks for something that does not exist or cannot be read: the caller's fault, a retry will not help. */
  | "INVALID_TASK"
  /** The node or the user's code threw: the task's own fault. */
  | "TASK_FAILED"
  /** A pickle or a package asks for something that is not allowed: the caller's fault. */
  | "SECURITY_VIOLATION"
  /** The task needs more memory, output or depth than its limits allow. */
  | "RESOURCE_LIMIT"
  /** The server asked the task to stop. */
  | "CANCELLED";

/** The one error that code in the sandbox throws on purpose; anything else counts as `TASK_FAILED`. */
export class TaskError extends Error {
  override readonly name = "TaskError";

  constructor(readonly code: TaskErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
