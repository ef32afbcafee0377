/**
 * Connections that can be cut, which grpc-js offers no way to do.
 * @module
 */

import { createConnection, createServer, type Server, type Socket } from "node:net";

/** Passes connections on to a server, until they are cut. */
export class CutLine implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param port of the server, on 127.0.0.1 */
  static async start(port: number): Promise<CutLine> {
    const server = createServer((near) => {
      const far = createConnection(port, "127.0.0.1");
      for (const [from, to] of [[near, far], [far, near]] as const) {
        line.#sockets.add(from);
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => {
          line.#sockets.delete(from);
          to.destroy();
        });
      }
    });
    const line = new CutLine(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return line;
  }

  /** `host:port` to connect to instead of the server. */
  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new TypeError("Cannot tell address: not listening");
    return `127.0.0.1:${address.port}`;
  }

  /** Destroys all that is connected, and takes nothing more. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
