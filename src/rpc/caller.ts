/**
 * The one place where calls get their caller: an interceptor that refuses a call before its message is read.
 * @module
 */

import {
  type Metadata,
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from "@grpc/grpc-js";
import { ServiceError } from "../errors.ts";
import { audit, type AuditEventName } from "../execution/audit.ts";
import { ANONYMOUS, type Callers } from "../execution/callers.ts";
import type { Authenticator } from "./authenticator.ts";
import { LogThrottle } from "./log_throttle.ts";
import { statusName, toGrpcError } from "./status.ts";

/** Health checks need no credentials: probes and load balancers have none, and learn nothing but up or down. */
const OPEN_TO_ALL = "/grpc.health.v1.Health/";

const CALLER = Symbol("caller");
interface WithCaller {
  [CALLER]?: string;
}

/** Who calls, for handlers: {@linkcode ANONYMOUS} where nobody has to prove anything. */
export function callerOf({ metadata }: { readonly metadata: Metadata }): string {
  // The interceptor put it there, or did not.
  return (metadata as Metadata & WithCaller)[CALLER] ?? ANONYMOUS;
}

type Refusal = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

/** What the interceptor works with. */
export interface CallerInterceptorOptions {
  readonly authenticator: Authenticator;
  readonly callers: Callers;
  /** Counts calls that are refused here. */
  readonly onRefused: (method: string, status: string) => void;
  /** Counts them for the audit. */
  readonly audited: (event: AuditEventName) => void;
}

/**
 * Authenticates every call and counts it against its caller's rate.
 *
 * @returns `undefined` where there is nothing to do, so that calls pay for nothing
 */
export function callerInterceptor(options: CallerInterceptorOptions): ServerInterceptor | undefined {
  const { authenticator, callers, onRefused, audited } = options;
  const lines = new LogThrottle();
  const writeDown = (error: unknown, { caller, peer }: { readonly caller: string; readonly peer: string }) => {
    if (!(error instanceof ServiceError)) return;
    audited("call_refused");
    lines.log((suppressed) => {
      const others = suppressed === 0 ? "" : ` (${suppressed} more calls since the last such line)`;
      const target = `from ${peer}${others}`;
      audit({ event: "call_refused", caller, taskId: "", rule: error.details.quota ?? error.code, target }, () => {});
    });
  };
  if (!authenticator.required && !callers.limitsRequests) return undefined;
  return ({ path }, call) => {
    if (!path.startsWith(OPEN_TO_ALL)) {
      admitFirst(call, (metadata) => {
        const connection = call.getConnectionInfo();
        let caller = "";
        try {
          caller = authenticator.authenticate({ metadata, connection });
          callers.admitRequest(caller);
          (metadata as Metadata & WithCaller)[CALLER] = caller; // `callerOf` reads it.
          return undefined;
        } catch (error) {
          const method = path.slice(path.lastIndexOf("/") + 1);
          const failure = toGrpcError(error, method);
          onRefused(method, statusName(failure.code ?? status.UNKNOWN));
          writeDown(error, { caller, peer: connection.remoteAddress ?? "an unknown address" });
          return {
            code: failure.code ?? status.UNKNOWN,
            details: failure.details ?? "",
            metadata: failure.metadata ?? null,
          };
        }
      });
    }
    // An interceptor may change the call that it is given instead of wrapping it, which would cost each call 5 closures.
    return call as ServerInterceptingCall;
  };
}

/** Lets `admit` see a call's metadata before its handler does; the handler hears nothing of a call that it refuses. */
function admitFirst(
  call: ServerInterceptingCallInterface,
  admit: (metadata: Metadata) => Refusal | undefined,
): void {
  const start = call.start;
  call.start = (listener) => {
    const onReceiveMetadata = listener.onReceiveMetadata;
    listener.onReceiveMetadata = (metadata) => {
      const refusal = admit(metadata);
      if (refusal === undefined) onReceiveMetadata.call(listener, metadata);
      else call.sendStatus(refusal);
    };
    start.call(call, listener);
  };
}
