/**
 * Network access for user code, by way of the egress proxy and no other. Loaded before the worker is locked: what it
 * needs is captured here.
 *
 * There is `fetch`, and of `Deno` there is `connect` (TCP), `connectTls` and `startTls`. There is nothing that listens, no
 * UDP, no QUIC, no WebSocket and no EventSource.
 *
 * @module
 */

import { refusalOf, refusalOfResponse, tunnelRefused } from "./refusals.ts";

/** How a worker reaches the egress proxy. */
export interface NetworkGrant {
  /** Where the relay in the sandbox host listens. */
  readonly proxyHostname: string;
  readonly proxyPort: number;
  readonly user: string;
  readonly token: string;
  /** Certificates to trust beside those that Deno brings along, in PEM; from the server's configuration. */
  readonly caCerts?: readonly string[];
}

/** Where to connect to. */
export interface GrantedConnectOptions {
  readonly hostname?: string;
  readonly port: number;
  readonly transport?: "tcp";
}

/** Where to connect to with TLS. */
export interface GrantedConnectTlsOptions extends GrantedConnectOptions {
  readonly alpnProtocols?: string[];
}

/** What TLS is spoken with on a connection that is there. */
export interface GrantedStartTlsOptions {
  readonly hostname?: string;
  readonly alpnProtocols?: string[];
}

/** What user code is given. The functions take what Deno's take, but for what is not offered, which throws. */
export interface GrantedNetwork {
  readonly fetch: typeof fetch;
  readonly connect: (options: GrantedConnectOptions) => Promise<Deno.TcpConn>;
  readonly connectTls: (options: GrantedConnectTlsOptions) => Promise<Deno.TlsConn>;
  readonly startTls: (connection: Deno.TcpConn, options?: GrantedStartTlsOptions) => Promise<Deno.TlsConn>;
}

/** Longest answer of the proxy that is read. */
const MAX_ANSWER_BYTES = 16 * 1024;
/** A pooled connection holds one of few places at the proxy. */
const POOL_IDLE_MS = 5_000;
const POOL_IDLE_PER_HOST = 2;

const { apply, getOwnPropertyDescriptor, getPrototypeOf, deleteProperty, ownKeys } = Reflect;
const { freeze } = Object;
const denoFetch = fetch;
const denoConnect = Deno.connect;
const denoStartTls = Deno.startTls;
const denoCreateHttpClient = Deno.createHttpClient;
const NativeRequest = Request;
const NativeUrl = URL;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const { encode } = TextEncoder.prototype;
const { decode } = TextDecoder.prototype;
const toBase64 = btoa;
const requestUrl = getterOf(Request.prototype, "url");
const urlProtocol = getterOf(URL.prototype, "protocol");
const urlHostname = getterOf(URL.prototype, "hostname");
const urlPort = getterOf(URL.prototype, "port");
/** Keys that every object inherits. Deno's `fetch` reads some that its own objects lack: a new one could reach them. */
const INHERITED_KEYS = ownKeys(Object.prototype).length;
const FETCH_CLASSES = [Request, Response, Headers, FormData];

/**
 * Makes the functions that user code is granted. To be called before user code runs, and before `fetch` and the like are
 * removed from the global object; from then on the classes of `fetch` cannot be changed.
 */
export function grantNetwork(grant: NetworkGrant): GrantedNetwork {
  const { proxyHostname, proxyPort, user, token } = grant;
  const caCerts = [...grant.caCerts ?? []];
  const client = denoCreateHttpClient({
    proxy: {
      transport: "http",
      url: `http://${proxyHostname}:${proxyPort}`,
      basicAuth: { username: user, password: token },
    },
    caCerts,
    poolMaxIdlePerHost: POOL_IDLE_PER_HOST,
    poolIdleTimeout: POOL_IDLE_MS,
  });
  const authorization = toBase64(`${user}:${token}`);
  // The setters on these prototypes run in the middle of `fetch`, on the request that holds the client.
  for (const { prototype } of FETCH_CLASSES) freeze(prototype);

  async function grantedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    if (ownKeys(Object.prototype).length !== INHERITED_KEYS) {
      throw new TypeError("Cannot fetch: Object.prototype has been extended");
    }
    // All that is the user's is read here; a client of theirs does not come to anything, since the next line sets ours.
    const request = new NativeRequest(input instanceof NativeUrl ? input.href : input, init);
    const url = new NativeUrl(apply(requestUrl, request, []));
    const protocol = apply(urlProtocol, url, []);
    if (protocol === "file:") {
      throw new TypeError("Cannot fetch: file URLs are not offered, import the module or its JSON");
    }
    const ours = { __proto__: null, client } as unknown as RequestInit; // Deno's own extension of RequestInit
    let response: Response;
    try {
      response = await denoFetch(request, ours);
    } catch (error) {
      const refused = tunnelRefused(error);
      if (refused === undefined) throw error;
      throw await reasonOf(refused, error);
    }
    const refusal = refusalOfResponse(response);
    if (refusal !== undefined) {
      await response.body?.cancel();
      throw refusal;
    }
    return response;
  }

  /** Deno's HTTP client does not say why a tunnel was refused: asks once more, for the reason. */
  async function reasonOf(url: string, error: unknown): Promise<unknown> {
    const parsed = new NativeUrl(url);
    const port = Number(apply(urlPort, parsed, []) || 443);
    try {
      const connection = await openTunnel(apply(urlHostname, parsed, []), port);
      connection.close();
      return error;
    } catch (reason) {
      return reason;
    }
  }

  async function openTunnel(hostname: string, port: number): Promise<Deno.TcpConn> {
    const connection = await denoConnect({ hostname: proxyHostname, port: proxyPort });
    const { read, write, close } = methodsOf(connection);
    try {
      const authority = `${hostname}:${port}`;
      const head = apply(encode, encoder, [
        `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nProxy-Authorization: Basic ${authorization}\r\n\r\n`,
      ]);
      for (let at = 0; at < head.length;) at += await apply(write, connection, [head.subarray(at)]);
      const { status, text } = await readAnswer((buffer) => apply(read, connection, [buffer]));
      if (status !== 200) throw refusalOf(status, `Cannot connect to ${authority}`, text);
      return connection;
    } catch (error) {
      apply(close, connection, []);
      throw error;
    }
  }

  async function connect(options: GrantedConnectOptions): Promise<Deno.TcpConn> {
    const { hostname, port } = checkedTarget(options, "connect", ["hostname", "port", "transport"]);
    return await openTunnel(hostname, port);
  }

  async function startTls(connection: Deno.TcpConn, options: GrantedStartTlsOptions = {}): Promise<Deno.TlsConn> {
    refuseOthers(options, "startTls", ["hostname", "alpnProtocols"]);
    const { hostname, alpnProtocols } = options;
    const secured = await denoStartTls(connection, {
      ...(hostname === undefined ? {} : { hostname }),
      ...(alpnProtocols === undefined ? {} : { alpnProtocols }),
      caCerts,
    });
    concealConstructors(secured);
    return secured;
  }

  async function connectTls(options: GrantedConnectTlsOptions): Promise<Deno.TlsConn> {
    const { hostname, port } = checkedTarget(options, "connectTls", ["hostname", "port", "transport", "alpnProtocols"]);
    const { alpnProtocols } = options;
    const connection = await openTunnel(hostname, port);
    return await startTls(connection, {
      hostname: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
      ...(alpnProtocols === undefined ? {} : { alpnProtocols }),
    });
  }

  return freeze({ fetch: grantedFetch as typeof fetch, connect, connectTls, startTls });
}

/** The one getter of a class, before anybody can replace it. */
function getterOf(prototype: object, name: string): () => string {
  const get = getOwnPropertyDescriptor(prototype, name)?.get;
  if (get === undefined) throw new TypeError(`Cannot capture getter "${name}": there is none`);
  return get;
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
function concealConstructors(connection: object): void {
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
    const count = length + wanted > answer.length ? null : await read(answer.subarray(length, length + wanted));
    if (count === null) throw new Error("Cannot connect: the egress proxy closed the connection");
    length += count;
    wanted = wanted > 4 ? Math.max(wanted - count, missing(answer, length)) : missing(answer, length);
  }
  const status = Number(apply(decode, decoder, [answer.subarray(9, 12)]));
  // A refusal goes on to the end of the connection, and there it may be read in large pieces.
  while (status !== 200 && length < answer.length) {
    const count = await read(answer.subarray(length));
    if (count === null) break;
    length += count;
  }
  return { status, text: apply(decode, decoder, [answer.subarray(0, length)]) };
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
function checkedTarget(
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

function refuseOthers(options: object, name: string, offered: readonly string[]): void {
  for (const key of ownKeys(options)) {
    if (typeof key === "string" && !offered.includes(key)) {
      throw new TypeError(`Cannot ${name}: option "${key}" is not offered in a sandbox`);
    }
  }
}
