/**
 * The audit: what was refused, denied or ended by force, each as one structured event.
 * @module
 */

import { serviceLogger } from "../logging/mod.ts";

const logger = serviceLogger("audit");

const MAX_TARGET_LENGTH = 500;

/**
 * What happened:
 * - `call_refused`: a call did not prove whose it is, or was one too many of its caller;
 * - `request_refused`: a request asked for more than the policy or a quota allows;
 * - `code_refused`: validation refused a package, or the execution ended in a security violation;
 * - `access_denied`: a task asked for something that it may not have, whether or not its code caught the error;
 * - `connection`: a task with network reached a host;
 * - `connection_refused`: a task with network asked for a host that it may not reach;
 * - `task_killed`: a task was ended because of a limit.
 */
export const AUDIT_EVENTS = [
  "call_refused",
  "request_refused",
  "code_refused",
  "access_denied",
  "connection",
  "connection_refused",
  "task_killed",
] as const;
/** See {@linkcode AUDIT_EVENTS}. */
export type AuditEventName = typeof AUDIT_EVENTS[number];

/** One event. */
export interface AuditEvent {
  readonly event: AuditEventName;
  readonly caller: string;
  /** Empty where no task had been made yet. */
  readonly taskId: string;
  /** What decided: a setting of the policy, a permission of the sandbox, a limit. */
  readonly rule: string;
  /** What it was about. May be the words of user code. */
  readonly target: string;
}

/** Writes audit events to the log, category `audit`. @param count counts them in metrics */
export function audit(
  { event, caller, taskId, rule, target }: AuditEvent,
  count: (event: AuditEventName) => void,
): void {
  count(event);
  const facts = { event, caller, task_id: taskId, rule, target: target.slice(0, MAX_TARGET_LENGTH) };
  const text = "{event}: {rule}, {target}";
  if (event === "connection") logger.info(text, facts);
  else logger.warn(text, facts);
}
