/**
 * Calls that are answered once, with a response or a status.
 * @module
 */

import { type handleUnaryCall, type sendUnaryData, type ServerUnaryCall, status } from "@grpc/grpc-js";
import type { EventEmitter } from "node:events";
import { ServiceError } from "../errors.ts";
import type { AuditEventName } from "../execution/audit.ts";
import { callerOf } from "./caller.ts";
import type { OpenCalls } from "./open_calls.ts";
import { statusName, toGrpcError } from "./status.ts";

/** Who counts calls. */
export interface CallObserver {
  requestEnded(method: string, status: string): void;
  bytesReceived(count: number): void;
  bytesSent(count: number): void;
  /** Something was refused; see the audit. */
  audited(event: AuditEventName): void;
}

/** Who sees what happens to calls. */
export interface CallWatch {
  readonly observer: CallObserver;
  readonly openCalls: OpenCalls;
}

/** Whose call a handler works on, and for how long. */
export interface CallContext {
  /** Aborts when the caller cancels or goes away. */
  readonly signal: AbortSignal;
  readonly caller: string;
}

/** Wraps a handler of one request and one response. */
export function unary<Request, Response>(
  method: string,
  watch: CallWatch,
  handle: (request: Request, of: CallContext) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => void answer(method, watch, { call, reply: callback, handle });
}

/** A call that is answered once. */
export interface AnsweredCall<Request, Response> {
  readonly call: EventEmitter & Pick<ServerUnaryCall<Request, Response>, "request" | "metadata">;
  readonly handle: (request: Request, of: CallContext) => Response | Promise<Response>;
  readonly reply: sendUnaryData<Response>;
}

/** Answers a call: cancellation as a signal, errors as statuses, every call counted once. */
export async function answer<Request, Response>(
  method: string,
  { observer, openCalls }: CallWatch,
  { call, handle, reply }: AnsweredCall<Request, Response>,
): Promise<void> {
  const controller = new AbortController();
  openCalls.add(call);
  let answered = false;
  call.on("cancelled", () => {
    // grpc-js also says so when the stream of an answered call closes.
    if (answered) return;
    controller.abort(
      new ServiceError("CANCELLED", `Cannot finish ${method}: the caller cancelled or its deadline passed`),
    );
  });
  try {
    const response = await handle(call.request, { signal: controller.signal, caller: callerOf(call) });
    answered = true;
    observer.requestEnded(method, controller.signal.aborted ? "CANCELLED" : "OK");
    reply(null, response);
  } catch (error) {
    answered = true;
    const failure = toGrpcError(error, method);
    observer.requestEnded(method, statusName(failure.code ?? status.UNKNOWN));
    reply(failure, null);
  }
}
