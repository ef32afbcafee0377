/**
 * The listener: accepts sockets itself, secures them where TLS is on, and hands them to gRPC, because a socket's
 * `bytesWritten` is the only measure of what a client has not read yet.
 * @module
 */

import type { ConnectionInjector } from "@grpc/grpc-js";
import { createServer, type Server, type Socket } from "node:net";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import type { ServerOptions } from "../config/schema.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { batchWrites } from "./batch_writes.ts";
import { LogThrottle } from "./log_throttle.ts";
import { ConnectionFlow } from "./streams/connection_flow.ts";
import { callerOfCertificate, createTlsServer, type TlsFiles } from "./tls.ts";

const logger = serviceLogger("rpc", "connections");

/** Bytes with which every client opens HTTP/2: the preface and the head of a SETTINGS frame (RFC 9113, 3.4). */
const OPENING_BYTES = 24 + 9;

/** A socket that is bound already, as `net.Server.listen()` takes it: one that a supervisor keeps open. */
export type BoundSocket = object;

/** Where to listen, and how many may connect. */
export interface ListenOptions
  extends Pick<ServerOptions, "host" | "port" | "maxConnections" | "maxConnectionsPerPeer" | "handshakeTimeoutMs"> {
  /** Listened on instead of host and port. Whoever bound it keeps a descriptor, so that closing it here closes no queue. */
  readonly socket?: BoundSocket | undefined;
}

/** The two ends of a connection, which no other connection has at the same time. */
export interface ConnectionEnds {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** An accepted socket, from its first byte to its last. */
interface Connection {
  readonly raw: Socket;
  /** Its two ends. */
  readonly key: string;
  readonly peer: string;
  /** What HTTP/2 speaks over, once it does: the raw socket, or the one that TLS made of it. */
  http2: Socket | undefined;
  /** Resolves when it does, or is gone. */
  readonly secured: PromiseWithResolvers<void>;
  /** What its client has not taken yet. */
  flow: ConnectionFlow | undefined;
  readonly openingTimer: ReturnType<typeof setTimeout>;
}

/** Open connections and the sockets that take new ones. */
export class ConnectionListener implements AsyncDisposable {
  readonly #options: ListenOptions;
  /** The first is the one that it was started with. */
  readonly #servers: Server[] = [];
  readonly #injector: ConnectionInjector;
  readonly #tls: TlsServer | undefined;
  /** By their ends, which is how calls and secured sockets find them. */
  readonly #connections = new Map<string, Connection>();
  readonly #perPeer = new Map<string, number>();
  /** Callers that their connection's certificate names. */
  readonly #callers = new Map<string, string>();
  readonly #refusals = new LogThrottle();
  readonly #failures = new LogThrottle();

  private constructor(options: ListenOptions, injector: ConnectionInjector, tls: TlsFiles | undefined) {
    this.#options = options;
    this.#injector = injector;
    this.#tls = tls === undefined ? undefined : createTlsServer(tls, options.handshakeTimeoutMs);
    this.#tls?.on("secureConnection", (socket) => this.#onSecured(socket));
    this.#tls?.on("tlsClientError", (error, socket) => this.#onTlsFailed(error, socket));
  }

  /**
   * Listens, and injects what connects.
   * @param tls absent for connections in the clear
   * @throws {ServiceError} `CONFIG_INVALID` when the address cannot be bound, with the setting to change
   */
  static async start(
    options: ListenOptions,
    injector: ConnectionInjector,
    tls?: TlsFiles,
  ): Promise<ConnectionListener> {
    const listener = new ConnectionListener(options, injector, tls);
    await listener.listenOn(options.socket);
    return listener;
  }

  /**
   * Listens on one more socket, until it takes no more connections at all.
   * @param socket absent for host and port
   * @throws {ServiceError} as {@linkcode start}
   */
  async listenOn(socket: BoundSocket | undefined): Promise<void> {
    const { host, port } = this.#options;
    const server = createServer((connection) => this.#accept(connection));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    if (socket === undefined) server.listen(port, host, resolve);
    else server.listen(socket, resolve);
    try {
      await promise;
    } catch (cause) {
      throw cannotListen(host, port, messageOf(cause), { cause });
    }
    server.off("error", reject);
    server.on("error", (error) => logger.error("Cannot accept connections: {error}", { error: error.message }));
    this.#servers.push(server);
  }

  /** The port in use, also when 0 was asked for. */
  get port(): number {
    const address = this.#servers[0]?.address() ?? null;
    if (address === null || typeof address === "string") throw new TypeError("Cannot tell port: not listening");
    return address.port;
  }

  /** Open connections. */
  get count(): number {
    return this.#connections.size;
  }

  /** The caller that the certificate of an open connection names. */
  callerOf(ends: ConnectionEnds): string | undefined {
    return this.#callers.get(keyOf(ends));
  }

  /** What the client of an open connection has not taken yet. */
  flowOf(ends: ConnectionEnds): ConnectionFlow | undefined {
    return this.#connections.get(keyOf(ends))?.flow;
  }

  /** Takes no more connections; open ones go on. */
  stopAccepting(): void {
    for (const server of this.#servers) server.close();
  }

  /** Resolves when every connection has spoken HTTP/2 or is gone; with a secure one it takes a while. */
  async opened(): Promise<void> {
    const opening = [...this.#connections.values()].filter(({ http2 }) => http2 === undefined);
    await Promise.all(opening.map(({ secured }) => secured.promise));
  }

  /** Closes everything at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const { raw, http2, openingTimer } of this.#connections.values()) {
      clearTimeout(openingTimer);
      http2?.destroy();
      raw.destroy();
    }
    await Promise.all(closed);
  }

  #accept(raw: Socket): void {
    const peer = raw.remoteAddress;
    const key = keyOf(raw);
    // It is gone already; or its ends are those of one that is gone, which is not yet known here.
    if (peer === undefined || this.#connections.has(key)) {
      raw.destroy();
      return;
    }
    const refusal = this.#refusal(peer);
    if (refusal !== undefined) {
      this.#refusals.log((suppressed) =>
        logger.warn("Connection from {peer} refused: {refusal}", { peer, refusal, suppressed })
      );
      raw.destroy();
      return;
    }
    const openingTimer = setTimeout(() => this.#closeUnlessOpened(connection), this.#options.handshakeTimeoutMs);
    const connection: Connection = {
      raw,
      key,
      peer,
      http2: undefined,
      secured: Promise.withResolvers(),
      flow: undefined,
      openingTimer,
    };
    this.#connections.set(key, connection);
    this.#perPeer.set(peer, (this.#perPeer.get(peer) ?? 0) + 1);
    // A client that goes away without a word is no fault of the service's.
    raw.on("error", (error) => logger.debug("Connection failed: {error}", { error: error.message }));
    raw.on("close", () => this.#forget(connection));
    raw.setNoDelay(true);
    if (this.#tls === undefined) this.#inject(connection, raw);
    else this.#tls.emit("connection", raw);
  }

  #refusal(peer: string): string | undefined {
    const { maxConnections, maxConnectionsPerPeer } = this.#options;
    const open = this.#connections.size;
    if (open >= maxConnections) return `${open} are open, server.maxConnections is ${maxConnections}`;
    const ofPeer = this.#perPeer.get(peer) ?? 0;
    if (ofPeer < maxConnectionsPerPeer) return undefined;
    return `${ofPeer} from there are open, server.maxConnectionsPerPeer is ${maxConnectionsPerPeer}`;
  }

  #inject(connection: Connection, socket: Socket): void {
    connection.http2 = socket;
    const flow = new ConnectionFlow(socket);
    connection.flow = flow;
    batchWrites(socket, (bytes) => flow.observe(bytes));
    this.#injector.injectConnection(socket);
    connection.secured.resolve();
  }

  #onSecured(socket: TLSSocket): void {
    // Both sockets have the same ends.
    const connection = this.#connections.get(keyOf(socket));
    socket.on("error", (error) => logger.debug("Connection failed: {error}", { error: error.message }));
    // Clients that name no protocol get past the negotiation.
    if (connection === undefined || socket.alpnProtocol !== "h2") {
      socket.destroy();
      return;
    }
    const caller = callerOfCertificate(socket);
    if (caller !== undefined) this.#callers.set(connection.key, caller);
    socket.once("close", () => connection.raw.destroy());
    this.#inject(connection, socket);
  }

  #onTlsFailed(error: Error, socket: Socket): void {
    const peer = socket?.remoteAddress;
    this.#failures.log((suppressed) =>
      logger.warn("TLS handshake with {peer} failed: {error}", { peer, error: error.message, suppressed })
    );
    socket?.destroy();
  }

  #closeUnlessOpened(connection: Connection): void {
    if ((connection.http2?.bytesRead ?? 0) >= OPENING_BYTES) return;
    logger.debug("Connection from {peer} closed: it was not open within server.handshakeTimeoutMs", {
      peer: connection.peer,
    });
    connection.http2?.destroy();
    connection.raw.destroy();
  }

  #forget(connection: Connection): void {
    if (!this.#connections.delete(connection.key)) return;
    this.#callers.delete(connection.key);
    connection.secured.resolve();
    clearTimeout(connection.openingTimer);
    const left = (this.#perPeer.get(connection.peer) ?? 1) - 1;
    if (left > 0) this.#perPeer.set(connection.peer, left);
    else this.#perPeer.delete(connection.peer);
  }
}

/** The error of an address that cannot be listened on. */
export function cannotListen(host: string, port: number, why: string, options?: ErrorOptions): ServiceError {
  return new ServiceError(
    "CONFIG_INVALID",
    `Cannot listen on "${host}:${port}": ${why}; ` +
      "set GRPC_PORT (server.port) or GRPC_HOST (server.host) to another",
    options,
  );
}

function keyOf({ localAddress, localPort, remoteAddress, remotePort }: ConnectionEnds): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
