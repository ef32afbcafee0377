/**
 * What the client can fail with. No class here is for programmer mistakes, which stay `TypeError` and
 * `RangeError`, nor for aborts: those reject with the signal's reason.
 * @module
 */

import { type ServiceError as GrpcError, status as GrpcStatus } from "@grpc/grpc-js";
import { type ExecutionMetrics, ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";

/** What a failed execution came with. */
export interface ExecutionFailure {
  readonly status: ExecutionStatus;
  readonly errorMessage: string;
  readonly errorTraceback?: string;
  readonly metrics?: ExecutionMetrics | undefined;
  readonly failureReason?: FailureReason;
  readonly stdout?: string;
  readonly stderr?: string;
}

/** The call reached the service, and the execution came to something else than success. */
export class ExecutionError extends Error {
  override readonly name = "ExecutionError";
  /** What the execution came to; never SUCCESS. */
  readonly status: ExecutionStatus;
  /** Traceback in the form of the task's language, empty where there is none. */
  readonly traceback: string;
  /** What it cost until then. */
  readonly metrics: ExecutionMetrics | undefined;
  /** Why it failed, more exactly than `status`; UNSPECIFIED where the service does not say. */
  readonly failureReason: FailureReason;
  /** What user code wrote to its console by log, info and debug until then; empty for nodes. */
  readonly stdout: string;
  /** What user code wrote to its console by warn and error until then; empty for nodes. */
  readonly stderr: string;

  constructor(failure: ExecutionFailure) {
    const { status, errorMessage, errorTraceback = "", metrics } = failure;
    super(errorMessage || `The execution ended with ${statusName(status)}`);
    this.status = status;
    this.traceback = errorTraceback;
    this.metrics = metrics;
    this.failureReason = failure.failureReason ?? FailureReason.UNSPECIFIED;
    this.stdout = failure.stdout ?? "";
    this.stderr = failure.stderr ?? "";
  }

  /** Name of the status, `RESOURCE_LIMIT` say. */
  get statusName(): string {
    return statusName(this.status);
  }

  /** Name of the reason, `MEMORY_LIMIT` say; `undefined` where the service does not say. */
  get reasonName(): string | undefined {
    if (this.failureReason === FailureReason.UNSPECIFIED) return undefined;
    return FailureReason[this.failureReason] ?? String(this.failureReason);
  }
}

/** The status that goes with a reason, for answers that have only the reason. */
export function statusOfReason(reason: FailureReason): ExecutionStatus {
  return STATUS_BY_REASON[reason] ?? ExecutionStatus.ERROR;
}

const STATUS_BY_REASON = {
  [FailureReason.UNSPECIFIED]: ExecutionStatus.ERROR,
  [FailureReason.INVALID_TASK]: ExecutionStatus.ERROR,
  [FailureReason.EXCEPTION]: ExecutionStatus.ERROR,
  [FailureReason.CRASH]: ExecutionStatus.ERROR,
  [FailureReason.SECURITY_VIOLATION]: ExecutionStatus.SECURITY_VIOLATION,
  [FailureReason.TIME_LIMIT]: ExecutionStatus.TIMEOUT,
  [FailureReason.MEMORY_LIMIT]: ExecutionStatus.RESOURCE_LIMIT,
  [FailureReason.CPU_LIMIT]: ExecutionStatus.RESOURCE_LIMIT,
  [FailureReason.INPUT_LIMIT]: ExecutionStatus.RESOURCE_LIMIT,
  [FailureReason.RESULT_LIMIT]: ExecutionStatus.RESOURCE_LIMIT,
  [FailureReason.THREAD_LIMIT]: ExecutionStatus.RESOURCE_LIMIT,
  [FailureReason.CANCELLED]: ExecutionStatus.CANCELLED,
  [FailureReason.SCRATCH_LIMIT]: ExecutionStatus.RESOURCE_LIMIT,
  [FailureReason.UNRECOGNIZED]: ExecutionStatus.ERROR,
} as const satisfies Record<FailureReason, ExecutionStatus>;

/** Where a call failed. */
export interface RpcFailure {
  /** Name of the method, `ExecuteNode` say. */
  readonly method: string;
  readonly address: string;
  /** Times that the call was made. */
  readonly attempts: number;
}

/** The call itself failed: the service could not be reached, refused it, or did not answer in time. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  /** gRPC status code, https://grpc.io/docs/guides/status-codes/ */
  readonly code: GrpcStatus;
  /** What the service or the library says of it. */
  readonly details: string;
  readonly attempts: number;

  constructor(cause: GrpcError, { method, address, attempts }: RpcFailure) {
    const tries = attempts > 1 ? ` (${attempts} attempts)` : "";
    super(`Cannot call ${method} at ${address}: ${GrpcStatus[cause.code]}: ${cause.details}${tries}`, { cause });
    this.code = cause.code;
    this.details = cause.details;
    this.attempts = attempts;
  }

  /** Name of the status code, `UNAVAILABLE` say. */
  get codeName(): string {
    return GrpcStatus[this.code] ?? String(this.code);
  }
}

/** An input that cannot be encoded, or an output that cannot be decoded, in the call's format. */
export class PayloadError extends Error {
  override readonly name = "PayloadError";

  constructor(readonly direction: "input" | "output", cause: unknown) {
    const verb = direction === "input" ? "encode input" : "decode output";
    super(`Cannot ${verb}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** Files that cannot become a code package. The message names the file and what is the matter with it. */
export class PackageError extends Error {
  override readonly name = "PackageError";

  constructor(state: string, options?: ErrorOptions) {
    super(`Cannot package code: ${state}`, options);
  }
}

/** Whether something that was thrown is an error of grpc-js. */
export function isGrpcError(thrown: unknown): thrown is GrpcError {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "number" && "details" in thrown;
}

function statusName(status: ExecutionStatus): string {
  return ExecutionStatus[status] ?? String(status);
}
