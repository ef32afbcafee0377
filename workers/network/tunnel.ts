/**
 * TCP connections by way of the egress proxy: `CONNECT` (RFC 9110 §9.3.6), and what must be checked before. Loaded before
 * the worker is locked.
 *
 * @module
 */

import { refusalOf } from "./refusals.ts";

/** Where to connect to. */
export interface GrantedConnectOptions {
  readonly hostname?: string;
  readonly port: number;
  readonly transport?: "tcp";
}

/** How to reach the egress proxy. */
export interface ProxyWay {
  readonly proxyHostname: string;
  readonly proxyPort: number;
  /** The task's credentials, as `Proxy-Authorization` has them. */
  readonly authorization: string;
}

/** Longest answer of the proxy that is read. */
const MAX_ANSWER_BYTES = 16 * 1024;

/** Captured: what it is called on holds the token. */
const { subarray } = Uint8Array.prototype;
const { apply, getOwnPropertyDescriptor, getPrototypeOf, deleteProperty, ownKeys } = Reflect;
const denoConnect = Deno.connect;
const NativeUrl = URL;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const { encode } = TextEncoder.prototype;
const { decode } = TextDecoder.prototype;
const urlHostname = getOwnPropertyDescriptor(URL.prototype, "hostname")?.get as () => string; // every URL has one

/** Connects to a target that {@linkcode checkedTarget} gave. @throws the proxy's reason when it does not */
export async function openTunnel(
  { proxyHostname, proxyPort, authorization }: ProxyWay,
  { hostname, port }: { readonly hostname: string; readonly port: number },
): Promise<Deno.TcpConn> {
  const connection = await denoConnect({ hostname: proxyHostname, port: proxyPort });
  const { read, write, close } = methodsOf(connection);
  try {
    const authority = `${hostname}:${port}`;
    const head = apply(encode, encoder, [
      `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: ${authorization}\r\n\r\n`,
    ]);
    for (let at = 0; at < head.length;) at += await apply(write, connection, [apply(subarray, head, [at])]);
    const { status, text } = await readAnswer((buffer) => apply(read, connection, [buffer]));
    if (status !== 200) throw refusalOf(status, `Cannot connect to ${authority}`, text);
    return connection;
  } catch (error) {
    apply(close, connection, []);
    throw error;
  }
}

interface Methods {
  readonly read: (buffer: Uint8Array) => Promise<number | null>;
  readonly write: (bytes: Uint8Array) => Promise<number>;
  readonly close: () => void;
}
let methods: Methods | undefined;

/** Taken from the first connection, which user code has not seen yet. */
function methodsOf(connection: Deno.TcpConn): Methods {
  if (methods === undefined) {
    const { read, write, close } = connection;
    methods = { read, write, close };
    concealConstructors(connection);
  }
  return methods;
}

/** The classes take the number of any resource of the worker: nobody may make an object of them. */
export function concealConstructors(connection: object): void {
  for (let at = getPrototypeOf(connection); at !== null && at !== Object.prototype; at = getPrototypeOf(at)) {
    deleteProperty(at, "constructor");
  }
}

/**
 * Reads the proxy's answer to `CONNECT` and not one byte more, which would be the server's: never more than what must
 * still come before the head can end.
 */
async function readAnswer(
  read: (buffer: Uint8Array) => Promise<number | null>,
): Promise<{ status: number; text: string }> {
  const answer = new Uint8Array(MAX_ANSWER_BYTES);
  let length = 0;
  let wanted = "HTTP/1.1 200 \r\n\r\n".length;
  while (wanted > 0) {
    const count = length + wanted > answer.length
      ? null
      : await read(apply(subarray, answer, [length, length + wanted]));
    if (count === null) throw new Error("Cannot connect: the egress proxy closed the connection");
    length += count;
    wanted = wanted > 4 ? Math.max(wanted - count, missing(answer, length)) : missing(answer, length);
  }
  const status = Number(apply(decode, decoder, [apply(subarray, answer, [9, 12])]));
  // A refusal goes on to the end of the connection, and there it may be read in large pieces.
  while (status !== 200 && length < answer.length) {
    const count = await read(apply(subarray, answer, [length]));
    if (count === null) break;
    length += count;
  }
  return { status, text: apply(decode, decoder, [apply(subarray, answer, [0, length])]) };
}

/** How many of the four bytes that end a head are still to come. */
function missing(bytes: Uint8Array, length: number): number {
  const END = [13, 10, 13, 10];
  for (let have = 4; have > 0; have--) {
    if (length >= have && END.slice(0, have).every((byte, index) => bytes[length - have + index] === byte)) {
      return 4 - have;
    }
  }
  return 4;
}

/** The host as URLs write it: nothing of it can end the line that it stands in. */
export function checkedTarget(
  options: GrantedConnectOptions,
  name: string,
  offered: readonly string[],
): { hostname: string; port: number } {
  refuseOthers(options, name, offered);
  const { hostname = "127.0.0.1", port, transport = "tcp" } = options;
  if (transport !== "tcp") {
    throw new TypeError(`Cannot ${name}: transport "${String(transport)}" is not offered, only "tcp"`);
  }
  if (typeof port !== "number" || !(port >= 1 && port <= 65_535) || port % 1 !== 0) {
    throw new TypeError(`Cannot ${name}: port "${String(port)}" is not between 1 and 65535`);
  }
  const text = String(hostname);
  if (!/^[^\s/?#@\\:[\]]+$|^\[?[0-9A-Fa-f:.]+\]?$/.test(text)) {
    throw new TypeError(`Cannot ${name}: "${text}" is no host name or address`);
  }
  const url = new NativeUrl(`http://${text.includes(":") && !text.startsWith("[") ? `[${text}]` : text}/`);
  return { hostname: apply(urlHostname, url, []), port };
}

/** @throws {TypeError} for an option that is not offered, rather than to ignore it */
export function refuseOthers(options: object, name: string, offered: readonly string[]): void {
  for (const key of ownKeys(options)) {
    if (typeof key === "string" && !offered.includes(key)) {
      throw new TypeError(`Cannot ${name}: option "${key}" is not offered in a sandbox`);
    }
  }
}
