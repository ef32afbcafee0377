/**
 * The service's one error class. Callers branch on {@linkcode ServiceError.code}, never on message text.
 *
 * Messages start with the action and end with the state: `Cannot lease sandbox: pool is draining`. Values are
 * quoted, there is no full stop. Programmer mistakes stay `TypeError` and `RangeError`.
 * @module
 */

/** What went wrong: each line says what happened, whose fault it is, and whether a retry helps. */
export type ErrorCode =
  /** The call is malformed (a stream that does not open with `init`, an unknown option). The caller's fault; a retry does not help. */
  | "INVALID_ARGUMENT"
  /** The call carries no credentials, or ones that are not known. The caller's fault; a retry with good credentials helps. */
  | "UNAUTHENTICATED"
  /** The policy does not grant the caller what the call asks for. The caller's fault; a retry does not help. */
  | "PERMISSION_DENIED"
  /** A node, session or package that the call names does not exist (any more). The caller's fault; a retry does not help. */
  | "NOT_FOUND"
  /** As many executions wait as may wait, and this one was shed. Nobody's fault; a retry after a pause helps. */
  | "QUEUE_FULL"
  /** The caller is above its quota. The caller's fault; a retry after a pause helps. */
  | "RATE_LIMITED"
  /** The service is shutting down and takes no new work. Nobody's fault; a retry elsewhere, or later, helps. */
  | "DRAINING"
  /** The call's own deadline passed before there was an answer. The caller's choice; a retry with more time may help. */
  | "DEADLINE_EXCEEDED"
  /** The caller cancelled, or its connection went away. The caller's choice; a retry helps if it was not meant. */
  | "CANCELLED"
  /** The task ran longer than its time limit and was stopped. User code's fault; a retry with a higher limit may help. */
  | "TASK_TIMEOUT"
  /** The task passed a limit (memory, CPU time, output, threads, package size). User code's fault; a retry with a higher limit may help. */
  | "RESOURCE_LIMIT"
  /** Validation refuses the code, or the task ended because a permission was denied. User code's fault; a retry does not help. */
  | "SECURITY_VIOLATION"
  /** The node or the user's code threw. User code's fault; a retry helps only if the code is not deterministic. */
  | "TASK_FAILED"
  /** The task asks for something that does not exist or cannot be read: an unknown node, bad parameters, a broken package. The caller's fault; a retry does not help. */
  | "INVALID_TASK"
  /** The sandbox host died under the task. User code's fault or ours; one retry may help, and a second death means the task kills it. */
  | "SANDBOX_LOST"
  /** At start a sandbox let its probe do what no task may. Our fault or the machine's; the service does not serve until it is mended. */
  | "SANDBOX_LEAK"
  /** Settings are unknown, out of range or contradict each other. The operator's fault; the message lists every fault. */
  | "CONFIG_INVALID"
  /** This version of Deno cannot serve. The operator's fault; the message names the version to run. */
  | "UNSUPPORTED_RUNTIME"
  /** The contract names the operation but this build does not offer it. Our choice; a retry does not help. */
  | "UNIMPLEMENTED"
  /** Something that should not happen did. Our fault; a retry may help, and the log has the cause. */
  | "INTERNAL";

/** Options of a {@linkcode ServiceError}. */
export interface ServiceErrorOptions extends ErrorOptions {
  /** Facts for programs and logs: limits, names, numbers as text. Never secrets: they may reach the caller. */
  readonly details?: Readonly<Record<string, string>> | undefined;
}

/**
 * The error that the service throws on purpose.
 *
 * @example
 * ```ts
 * import { ServiceError } from "./errors.ts";
 *
 * try {
 *   throw new ServiceError("QUEUE_FULL", 'Cannot admit execution: queue holds "64" already', {
 *     details: { queueLimit: "64" },
 *   });
 * } catch (error) {
 *   if (!(error instanceof ServiceError) || error.code !== "QUEUE_FULL") throw error;
 * }
 * ```
 */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  /** What went wrong, for programs. */
  readonly code: ErrorCode;
  /** Facts for programs and logs; empty when there are none. */
  readonly details: Readonly<Record<string, string>>;

  /**
   * @param code What went wrong
   * @param message Action, colon, state; values quoted, no full stop
   * @param options The cause, and details
   */
  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/**
 * The message of anything that was thrown, for logs and for the end of another error's message.
 *
 * @returns The error's message, or the value as text when it is no error
 */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
