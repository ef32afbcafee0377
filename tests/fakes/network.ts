/**
 * Places to connect to.
 * @module
 */

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { CERTIFICATE, PRIVATE_KEY } from "./certificate.ts";

/** An address where nobody listens. */
export function closedAddress(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `127.0.0.1:${listener.addr.port}`;
}

/**
 * TLS in front of a service without it. (grpc-js's own TLS server does not get through a handshake on Deno 2.9.3.)
 */
export class TlsFront implements AsyncDisposable {
  readonly #pipes: Promise<unknown>[] = [];
  readonly #abort = new AbortController();
  readonly #accepting: Promise<void>;

  private constructor(readonly listener: Deno.TlsListener, readonly target: { hostname: string; port: number }) {
    this.#accepting = this.#accept();
  }

  static start(target: string): TlsFront {
    const { hostname, port } = new URL(`http://${target}`);
    const options = { hostname: "127.0.0.1", port: 0, cert: CERTIFICATE, key: PRIVATE_KEY, alpnProtocols: ["h2"] };
    return new TlsFront(Deno.listenTls(options), { hostname, port: Number(port) });
  }

  get address(): string {
    return `127.0.0.1:${(this.listener.addr as Deno.NetAddr).port}`; // listenTls takes no other address.
  }

  async #accept(): Promise<void> {
    while (true) {
      const outer = await this.listener.accept().catch(() => undefined);
      if (outer === undefined) return;
      const inner = await Deno.connect(this.target);
      const { signal } = this.#abort;
      this.#pipes.push(
        outer.readable.pipeTo(inner.writable, { signal }).catch(() => {}),
        inner.readable.pipeTo(outer.writable, { signal }).catch(() => {}),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.close();
    this.#abort.abort();
    await this.#accepting;
    await Promise.all(this.#pipes);
  }
}

/** A listener on loopback that passes bytes on to another one, and counts those that come back. */
export class CountingRelay implements Disposable {
  bytesToClient = 0;
  readonly #sockets = new Set<Socket>();

  private constructor(readonly server: Server) {}

  static async start(target: string): Promise<CountingRelay> {
    const port = Number(target.split(":").at(-1));
    const server = createServer();
    const relay = new CountingRelay(server);
    server.on("connection", (client) => relay.#pass(client, port));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return relay;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`; // It listens on TCP.
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
  }

  #pass(client: Socket, port: number): void {
    const upstream = connect({ host: "127.0.0.1", port });
    upstream.on("data", (bytes) => this.bytesToClient += bytes.length);
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
    }
    client.pipe(upstream).pipe(client);
  }
}
