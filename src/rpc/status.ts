/**
 * Errors of the service as statuses of gRPC.
 * @module
 */

import { Metadata, status } from "@grpc/grpc-js";
import type { ServerErrorResponse } from "@grpc/grpc-js";
import { type ErrorCode, messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";

const logger = serviceLogger("rpc");

/** gRPC's status for each code; https://grpc.io/docs/guides/status-codes/ says when clients retry. */
export const GRPC_STATUS = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  NOT_FOUND: status.NOT_FOUND,
  QUEUE_FULL: status.RESOURCE_EXHAUSTED,
  RATE_LIMITED: status.RESOURCE_EXHAUSTED,
  DRAINING: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  TASK_TIMEOUT: status.DEADLINE_EXCEEDED,
  RESOURCE_LIMIT: status.RESOURCE_EXHAUSTED,
  SECURITY_VIOLATION: status.PERMISSION_DENIED,
  TASK_FAILED: status.UNKNOWN,
  INVALID_TASK: status.INVALID_ARGUMENT,
  SANDBOX_LOST: status.UNAVAILABLE,
  SANDBOX_LEAK: status.INTERNAL,
  CONFIG_INVALID: status.INTERNAL,
  UNSUPPORTED_RUNTIME: status.INTERNAL,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  INTERNAL: status.INTERNAL,
} as const satisfies Record<ErrorCode, status>;

/**
 * Details travel in a header, percent-encoded (up to nine bytes for a character of UTF-16), and clients take headers of
 * 16 KB: gRPC's C core refuses more, and a server that sends more resets the call without any status.
 */
const MAX_DETAILS_LENGTH = 1_024;

/** When to come back, in milliseconds, as gRPC's own retries read it (gRFC A6). */
export const PUSHBACK_HEADER = "grpc-retry-pushback-ms";

/**
 * What the caller hears of an error: its own words if we know it, else a fixed sentence while the log gets the cause.
 * Where the error knows when a retry helps (`retryAfterMs` in its details), a trailer says so.
 */
export function toGrpcError(error: unknown, method: string): ServerErrorResponse {
  if (error instanceof ServiceError && error.code !== "INTERNAL") {
    const { retryAfterMs } = error.details;
    const details = cut(error.message);
    return Object.assign(new Error(details), {
      code: GRPC_STATUS[error.code],
      details,
      ...(retryAfterMs === undefined ? {} : { metadata: pushback(retryAfterMs) }),
    });
  }
  logger.error("{method} failed: {error}", { method, error: messageOf(error), stack: stackOf(error) });
  const details = "Internal error; the service's log has the cause";
  return Object.assign(new Error(details), { code: status.INTERNAL, details });
}

/** The name of a status code, `OK` say. */
export function statusName(code: number): string {
  return status[code] ?? "UNKNOWN";
}

/** Messages quote what the caller sent, which may be long. */
function cut(message: string): string {
  if (message.length <= MAX_DETAILS_LENGTH) return message;
  return `${message.slice(0, MAX_DETAILS_LENGTH).toWellFormed()}… [${message.length} characters]`;
}

function pushback(retryAfterMs: string): Metadata {
  const metadata = new Metadata();
  metadata.set(PUSHBACK_HEADER, retryAfterMs);
  return metadata;
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
