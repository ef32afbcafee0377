import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { TestClient } from "../support/client.ts";
import { longText } from "../support/hosts.ts";
import { isAlive, until } from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Runs an attack; the service must serve another client during and after it. */
async function survives(
  attack: (server: TestServer, bystander: TestClient) => Promise<void>,
  settings: Record<string, unknown> = {},
): Promise<void> {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "sandbox.probe": false, ...settings },
  });
  using bystander = new TestClient(server.address);
  await serves(bystander);
  await attack(server, bystander);
  await serves(bystander);
  {
    using latecomer = new TestClient(server.address);
    await serves(latecomer);
  }
  assert(isAlive(server.pid));
  assert.equal((await server.stop()).code, 0);
}

async function serves(client: TestClient): Promise<void> {
  const answer = await client.run({ nodeType: "PassThroughNode", input: [1] });
  assert.deepEqual([answer.status, answer.output], [ExecutionStatus.SUCCESS, [1]]);
}

/** Connects, sends, and gives the socket once all is sent. */
async function send(server: TestServer, bytes: Uint8Array | string): Promise<Socket> {
  const socket = connectTcp(server.ready.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", () => {});
  const sent = Promise.withResolvers<void>();
  socket.once("close", () => sent.resolve());
  socket.write(bytes, () => sent.resolve());
  await sent.promise;
  return socket;
}

async function closed(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (socket.closed) return;
  socket.once("close", () => resolve());
  await promise;
}

async function connections(server: TestServer, count: number): Promise<void> {
  const line = `rexec_connections ${count}`;
  await until(line, async () => (await server.metrics()).split("\n").includes(line));
}

Deno.test("2,000 calls one after the other on a connection that then closes", async () => {
  await survives(async (server) => {
    using client = new TestClient(server.address);
    for (let count = 0; count < 2_000; count++) await serves(client);
    client[Symbol.dispose]();
    await connections(server, 1);
  });
});

Deno.test("A connection that is destroyed in the middle of calls", async () => {
  await survives(async (server, bystander) => {
    for (let round = 0; round < 5; round++) {
      await using proxy = await Proxy.start(server.ready.port);
      using client = new TestClient(`127.0.0.1:${proxy.port}`);
      await serves(client);
      const input = longText(5_000);
      const calls = Array.from({ length: 5 }, () => client.start({ nodeType: "TextProcessorNode", input }));
      await until("the calls run", async () => /^rexec_tasks_active [1-9]/m.test(await server.metrics()));
      proxy.cut();
      assert((await Promise.all(calls.map(({ answer }) => answer))).every(({ ok }) => !ok));
      await serves(bystander);
    }
    await connections(server, 1);
  });
});

for (const input of ["HTTP/1.1", "the preface and garbage", "random bytes", "a TLS hello", "nothing"]) {
  Deno.test(`A client that sends ${input} and hangs up`, async () => {
    const random = seededRandom(3);
    const noise = () => Uint8Array.from({ length: 4_000 }, () => Math.floor(random() * 256));
    const bytes = {
      "HTTP/1.1": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "the preface and garbage": PREFACE + "\xff".repeat(5_000),
      "random bytes": noise(),
      "a TLS hello": Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...noise()),
      "nothing": "",
    }[input]!;
    await survives(async (server) => {
      for (let round = 0; round < 10; round++) {
        const socket = await send(server, bytes);
        socket.end();
        socket.destroySoon();
        await closed(socket);
      }
      await connections(server, 1);
    });
  });
}

Deno.test("Connections that are reset, before and after the preface", async () => {
  await survives(async (server) => {
    for (const bytes of ["", PREFACE, PREFACE + "\0\0\0\x04\0\0\0\0\0"]) {
      for (let round = 0; round < 20; round++) {
        const socket = await send(server, bytes);
        socket.resetAndDestroy();
        await closed(socket);
      }
    }
    await connections(server, 1);
  });
});

Deno.test("Connections that stay open and say nothing", async () => {
  await survives(async (server, bystander) => {
    const sockets = await Promise.all(["", PREFACE.slice(0, 10), PREFACE].map((bytes) => send(server, bytes)));
    await serves(bystander);
    for (const socket of sockets) socket.destroy();
    await connections(server, 1);
  });
});

Deno.test("Open connections do not hold up the end of the service", async () => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1, "sandbox.probe": false } });
  const sockets = await Promise.all(["", PREFACE.slice(0, 10), PREFACE].map((bytes) => send(server, bytes)));
  assert.equal((await server.stop()).code, 0);
  await Promise.all(sockets.map(closed));
});

Deno.test("200 connections that are opened, used and closed", async () => {
  await survives(async (server) => {
    for (let round = 0; round < 10; round++) {
      const clients = Array.from({ length: 20 }, () => new TestClient(server.address));
      await Promise.all(clients.map(serves));
      for (const client of clients) client[Symbol.dispose]();
    }
    await connections(server, 1);
  });
});

Deno.test("More connections than are allowed: the next is closed, and its place is free again later", async () => {
  await survives(async (server) => {
    const held = await Promise.all([send(server, PREFACE), send(server, PREFACE)]);
    await connections(server, 3);
    const socket = await send(server, PREFACE);
    await closed(socket);
    for (const one of held) one.destroy();
    await connections(server, 1);
  }, { "server.maxConnections": 3 });
});

/** Passes bytes on in both directions until it is cut. */
class Proxy implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Deno.Conn>();
  readonly #done: Promise<void>;

  private constructor(target: number) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#done = this.#accept(target);
  }

  static start(target: number): Promise<Proxy> {
    return Promise.resolve(new Proxy(target));
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Closes every connection at once. */
  cut(): void {
    for (const connection of this.#open) connection.close();
    this.#open.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await this.#done;
  }

  async #accept(target: number): Promise<void> {
    const running: Promise<unknown>[] = [];
    for await (const client of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: target });
      for (const connection of [client, server]) this.#open.add(connection);
      running.push(pipe(client, server), pipe(server, client));
    }
    await Promise.all(running);
  }
}

/** Copies until either end is closed. */
async function pipe(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  try {
    await from.readable.pipeTo(to.writable);
  } catch {
    // It was cut.
  }
}
