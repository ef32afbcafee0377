/**
 * The listener: accepts sockets itself and hands them to gRPC, because a socket's `bytesWritten` is the only measure
 * of what a client has not read yet.
 * @module
 */

import type { ConnectionInjector } from "@grpc/grpc-js";
import { createServer, type Server, type Socket } from "node:net";
import { setImmediate } from "node:timers";
import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";

const logger = serviceLogger("rpc", "connections");

/** Where to listen, and how many may connect. */
export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly maxConnections: number;
}

/** Open connections and the socket that takes new ones. */
export class ConnectionListener implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Listens, and injects what connects.
   * @throws {ServiceError} `CONFIG_INVALID` when the address cannot be bound, with the setting to change
   */
  static async start(
    { host, port, maxConnections }: ListenOptions,
    injector: ConnectionInjector,
  ): Promise<ConnectionListener> {
    const server = createServer();
    const listener = new ConnectionListener(server);
    server.on("connection", (socket) => listener.#accept(socket, maxConnections, injector));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(port, host, resolve);
    try {
      await promise;
    } catch (cause) {
      throw new ServiceError(
        "CONFIG_INVALID",
        `Cannot listen on "${host}:${port}": ${
          messageOf(cause)
        }; set GRPC_PORT (server.port) or GRPC_HOST (server.host) to another`,
        { cause },
      );
    }
    server.off("error", reject);
    server.on("error", (error) => logger.error("Cannot accept connections: {error}", { error: error.message }));
    return listener;
  }

  /** The port in use, also when 0 was asked for. */
  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new TypeError("Cannot tell port: not listening");
    return address.port;
  }

  /** Open connections. */
  get count(): number {
    return this.#sockets.size;
  }

  /** Takes no more connections; open ones go on. */
  stopAccepting(): void {
    this.#server.close();
  }

  /** Closes everything at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }

  #accept(socket: Socket, maxConnections: number, injector: ConnectionInjector): void {
    if (this.#sockets.size >= maxConnections) {
      logger.warn("Connection from {peer} refused: {count} are open, server.maxConnections is {maxConnections}", {
        peer: socket.remoteAddress,
        count: this.#sockets.size,
        maxConnections,
      });
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    // A client that goes away without a word is no fault of the service's.
    socket.on("error", (error) => logger.debug("Connection failed: {error}", { error: error.message }));
    socket.on("close", () => this.#sockets.delete(socket));
    socket.setNoDelay(true);
    batchWrites(socket);
    injector.injectConnection(socket);
  }
}

/**
 * Lets what HTTP/2 writes within one turn of the event loop go out with one system call. It writes the head, the
 * message and the trailers of every answer apart, and answers tend to come in batches; the writes were a quarter of
 * the server's time.
 */
function batchWrites(socket: Socket): void {
  let corked = false;
  const uncork = () => {
    corked = false;
    socket.uncork();
  };
  // The trailers are written by an immediate of HTTP/2's own; a second one comes after it.
  const uncorkAfterTrailers = () => void setImmediate(uncork);
  const write = socket.write;
  const batched = (...args: unknown[]) => {
    if (!corked) {
      corked = true;
      socket.cork();
      setImmediate(uncorkAfterTrailers);
    }
    return Reflect.apply(write, socket, args);
  };
  // Defined rather than assigned, for the type of `write` lists overloads that a function which passes all on cannot have.
  Object.defineProperty(socket, "write", { value: batched, configurable: true, writable: true });
}
