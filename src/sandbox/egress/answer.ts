/**
 * What the egress proxy says when there is no connection.
 * @module
 */

/** Why there is none. */
export interface Refusal {
  readonly status: 400 | 403 | 407 | 408 | 429 | 431 | 502 | 504;
  /** Error types of RFC 9209 §2.3. */
  readonly code: string;
  /** For the task: what was wrong, and where. */
  readonly reason: string;
}

const STATUS_TEXT: Readonly<Record<Refusal["status"], string>> = {
  400: "Bad Request",
  403: "Forbidden",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  502: "Bad Gateway",
  504: "Gateway Timeout",
};

/** What `CONNECT` is answered with when the tunnel stands (RFC 9110 §9.3.6). */
export const TUNNEL_OPEN = new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n");

/** A whole response: the reason as JSON, and in `Proxy-Status` (RFC 9209), by which our client knows that it is ours. */
export function refusalResponse({ status, code, reason }: Refusal): Uint8Array {
  const body = JSON.stringify({ error: code, reason });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_TEXT[status]}`,
    "Content-Type: application/json",
    `Content-Length: ${new TextEncoder().encode(body).length}`,
    `Proxy-Status: rexec-egress; error=${code}; details=${structuredString(reason)}`,
    ...(status === 407 ? ['Proxy-Authenticate: Basic realm="rexec-egress"'] : []),
    "Connection: close",
  ];
  return new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body}`);
}

/** RFC 8941 §3.3.3: printable ASCII, quotes and backslashes escaped. */
function structuredString(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}
