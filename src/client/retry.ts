/**
 * Calls that are made again.
 * @module
 */

import { type ServiceError as GrpcError, status as GrpcStatus } from "@grpc/grpc-js";
import { pause } from "../async/pause.ts";
import { isGrpcError } from "./errors.ts";
import type { RetryOptions } from "./options.ts";

/** Trailer in which a service says when to come back, in milliseconds (gRFC A6, "Pushback"). */
const PUSHBACK_TRAILER = "grpc-retry-pushback-ms";
/** int32, as the other clients of gRPC read it, and the longest delay of a timer. */
const MAX_PUSHBACK_MS = 2 ** 31 - 1;
const NEVER = new AbortController().signal;

/** What {@linkcode withRetries} depends on. */
export interface RetryContext extends RetryOptions {
  /** Whether making the call twice does what making it once does. */
  readonly idempotent: boolean;
  /** Time by which all must be done, in milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Waits so many milliseconds, or less when the signal aborts. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Makes a call, and again while it fails with UNAVAILABLE or RESOURCE_EXHAUSTED, attempts are left and the deadline is
 * farther than the pause. Pauses are exponential with full jitter, so that callers who were shed together do not come
 * back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * Where the service says when to come back, that is the pause, however long, and the exponential ones start anew after
 * it; where it says never to, or something that cannot be read, the call is not made again (gRFC A6,
 * https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
 *
 * @throws the last error of the call, with `attempts` made so far given to `onFailure` first; the signal's reason when it
 * aborts
 */
export async function withRetries<Answer>(
  call: () => Promise<Answer>,
  context: RetryContext,
  onFailure: (error: GrpcError, attempts: number) => Error,
): Promise<Answer> {
  const { maxAttempts, random = Math.random, now = Date.now, sleep = pause, signal } = context;
  let backoffs = 0;
  for (let attempt = 1;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (!isGrpcError(error)) throw error;
      const pushback = pushbackOf(error);
      const longestMs = Math.min(context.maxBackoffMs, context.initialBackoffMs * 2 ** backoffs);
      const pauseMs = typeof pushback === "number" ? pushback : random() * longestMs;
      const again = attempt < maxAttempts && isRetryable(error, context) && pushback !== "never" &&
        now() + pauseMs < context.deadline;
      if (!again) throw onFailure(error, attempt);
      backoffs = pushback === undefined ? backoffs + 1 : 0;
      await sleep(pauseMs, signal ?? NEVER);
    }
  }
}

/** The pause that the service asks for in milliseconds, if it asks for one. */
function pushbackOf({ metadata }: GrpcError): number | "never" | undefined {
  const [value] = metadata.get(PUSHBACK_TRAILER);
  if (value === undefined) return undefined;
  const pushbackMs = /^\d+$/.test(String(value)) ? Number(value) : Infinity;
  return pushbackMs <= MAX_PUSHBACK_MS ? pushbackMs : "never";
}

function isRetryable(error: GrpcError, { idempotent }: RetryContext): boolean {
  switch (error.code) {
    case GrpcStatus.UNAVAILABLE:
      // The connection may have broken after the service took the call up.
      return idempotent;
    case GrpcStatus.RESOURCE_EXHAUSTED:
      // The service sheds before it runs anything. A message that is too large has the same code and no other mark than
      // its text, and will be as large next time.
      return !/message (with a size )?larger than max/i.test(error.details);
    default:
      return false;
  }
}
