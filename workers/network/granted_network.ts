/**
 * Network access for user code, by way of the egress proxy and no other. Loaded before the worker is locked: what it
 * needs is captured here.
 *
 * There is `fetch`, and of `Deno` there is `connect` (TCP), `connectTls` and `startTls`. There is nothing that listens, no
 * UDP, no QUIC, no WebSocket and no EventSource.
 *
 * @module
 */

import { refusalOfResponse, tunnelRefused } from "./refusals.ts";
import { checkedTarget, concealConstructors, type GrantedConnectOptions, openTunnel, refuseOthers } from "./tunnel.ts";

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

/** A pooled connection holds one of few places at the proxy. */
const POOL_IDLE_MS = 5_000;
const POOL_IDLE_PER_HOST = 2;

const { apply, getOwnPropertyDescriptor, ownKeys } = Reflect;
const { freeze } = Object;
const denoFetch = fetch;
const denoStartTls = Deno.startTls;
const denoCreateHttpClient = Deno.createHttpClient;
const NativeRequest = Request;
const NativeUrl = URL;
const requestUrl = getterOf(Request.prototype, "url");
const urlProtocol = getterOf(URL.prototype, "protocol");
const urlHostname = getterOf(URL.prototype, "hostname");
const urlPort = getterOf(URL.prototype, "port");
/** Keys that every object inherits. Deno's requests read some that they lack (`onCancel`): a new one could reach them. */
const INHERITED_KEYS = ownKeys(Object.prototype).length;
const FETCH_CLASSES = [Request, Response, Headers, FormData];

/**
 * Makes the functions that user code is granted. To be called before user code runs, and after `harden.ts` has locked or
 * before; from then on the classes of `fetch` cannot be changed.
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
  const way = { proxyHostname, proxyPort, authorization: `Basic ${btoa(`${user}:${token}`)}` };
  // The setters on these prototypes run in the middle of `fetch`, on the request that holds the client.
  for (const { prototype } of FETCH_CLASSES) freeze(prototype);

  async function grantedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    // All that is the user's is read here; a client of theirs does not come to anything, since the next line sets ours.
    const request = new NativeRequest(input instanceof NativeUrl ? input.href : input, init);
    const url = new NativeUrl(apply(requestUrl, request, []));
    const protocol = apply(urlProtocol, url, []);
    if (protocol === "file:") {
      throw new TypeError("Cannot fetch: file URLs are not offered, import the module or its JSON");
    }
    const ours = { __proto__: null, client } as unknown as RequestInit; // Deno's own extension of RequestInit
    // No code of theirs runs between here and the request's start.
    if (ownKeys(Object.prototype).length !== INHERITED_KEYS) {
      throw new TypeError("Cannot fetch: Object.prototype has been extended");
    }
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
      const connection = await openTunnel(way, { hostname: apply(urlHostname, parsed, []), port });
      connection.close();
      return error;
    } catch (reason) {
      return reason;
    }
  }

  async function connect(options: GrantedConnectOptions): Promise<Deno.TcpConn> {
    return await openTunnel(way, checkedTarget(options, "connect", ["hostname", "port", "transport"]));
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
    const connection = await openTunnel(way, { hostname, port });
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
