import assert from "node:assert/strict";
import { startEgressRelay } from "../../workers/network/relay.ts";
import { TestFolder } from "../fakes/folder.ts";
import { echo, readToEnd, TestServer, writeText } from "../support/egress.ts";

function connectTo(port: number): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port });
}

/** A server on a Unix socket. */
function unixServer(socketPath: string): TestServer {
  const listener = Deno.listen({ transport: "unix", path: socketPath });
  // The server only accepts and closes, which both kinds of listener do.
  return new TestServer(echo, listener as unknown as Deno.Listener<Deno.TcpConn, Deno.NetAddr>);
}

Deno.test("startEgressRelay() carries bytes to the socket and back, each way to its own end", async () => {
  await using folder = await TestFolder.make();
  const socketPath = folder.file("proxy.sock");
  await using _server = unixServer(socketPath);
  const relay = startEgressRelay({ socketPath, hostname: "127.0.0.1", maxConnections: 4 });
  const texts = await Promise.all(["one", "two", "x".repeat(1_000_000)].map(async (text) => {
    using connection = await connectTo(relay.port);
    const writing = writeText(connection, text).then(() => connection.closeWrite());
    const got = await readToEnd(connection);
    await writing;
    return got === text;
  }));
  assert.deepEqual(texts, [true, true, true]);
  await relay.close();
});

Deno.test("startEgressRelay() lets connections above its limit wait", async () => {
  await using folder = await TestFolder.make();
  const socketPath = folder.file("proxy.sock");
  await using server = unixServer(socketPath);
  const relay = startEgressRelay({ socketPath, hostname: "127.0.0.1", maxConnections: 1 });
  const first = await connectTo(relay.port);
  await writeText(first, "a");
  await first.read(new Uint8Array(1));
  using second = await connectTo(relay.port);
  await writeText(second, "b");
  assert.equal(server.connections, 1);
  first.close();
  assert.equal(await second.read(new Uint8Array(1)), 1);
  assert.equal(server.connections, 2);
  await relay.close();
  await relay.close();
});

Deno.test("startEgressRelay() closes a connection when nobody listens on the socket", async () => {
  await using folder = await TestFolder.make();
  const relay = startEgressRelay({ socketPath: folder.file("none.sock"), hostname: "127.0.0.1", maxConnections: 1 });
  for (let count = 0; count < 3; count++) {
    using connection = await connectTo(relay.port);
    assert.equal(await readToEnd(connection), "");
  }
  await relay.close();
});
