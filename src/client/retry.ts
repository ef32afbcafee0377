/**
 * Calls that are made again.
 * @module
 */

import { type ServiceError as GrpcError, status as GrpcStatus } from "@grpc/grpc-js";
import { isGrpcError } from "./errors.ts";
import type { RetryOptions } from "./options.ts";

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
  /** Waits, and rejects with the signal's reason when it aborts. */
  readonly sleep?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/**
 * Makes a call, and again while it fails with UNAVAILABLE or RESOURCE_EXHAUSTED, attempts are left and the deadline is
 * farther than the pause. Pauses are exponential with full jitter, so that callers who were shed together do not come
 * back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @throws the last error of the call, with `attempts` made so far given to `onFailure` first
 */
export async function withRetries<Answer>(
  call: () => Promise<Answer>,
  context: RetryContext,
  onFailure: (error: GrpcError, attempts: number) => Error,
): Promise<Answer> {
  const { maxAttempts, random = Math.random, now = Date.now, sleep = pause, signal } = context;
  for (let attempt = 1;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (!isGrpcError(error)) throw error;
      const pauseMs = random() * Math.min(context.maxBackoffMs, context.initialBackoffMs * 2 ** (attempt - 1));
      const again = attempt < maxAttempts && isRetryable(error, context) && now() + pauseMs < context.deadline;
      if (!again) throw onFailure(error, attempt);
      await sleep(pauseMs, signal);
    }
  }
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

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
