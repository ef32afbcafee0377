/**
 * grpc-js's calls as promises and async iterables.
 * @module
 */

import {
  type CallOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { pause } from "../async/pause.ts";
import { UnsentBytes } from "./unsent_bytes.ts";

/** Starts a unary call with the options given. */
export type StartUnary<Response> = (
  options: CallOptions,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** How long a call may take. */
export interface CallContext {
  /** In milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** An error as grpc-js makes them, for an answer that is not what the contract has. */
export function contractError(details: string): ServiceError {
  return Object.assign(new Error(details), { code: status.INTERNAL, details, metadata: new Metadata() });
}

/** Makes a unary call. Rejects with the signal's reason when it aborts, else with grpc-js's error. */
export function unary<Response>(
  start: StartUnary<Response>,
  { deadline, signal }: CallContext,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      call.cancel();
      reject(signal?.reason);
    };
    const call = start({ deadline }, (error, response) => {
      signal?.removeEventListener("abort", onAbort);
      if (error === null) resolve(response);
      else reject(error);
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The messages of a stream in order; ending early, by `break` too, cancels the call. */
export async function* messagesOf<Response>(
  call: ClientReadableStream<Response> | ClientDuplexStream<never, Response>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Response, void, void> {
  const onAbort = () => call.cancel();
  // Cancelling makes an error that nobody waits for any more; without a listener it would end the program.
  call.on("error", () => {});
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    // Node's readable streams pull a few messages ahead and then leave them to HTTP/2's flow control.
    for await (const message of call) yield message as Response; // Its iterator is typed `any`.
    signal?.throwIfAborted();
  } catch (error) {
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    call.cancel();
  }
}

/** Bytes that may be on their way of one stream, and how few have to be left before it goes on. */
const MAX_UNSENT_BYTES = 1_048_576;
const RESUME_UNSENT_BYTES = 524_288;

/** How often is looked whether they have left, in milliseconds: nothing tells. */
const UNSENT_POLL_MS = 5;

/**
 * Writes messages one after the other, never more than the stream takes, then half-closes.
 * Stops when `stop` aborts, also while the source keeps it waiting.
 *
 * @param sizeOf Bytes that a message has at least
 */
export async function writeAll<Request>(
  call: ClientDuplexStream<Request, unknown>,
  source: AsyncIterable<Request>,
  { stop, sizeOf }: { stop: AbortSignal; sizeOf: (request: Request) => number },
): Promise<void> {
  const { promise: stopped, resolve: onStop } = Promise.withResolvers<undefined>();
  const listener = () => onStop(undefined);
  stop.addEventListener("abort", listener, { once: true });
  const iterator = source[Symbol.asyncIterator]();
  const unsent = new UnsentBytes(call);
  try {
    while (!stop.aborted) {
      const result = await Promise.race([iterator.next(), stopped]);
      if (result === undefined) break;
      if (result.done) return void call.end();
      if (!call.write(result.value)) await Promise.race([drained(call), stopped]);
      unsent.add(sizeOf(result.value));
      if (unsent.count <= MAX_UNSENT_BYTES) continue;
      while (unsent.count > RESUME_UNSENT_BYTES && !stop.aborted) await pause(UNSENT_POLL_MS, stop);
    }
    // Not awaited: a generator that hangs in `next` answers `return` only after it, if ever.
    iterator.return?.()?.catch(() => {});
  } finally {
    stop.removeEventListener("abort", listener);
  }
}

function drained(call: ClientDuplexStream<never, unknown> | ClientDuplexStream<unknown, unknown>): Promise<undefined> {
  return new Promise((resolve) => call.once("drain", () => resolve(undefined)));
}
