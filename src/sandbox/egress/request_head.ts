/**
 * The one request that a client of the egress proxy may send on a connection: `CONNECT host:port` (RFC 9110 §9.3.6), or
 * one for an `http:` resource in absolute form (RFC 9112 §3.2.2). Read strictly: what two parsers could read in two ways
 * is refused.
 *
 * @module
 */

import { parseTarget, type Target, targetText } from "./rules.ts";

/** How the body of a request ends. */
export type BodyLength = { readonly kind: "bytes"; readonly bytes: number } | { readonly kind: "chunked" };

/** What a client asks for. */
export type ProxyRequest =
  & { readonly target: Target; readonly credentials: string | undefined }
  & (
    | { readonly kind: "tunnel" }
    /** The head to send to the server, in origin form, and how many bytes of body follow it. */
    | { readonly kind: "forward"; readonly head: Uint8Array; readonly body: BodyLength }
  );

/** A head that cannot be read; the message says why. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
}

/** Fields of one connection (RFC 9110 §7.6.1), which are not passed on, and those that this proxy writes itself. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  "connection",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "upgrade",
]);
/** What frames the message or names its target stays, whatever `Connection` says of it. */
const NEVER_DROPPED: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Where a head ends in the bytes read so far: the offset behind its empty line, or -1. */
export function headEnd(bytes: Uint8Array): number {
  for (let at = 0; at + 3 < bytes.length; at++) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at + 4;
  }
  return -1;
}

/**
 * Reads a head.
 *
 * @param bytes The request line and fields, with the empty line behind them
 * @throws {BadRequest} when it is not well formed
 */
export function parseRequestHead(bytes: Uint8Array): ProxyRequest {
  // One character for each octet: nothing is decoded, and nothing can turn into a delimiter.
  const [requestLine = "", ...lines] = latin1(bytes.subarray(0, -4)).split("\r\n");
  const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP\/1\.1$/.exec(requestLine);
  if (match === null) throw new BadRequest("the request line is not METHOD target HTTP/1.1");
  const [, method = "", text = ""] = match;
  const fields = lines.map(parseField);
  const credentials = oneValue(fields, "proxy-authorization");
  if (method === "CONNECT") {
    const target = parseTarget(text);
    if (target === undefined) throw new BadRequest("the target of CONNECT is not host:port");
    return { kind: "tunnel", target, credentials };
  }
  const absolute = /^http:\/\/([^/?#]*)(\/[^#]*|\?[^#]*)?$/i.exec(text);
  if (absolute === null) throw new BadRequest("the target is not an http:// URL; use CONNECT for anything else");
  const [, authority = "", path = ""] = absolute;
  const target = parseTarget(authority, 80);
  if (target === undefined) throw new BadRequest("the URL's authority is not host or host:port");
  const body = bodyLength(fields);
  return { kind: "forward", target, credentials, body, head: forwardedHead(method, path, target, fields) };
}

interface Field {
  readonly name: string;
  readonly value: string;
}

function parseField(line: string): Field {
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(0, colon));
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
  // No folded lines, no space before the colon, no lone CR or LF, no NUL (RFC 9112 §5, RFC 9110 §5.5).
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  if (!TOKEN.test(name) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value)) throw new BadRequest("a field line is malformed");
  return { name, value };
}

function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter((field) => field.name.toLowerCase() === name).map(({ value }) => value);
}

function oneValue(fields: readonly Field[], name: string): string | undefined {
  const values = valuesOf(fields, name);
  if (values.length > 1) throw new BadRequest(`there is more than one ${name}`);
  return values[0];
}

/** RFC 9112 §6: one of two ways to say how long the body is, never both. */
function bodyLength(fields: readonly Field[]): BodyLength {
  const length = oneValue(fields, "content-length");
  const coding = oneValue(fields, "transfer-encoding");
  if (coding !== undefined) {
    if (length !== undefined) throw new BadRequest("there are both content-length and transfer-encoding");
    if (coding.toLowerCase() !== "chunked") throw new BadRequest("transfer-encoding is not chunked");
    return { kind: "chunked" };
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new BadRequest("content-length is no number");
  return { kind: "bytes", bytes: Number(length ?? 0) };
}

/** The head in origin form. `Host` follows from the target, whatever the client's said (RFC 9112 §3.2.2). */
function forwardedHead(method: string, path: string, target: Target, fields: readonly Field[]): Uint8Array {
  const named = valuesOf(fields, "connection").flatMap((value) => value.toLowerCase().split(/[ \t]*,[ \t]*/));
  const dropped = new Set([...NOT_FORWARDED, ...named.filter((name) => !NEVER_DROPPED.has(name))]);
  const kept = fields.filter(({ name }) => !dropped.has(name.toLowerCase()));
  const host = target.port === 80 ? targetText(target).replace(/:80$/, "") : targetText(target);
  const originForm = path.startsWith("/") ? path : `/${path}`;
  const head = [
    `${method} ${originForm} HTTP/1.1`,
    `Host: ${host}`,
    ...kept.map(({ name, value }) => `${name}: ${value}`),
    "Via: 1.1 rexec-egress",
    // One request on a connection: the next one is checked anew.
    "Connection: close",
  ];
  return Uint8Array.from(`${head.join("\r\n")}\r\n\r\n`, (character) => character.charCodeAt(0));
}

/** One character for each octet, as `TextDecoder("latin1")` does not: that is windows-1252. */
function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
