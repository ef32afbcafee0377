import { type ConnectionInjector, Server, ServerCredentials, status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import http2 from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { ServerOptions } from "../../src/config/mod.ts";
import { ServiceError } from "../../src/errors.ts";
import { ConnectionListener, type ListenOptions } from "../../src/rpc/connections.ts";
import { loadTls } from "../../src/rpc/tls.ts";
import { createToken, writeTokenFile } from "../../src/rpc/token_file.ts";
import { rexec } from "../fakes/cli.ts";
import { listNodes, tlsBytes, tlsCredentials, tlsFile } from "../support/secure.ts";
import { startTestServer } from "../support/server.ts";

const SMALL = { "sandbox.probe": false, "pool.maxWorkers": 1 };
const SERVER_TLS = { "server.tls.certFile": tlsFile("server.pem"), "server.tls.keyFile": tlsFile("server.key") };
const NOW = Date.parse("2030-01-01T00:00:00Z");

/** Resolves when a socket has closed, whatever the reason. */
function closed(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  socket.resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

function tlsOptions(files: Partial<ServerOptions["tls"]>): ServerOptions["tls"] {
  return ServerOptions.parse({
    tls: { certFile: tlsFile("server.pem"), keyFile: tlsFile("server.key"), ...files },
  }).tls;
}

const FILES: readonly (readonly [what: string, files: Partial<ServerOptions["tls"]>, message: RegExp])[] = [
  ["no certificate", { certFile: "/none.pem" }, /"\/none\.pem" \(server\.tls\.certFile\): there is no such file/],
  ["a key for a certificate", { certFile: tlsFile("server.key") }, /certFile\): it holds no PEM certificate/],
  ["a certificate for a key", { keyFile: tlsFile("server.pem") }, /keyFile\): it holds no PEM private key/],
  ["another's key", { keyFile: tlsFile("client.key") }, /client\.key" \(server\.tls\.keyFile\) is not that of/],
  ["a key for an authority", { clientCaFile: tlsFile("server.key") }, /clientCaFile\): it holds no PEM certificate/],
];

for (const [what, files, message] of FILES) {
  Deno.test(`loadTls() refuses ${what}`, () => {
    assert.throws(() => loadTls(tlsOptions(files), NOW), (error) => {
      assert(error instanceof ServiceError && error.code === "CONFIG_INVALID");
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("loadTls() takes what fits together, out of date too", () => {
  assert.equal(loadTls(ServerOptions.parse({}).tls, NOW), undefined);
  assert.equal(loadTls(tlsOptions({}), NOW)?.ca, undefined);
  assert.notEqual(loadTls(tlsOptions({ clientCaFile: tlsFile("ca.pem") }), NOW + 1e13)?.ca, undefined);
});

Deno.test("The service with client certificates takes callers by their names", async (t) => {
  await using server = await startTestServer({
    settings: {
      ...SMALL,
      ...SERVER_TLS,
      "server.tls.clientCaFile": tlsFile("ca.pem"),
      "policy.callers": {
        "build-farm": { maxRequestsPerSecond: 0.000_001 },
        "spiffe://example.org/worker": { maxRequestsPerSecond: 0.000_002 },
      },
    },
  });
  const address = `localhost:${server.ready.port}`;

  for (const client of ["client", "client_uri"]) {
    await t.step(`${client}: its name is the caller's`, async () => {
      const first = await listNodes(address, { channel: tlsCredentials(client) });
      assert(first.ok, JSON.stringify(first));
      const second = await listNodes(address, { channel: tlsCredentials(client) });
      assert(!second.ok);
      assert.equal(second.code, status.RESOURCE_EXHAUSTED);
      const name = client === "client" ? "build-farm" : "spiffe://example.org/worker";
      assert(second.details.includes(`caller "${name}"`), second.details);
      assert.match(String(second.metadata.get("grpc-retry-pushback-ms")[0]), /^\d+$/);
    });
  }

  for (const client of ["client_two_names", "client_odd_name"]) {
    await t.step(`${client}: names nobody`, async () => {
      const end = await listNodes(address, { channel: tlsCredentials(client) });
      assert(!end.ok);
      assert.equal(end.code, status.UNAUTHENTICATED);
    });
  }

  // Plain sockets, since a client of grpc-js that cannot connect leaves its timers behind.
  const h2 = { ALPNProtocols: ["h2"] };
  const good = { cert: tlsBytes("client.pem"), key: tlsBytes("client.key") };
  const refused: readonly (readonly [what: string, options: ConnectionOptions])[] = [
    ["no certificate", h2],
    ["a certificate of another authority", {
      ...h2,
      cert: tlsBytes("stranger.pem"),
      key: tlsBytes("stranger.key"),
    }],
    ["HTTP/1.1 only", { ...good, ALPNProtocols: ["http/1.1"] }],
    ["no protocol", good],
  ];
  for (const [what, options] of refused) {
    await t.step(`gives no connection to a client with ${what}`, async () => {
      const socket = connectTls({
        ...options,
        port: server.ready.port,
        host: "localhost",
        ca: tlsBytes("ca.pem"),
      });
      let said = 0;
      socket.on("data", ({ length }: Uint8Array) => said += length);
      await closed(socket);
      assert.equal(said, 0);
    });
  }

  await t.step("serves the next all the same", async () => {
    const end = await listNodes(address, { channel: tlsCredentials("client") });
    assert(!end.ok && end.code === status.RESOURCE_EXHAUSTED);
  });
});

Deno.test("The service with TLS and tokens", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const { token, record } = createToken("ci", { now: Date.now(), expiresAt: undefined });
    writeTokenFile(`${folder}/tokens.yaml`, [record]);
    await using server = await startTestServer({
      settings: { ...SMALL, ...SERVER_TLS, "auth.tokensFile": `${folder}/tokens.yaml` },
    });
    const address = `localhost:${server.ready.port}`;

    await t.step("a call with a token", async () => {
      const headers = { authorization: `Bearer ${token}` };
      assert((await listNodes(address, { channel: tlsCredentials(), headers })).ok);
    });

    await t.step("a certificate is not asked for and counts nothing", async () => {
      const end = await listNodes(address, { channel: tlsCredentials("client") });
      assert(!end.ok && end.code === status.UNAUTHENTICATED);
    });

    await t.step("rexec with --tls-ca", async () => {
      const args = ["--address", address, "--tls-ca", tlsFile("ca.pem"), "nodes"];
      const { code, stderr } = await rexec(args, { env: { REXEC_TOKEN: token } });
      assert.equal(code, 0, stderr);
      assert.equal(stderr, "");
    });

    await t.step("rexec that does not trust the authority", async () => {
      const { code } = await rexec(["--address", address, "--tls", "nodes"], { env: { REXEC_TOKEN: token } });
      assert.equal(code, 3);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** A listener in front of an empty gRPC server. */
async function listen(options: Partial<ListenOptions>, tls = false) {
  const server = new Server({ "grpc.enable_channelz": 0 });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const injected: Socket[] = [];
  const spy: ConnectionInjector = {
    ...injector,
    injectConnection: (connection) => {
      // The listener injects sockets.
      injected.push(connection as Socket);
      injector.injectConnection(connection);
    },
  };
  const defaults = ServerOptions.parse({ port: 0 });
  const files = tls ? loadTls(tlsOptions({}), NOW) : undefined;
  const listener = await ConnectionListener.start({ ...defaults, ...options }, spy, files);
  return {
    listener,
    injected,
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      server.forceShutdown();
      injector.destroy();
    },
  };
}

for (
  const [what, bytes, tls] of [
    ["says nothing", "", false],
    ["sends half of HTTP/2's preface", "PRI * HTTP/2.0\r\n", false],
    ["sends the preface and no settings", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false],
    ["says nothing to TLS", "", true],
    ["sends half of TLS's hello", "\x16\x03\x01\x02\x00\x01", true],
    ["speaks in the clear to TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true],
    ["speaks TLS to a listener without", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", false],
  ] as const
) {
  Deno.test(`ConnectionListener closes a connection that ${what}`, async () => {
    await using server = await listen({ handshakeTimeoutMs: 100 }, tls);
    const socket = connectTcp(server.listener.port, "127.0.0.1");
    if (bytes !== "") socket.write(bytes, "latin1");
    await closed(socket);
  });
}

for (const tls of [false, true]) {
  Deno.test(`ConnectionListener lets an open connection be, ${tls ? "with" : "without"} TLS, and counts what it sends`, async () => {
    await using server = await listen({ handshakeTimeoutMs: 100 }, tls);
    const { port } = server.listener;
    const session = http2.connect(`${tls ? "https" : "http"}://localhost:${port}`, { ca: tlsBytes("ca.pem") });
    session.on("error", () => {});
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    // One that is closed by its timer was opened after this one.
    await closed(connectTcp(port, "127.0.0.1"));
    await closed(connectTcp(port, "127.0.0.1"));
    assert.equal(session.destroyed, false);
    const ponged = Promise.withResolvers<void>();
    session.ping(() => ponged.resolve());
    await ponged.promise;
    assert(server.injected.some(({ bytesWritten }) => bytesWritten >= 17));
    const end = new Promise((resolve) => session.once("close", resolve));
    session.destroy();
    await end;
  });
}

Deno.test("ConnectionListener refuses connections above what one address and all together may have", async () => {
  for (const options of [{ maxConnectionsPerPeer: 1 }, { maxConnections: 1 }]) {
    await using server = await listen(options);
    const first = connectTcp(server.listener.port, "127.0.0.1");
    const firstClosed = closed(first);
    await new Promise((resolve) => first.once("connect", resolve));
    await closed(connectTcp(server.listener.port, "127.0.0.1"));
    assert.equal(server.listener.count, 1);
    first.destroy();
    await firstClosed;
  }
});

// The runtime bounds them: 128 headers, 64 KB in all, and a few CONTINUATION frames.
for (const [what, count, length] of [["many headers", 500, 10], ["long headers", 4, 60_000]] as const) {
  Deno.test(`The listener's HTTP/2 refuses ${what}`, async () => {
    await using server = await listen({});
    const session = http2.connect(`http://127.0.0.1:${server.listener.port}`, { maxSendHeaderBlockLength: 1e9 });
    session.on("error", () => {});
    const sessionClosed = new Promise((resolve) => session.once("close", resolve));
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const headers: Record<string, string> = { ":method": "POST", ":path": "/x/y", "content-type": "application/grpc" };
    for (let i = 0; i < count; i++) headers[`h${i}`] = "x".repeat(length);
    const request = session.request(headers);
    let answered = false;
    request.on("response", () => answered = true);
    request.on("error", () => {});
    await new Promise((resolve) => request.once("close", resolve));
    assert.equal(answered, false);
    session.destroy();
    await sessionClosed;
  });
}
