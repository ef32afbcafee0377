/**
 * What the end of a task means, in the contract's words.
 * @module
 */

import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import type { TaskOutcome, TaskResult } from "../../workers/protocol.ts";
import type { ErrorCode, ServiceError } from "../errors.ts";
import type { EgressEvent } from "../sandbox/egress/mod.ts";
import type { Denial } from "../sandbox/denials.ts";
import type { Excess, HostExit, StopReason, TaskEnd } from "../sandbox/task.ts";
import { MEGABYTE } from "../units.ts";
import type { AuditEvent } from "./audit.ts";

/** A shorter name says nothing by being in a message. */
const LEAST_TARGET_LENGTH = 4;

/** Writes down what a task was denied or ended for. */
export type TaskAudit = (event: Pick<AuditEvent, "event" | "rule" | "target">) => void;

/** How a task ended. */
export interface Verdict {
  readonly status: ExecutionStatus;
  readonly failureReason: FailureReason;
  readonly output?: Uint8Array;
  readonly errorMessage?: string;
  readonly errorTraceback?: string;
  readonly exitCode?: number;
}

type Meaning = Pick<Verdict, "status" | "failureReason">;

const OUTCOMES = {
  OK: { status: ExecutionStatus.SUCCESS, failureReason: FailureReason.UNSPECIFIED },
  INVALID_TASK: { status: ExecutionStatus.ERROR, failureReason: FailureReason.INVALID_TASK },
  TASK_FAILED: { status: ExecutionStatus.ERROR, failureReason: FailureReason.EXCEPTION },
  SECURITY_VIOLATION: {
    status: ExecutionStatus.SECURITY_VIOLATION,
    failureReason: FailureReason.SECURITY_VIOLATION,
  },
  RESOURCE_LIMIT: { status: ExecutionStatus.RESOURCE_LIMIT, failureReason: FailureReason.RESULT_LIMIT },
  CANCELLED: { status: ExecutionStatus.CANCELLED, failureReason: FailureReason.CANCELLED },
} as const satisfies Record<TaskOutcome, Meaning>;

const STOPS = {
  timeout: { status: ExecutionStatus.TIMEOUT, failureReason: FailureReason.TIME_LIMIT },
  cancelled: { status: ExecutionStatus.CANCELLED, failureReason: FailureReason.CANCELLED },
  memory: { status: ExecutionStatus.RESOURCE_LIMIT, failureReason: FailureReason.MEMORY_LIMIT },
  cpu: { status: ExecutionStatus.RESOURCE_LIMIT, failureReason: FailureReason.CPU_LIMIT },
  threads: { status: ExecutionStatus.RESOURCE_LIMIT, failureReason: FailureReason.THREAD_LIMIT },
  scratch: { status: ExecutionStatus.RESOURCE_LIMIT, failureReason: FailureReason.SCRATCH_LIMIT },
  denials: { status: ExecutionStatus.SECURITY_VIOLATION, failureReason: FailureReason.SECURITY_VIOLATION },
} as const satisfies Record<StopReason, Meaning>;

/** What a task is called in messages, `Node execution` say, and the memory that it might have. */
export interface VerdictContext {
  readonly subject: string;
  readonly memoryBytes: number;
}

/** What an error means that kept a task from its sandbox. Others are no execution's end, but the call's. */
const OBSTACLES: Partial<Record<ErrorCode, Meaning>> = {
  INVALID_TASK: OUTCOMES.INVALID_TASK,
  TASK_FAILED: OUTCOMES.TASK_FAILED,
  SECURITY_VIOLATION: OUTCOMES.SECURITY_VIOLATION,
  RESOURCE_LIMIT: { status: ExecutionStatus.RESOURCE_LIMIT, failureReason: FailureReason.INPUT_LIMIT },
  TASK_TIMEOUT: { status: ExecutionStatus.TIMEOUT, failureReason: FailureReason.TIME_LIMIT },
  SANDBOX_LOST: { status: ExecutionStatus.ERROR, failureReason: FailureReason.CRASH },
  SANDBOX_LEAK: { status: ExecutionStatus.ERROR, failureReason: FailureReason.CRASH },
};

/** The verdict on a task that did not get to a sandbox; `undefined` where the error is the call's. */
export function verdictOnObstacle({ code, message }: ServiceError): Verdict | undefined {
  const meaning = OBSTACLES[code];
  return meaning && { ...meaning, errorMessage: message };
}

/** The verdict on a request that asks for what does not exist. */
export function invalidTask(errorMessage: string): Verdict {
  return { ...OUTCOMES.INVALID_TASK, errorMessage };
}

/** The verdict on a request that is too long. */
export function inputTooLong(errorMessage: string): Verdict {
  return { status: ExecutionStatus.RESOURCE_LIMIT, failureReason: FailureReason.INPUT_LIMIT, errorMessage };
}

/** The verdict on a task that answered. */
export function verdictOnResult(
  { result, denials }: Extract<TaskEnd, { kind: "result" }>,
  audit: TaskAudit,
): Verdict {
  const { output, message, traceback } = result;
  const outcome = isDenied(result, denials) ? "SECURITY_VIOLATION" : result.outcome;
  if (outcome === "SECURITY_VIOLATION") audit({ event: "code_refused", rule: "security violation", target: message });
  return {
    ...OUTCOMES[outcome],
    output,
    errorMessage: message,
    errorTraceback: traceback,
    exitCode: outcome === "OK" ? 0 : 1,
  };
}

/** The verdict on a task that the server ended. */
export function verdictOnStop(
  { reason, excess }: Pick<Extract<TaskEnd, { kind: "stopped" }>, "reason" | "excess">,
  { subject }: VerdictContext,
  audit: TaskAudit,
): Verdict {
  const errorMessage = stopMessage(subject, reason, excess);
  if (reason !== "cancelled") audit({ event: "task_killed", rule: reason, target: errorMessage });
  return { ...STOPS[reason], errorMessage, exitCode: 137 };
}

/** The verdict on a task whose host died. @param started whether the host had begun it */
export function verdictOnLoss(
  exit: HostExit,
  { started, sandboxId }: { readonly started: boolean; readonly sandboxId: string },
  { subject, memoryBytes }: VerdictContext,
): Verdict {
  if (started && exit.reason === "out_of_memory") {
    return {
      status: ExecutionStatus.RESOURCE_LIMIT,
      failureReason: FailureReason.MEMORY_LIMIT,
      errorMessage: `${subject} stopped: its sandbox ran out of memory, the limit is ${
        megabytes(memoryBytes)
      } MB (options.memory_limit_mb)`,
      exitCode: exit.exitCode,
    };
  }
  return {
    status: ExecutionStatus.ERROR,
    failureReason: FailureReason.CRASH,
    errorMessage: `${subject} failed: its sandbox host "${sandboxId}" ended with exit code ${exit.exitCode}`,
    exitCode: exit.exitCode,
  };
}

/** Writes down what a task was denied. */
export function auditDenials(denials: readonly Denial[], audit: TaskAudit): void {
  for (const { permission, target, count } of denials) {
    const times = count === 1 ? "" : ` (${count} times)`;
    audit({ event: "access_denied", rule: `permission ${permission}`, target: `${target}${times}` });
  }
}

/** Writes down a connection of a task. */
export function auditEgress(event: EgressEvent, audit: TaskAudit): void {
  switch (event.kind) {
    case "connected":
      return audit({
        event: "connection",
        rule: `network.hosts ${event.rule}`,
        target: `${event.target} at ${event.address}`,
      });
    case "refused": {
      const addresses = event.addresses === undefined ? "" : ` (${event.addresses.join(", ")})`;
      return audit({ event: "connection_refused", rule: event.reason, target: `${event.target}${addresses}` });
    }
    case "suppressed":
      return audit({ event: "connection_refused", rule: "many", target: `${event.count} more connections` });
    case "failed":
      // The policy had nothing against it.
      return;
  }
}

/** Whether user code ended because of a denied permission: its message names what Deno's own audit has as denied. */
function isDenied({ outcome, message }: TaskResult, denials: readonly Denial[]): boolean {
  return outcome === "TASK_FAILED" &&
    denials.some(({ target }) => target.length >= LEAST_TARGET_LENGTH && message.includes(target));
}

/** Which limit ended a task, its value, and what was used. */
function stopMessage(subject: string, reason: StopReason, { limit, used, obeyed = false }: Excess): string {
  const near = obeyed ? "; it ended when it was told that this is near" : "";
  switch (reason) {
    case "timeout":
      return `${subject} timed out: it ran ${seconds(used)} s, the limit is ${
        seconds(limit)
      } s (options.timeout_seconds)${near}`;
    case "cpu":
      return `${subject} stopped: it used ${seconds(used)} s of CPU time, the limit is ${
        seconds(limit)
      } s (options.cpu_time_seconds)${near}`;
    case "memory":
      return `${subject} stopped: it used ${megabytes(used)} MB of memory, the limit is ${
        megabytes(limit)
      } MB (options.memory_limit_mb)${near}`;
    case "threads":
      return `${subject} stopped: it had ${used} threads, the limit is ${limit} (the policy's ceilings.threads)`;
    case "scratch": {
      const amount = Number.isFinite(used) ? `${megabytes(used)} MB` : "too many files";
      return `${subject} stopped: it wrote ${amount} to its scratch folder, the limit is ${
        megabytes(limit)
      } MB (the policy's filesystem.scratchMb)`;
    }
    case "denials":
      return `${subject} stopped: it did not cease to ask for what it may not have`;
    case "cancelled":
      return `${subject} cancelled: the caller went away`;
  }
}

/** Whole megabytes, rounded up. */
export function megabytes(bytes: number): number {
  return Math.ceil(bytes / MEGABYTE);
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(ms % 1_000 === 0 ? 0 : 2);
}
