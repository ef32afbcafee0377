/**
 * Streams of requests and responses, both ways at once.
 * @module
 */

import type { ClientDuplexStream } from "@grpc/grpc-js";
import { messagesOf, writeAll } from "./call.ts";

/** What {@linkcode exchange} depends on. */
export interface ExchangeOptions<Request> {
  /** Bytes that a request has at least, which say how many may be on their way. */
  readonly sizeOf: (request: Request) => number;
  readonly signal: AbortSignal | undefined;
  /** What to throw for an error of the call. */
  readonly toError: (error: unknown) => unknown;
}

/**
 * Opens a call when it is first asked for a response, writes what `requests` gives, half-closes, and yields responses.
 * Requests are taken only as fast as the call takes them, responses from the service only as fast as they are asked for.
 * Leaving the iteration cancels the call, and asks `requests` to return.
 *
 * @throws the signal's reason when it aborts, what `requests` throws, and else what `toError` makes of the call's error
 */
export async function* exchange<Request, Response>(
  open: () => ClientDuplexStream<Request, Response>,
  requests: AsyncIterable<Request>,
  { signal, toError, sizeOf }: ExchangeOptions<Request>,
): AsyncGenerator<Response, void, void> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const call = open();
  let requestFailure: { error: unknown } | undefined;
  const writing = writeAll(call, requests, { stop: stop.signal, sizeOf }).catch((error: unknown) => {
    requestFailure = { error };
    call.cancel();
  });
  try {
    yield* messagesOf(call, signal);
  } catch (error) {
    throw requestFailure === undefined ? toError(error) : requestFailure.error;
  } finally {
    stop.abort();
    await writing;
  }
}
