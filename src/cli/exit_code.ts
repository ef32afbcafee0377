/**
 * What the exit codes mean.
 * @module
 */

import { status as GrpcStatus } from "@grpc/grpc-js";
import { MediaError } from "../../workers/media/media_error.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { ExecutionError, PackageError, PayloadError, RpcError } from "../client/mod.ts";
import { ServiceError } from "../errors.ts";
import { OutputError, UsageError } from "./errors.ts";

/** Exit codes by what happened. */
export const EXIT = {
  OK: 0,
  /** The task failed: its node or code threw, or what it asks for does not exist. */
  FAILED: 1,
  /** The command line, a file that it names or the configuration is wrong. */
  USAGE: 2,
  /** The service cannot be reached or is going down. */
  UNREACHABLE: 3,
  /** Credentials or the security policy stand against it. */
  REFUSED: 4,
  /** Time, memory, CPU time, threads, output, scratch folder or the service's capacity did not suffice. */
  LIMIT: 5,
  /** The task succeeded, but its output could not be written as asked. */
  OUTPUT: 6,
  /** The program or the service has a bug. */
  INTERNAL: 70,
  /** Stopped by Ctrl-C. */
  INTERRUPTED: 130,
} as const;

export type ExitCode = typeof EXIT[keyof typeof EXIT];

/** The codes for people, for the help. */
export const EXIT_CODE_HELP = `
Exit codes:
  0    success
  1    the task failed, or asks for something that does not exist
  2    the command line, a file that it names or the configuration is wrong
  3    the service cannot be reached, or is shutting down
  4    refused: credentials, or the security policy
  5    a limit: time, memory, CPU time, threads, output, scratch folder, or the service is full
  6    the task succeeded, but its output cannot be written as asked
  70   a bug in this program or in the service
  130  interrupted`;

const BY_EXECUTION_STATUS = {
  [ExecutionStatus.UNSPECIFIED]: EXIT.INTERNAL,
  [ExecutionStatus.SUCCESS]: EXIT.OK,
  [ExecutionStatus.ERROR]: EXIT.FAILED,
  [ExecutionStatus.TIMEOUT]: EXIT.LIMIT,
  [ExecutionStatus.CANCELLED]: EXIT.FAILED,
  [ExecutionStatus.RESOURCE_LIMIT]: EXIT.LIMIT,
  [ExecutionStatus.SECURITY_VIOLATION]: EXIT.REFUSED,
  [ExecutionStatus.UNRECOGNIZED]: EXIT.INTERNAL,
} as const satisfies Record<ExecutionStatus, ExitCode>;

const BY_RPC_CODE = {
  [GrpcStatus.OK]: EXIT.OK,
  [GrpcStatus.CANCELLED]: EXIT.FAILED,
  [GrpcStatus.UNKNOWN]: EXIT.INTERNAL,
  [GrpcStatus.INVALID_ARGUMENT]: EXIT.USAGE,
  [GrpcStatus.DEADLINE_EXCEEDED]: EXIT.LIMIT,
  [GrpcStatus.NOT_FOUND]: EXIT.FAILED,
  [GrpcStatus.ALREADY_EXISTS]: EXIT.FAILED,
  [GrpcStatus.PERMISSION_DENIED]: EXIT.REFUSED,
  [GrpcStatus.RESOURCE_EXHAUSTED]: EXIT.LIMIT,
  [GrpcStatus.FAILED_PRECONDITION]: EXIT.FAILED,
  [GrpcStatus.ABORTED]: EXIT.FAILED,
  [GrpcStatus.OUT_OF_RANGE]: EXIT.USAGE,
  [GrpcStatus.UNIMPLEMENTED]: EXIT.FAILED,
  [GrpcStatus.INTERNAL]: EXIT.INTERNAL,
  [GrpcStatus.UNAVAILABLE]: EXIT.UNREACHABLE,
  [GrpcStatus.DATA_LOSS]: EXIT.INTERNAL,
  [GrpcStatus.UNAUTHENTICATED]: EXIT.REFUSED,
} as const satisfies Record<GrpcStatus, ExitCode>;

/** The exit code for something that was thrown. */
export function toExitCode(error: unknown): ExitCode {
  if (error instanceof ExecutionError) return BY_EXECUTION_STATUS[error.status] ?? EXIT.INTERNAL;
  if (error instanceof RpcError) return BY_RPC_CODE[error.code] ?? EXIT.INTERNAL;
  if (error instanceof OutputError) return EXIT.OUTPUT;
  if (error instanceof PayloadError) return error.direction === "input" ? EXIT.USAGE : EXIT.OUTPUT;
  if (error instanceof UsageError || error instanceof PackageError || error instanceof MediaError) return EXIT.USAGE;
  if (error instanceof ServiceError && error.code === "CONFIG_INVALID") return EXIT.USAGE;
  if (error instanceof DOMException && error.name === "AbortError") return EXIT.INTERRUPTED;
  return EXIT.INTERNAL;
}
