/**
 * What the egress proxy says when it refuses, as errors for user code.
 * @module
 */

const { PermissionDenied, ConnectionRefused, TimedOut } = Deno.errors;
const { get } = Headers.prototype;
const responseHeaders = Object.getOwnPropertyDescriptor(Response.prototype, "headers")?.get;
const { apply } = Reflect;

/** How the proxy marks its own answers (RFC 9209); a server that says the same only makes its own answers fail. */
const PROXY_STATUS = /^rexec-egress; error=[a-z_]+; details="((?:[^"\\]|\\.)*)"/;

/** @param text The proxy's answer, or its `Proxy-Status` */
export function refusalOf(status: number, action: string, text: string): Error {
  const details = /rexec-egress; error=[a-z_]+; details="((?:[^"\\]|\\.)*)"/.exec(text)?.[1];
  const reason = details?.replace(/\\(.)/g, "$1") ?? `the egress proxy answered ${status}`;
  const message = `${action}: ${reason}`;
  switch (status) {
    // The policy's word: the same class as Deno's own denials.
    case 403:
      return new PermissionDenied(message);
    case 408:
    case 504:
      return new TimedOut(message);
    default:
      return new ConnectionRefused(message);
  }
}

/** The error that an answer of the proxy to a plain HTTP request stands for, if it is one. */
export function refusalOfResponse(response: Response): Error | undefined {
  if (responseHeaders === undefined) return undefined;
  const text: unknown = apply(get, apply(responseHeaders, response, []), ["proxy-status"]);
  if (typeof text !== "string" || !PROXY_STATUS.test(text)) return undefined;
  return refusalOf(response.status, `Cannot fetch ${response.url}`, text);
}

/** The URL whose tunnel was refused, if that is what an error of Deno's HTTP client says. */
export function tunnelRefused(error: unknown): string | undefined {
  if (!(error instanceof TypeError)) return undefined;
  const message = error.cause instanceof Error ? error.cause.message : error.message;
  return /unsuccessful tunnel/.test(message) ? /for url \((https:[^\s)]+)\)/.exec(message)?.[1] : undefined;
}
