import assert from "node:assert/strict";
import {
  AUTHORIZATION,
  connectHead,
  echo,
  getHead,
  greet,
  readToEnd,
  resolveFrom,
  TestProxy,
  type TestProxyOptions,
  TestServer,
  TOKEN,
  writeText,
} from "../support/egress.ts";
import { EGRESS_LIMITS, EgressProxy, HostRules } from "../../src/sandbox/egress/mod.ts";
import { TestFolder } from "../fakes/folder.ts";
import { until } from "../support/processes.ts";

/** Answers one HTTP request with what it got, and closes. */
async function tellHead(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  const count = await connection.read(buffer) ?? 0;
  await writeText(connection, `HTTP/1.1 200 OK\r\n\r\n${new TextDecoder().decode(buffer.subarray(0, count))}`);
}

/** Keeps what comes, and answers nothing. */
function keeper(): { readonly kept: () => string; readonly serve: (connection: Deno.Conn) => Promise<void> } {
  let kept = "";
  return {
    kept: () => kept,
    async serve(connection) {
      for await (const chunk of connection.readable.pipeThrough(new TextDecoderStream())) kept += chunk;
    },
  };
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);

Deno.test("EgressProxy tunnels bytes both ways, also when the server speaks first and one side ends early", async () => {
  await using server = TestServer.tcp(greet);
  await using proxy = await TestProxy.listen({ hosts: [`127.0.0.1:${server.port}`] });
  const answer = await proxy.ask(`${connectHead(`127.0.0.1:${server.port}`)}12345`, { halfClose: true });
  assert.equal(answer, "HTTP/1.1 200 OK\r\n\r\n220 hello\r\nread 5");
  const address = `127.0.0.1:${server.port}`;
  assert.deepEqual(proxy.events, [{ kind: "connected", target: address, address, rule: address }]);
  assert.deepEqual(proxy.proxy.traffic, { sentBytes: 5, receivedBytes: "220 hello\r\nread 5".length });
});

Deno.test("EgressProxy carries many megabytes, and buffers none of them for a reader who does not read", async () => {
  await using server = TestServer.tcp(echo);
  await using proxy = await TestProxy.listen({ hosts: ["127.0.0.1"] });
  using connection = await proxy.connect();
  await writeText(connection, connectHead(`127.0.0.1:${server.port}`));
  const head = new Uint8Array(19);
  for (let at = 0; at < head.length;) at += await connection.read(head.subarray(at)) ?? assert.fail("it ended");
  const block = crypto.getRandomValues(new Uint8Array(65_536));
  const total = 512;
  let written = 0;
  const writing = (async () => {
    for (; written < total; written++) {
      for (let at = 0; at < block.length;) at += await connection.write(block.subarray(at));
    }
    await connection.closeWrite();
  })();
  // Nobody reads: the writer comes to a stand long before the end, once the kernel's buffers are full.
  let seen = -1;
  await until("the writer stands still", async () => {
    const before = seen;
    seen = written;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return before === seen && seen === written && written > 0;
  });
  assert(written < total, `${written} blocks went out`);
  let received = 0;
  let wrong = 0;
  const buffer = new Uint8Array(65_536);
  for (let count = await connection.read(buffer); count !== null; count = await connection.read(buffer)) {
    for (let at = 0; at < count; at++) if (buffer[at] !== block[(received + at) % block.length]) wrong++;
    received += count;
  }
  await writing;
  assert.deepEqual([received, wrong], [total * block.length, 0]);
});

Deno.test("EgressProxy rewrites a plain request: origin form, its own Host, nothing of the connection or for the proxy", async () => {
  await using server = TestServer.tcp(tellHead);
  await using proxy = await TestProxy.listen({
    hosts: ["site.test"],
    resolve: resolveFrom({ "site.test": ["127.0.0.1"] }),
  });
  const fields = ["Accept: */*", "Connection: keep-alive, X-Drop", "X-Drop: 1", "Keep-Alive: 5", "TE: trailers"];
  const more = ["Upgrade: websocket", "Proxy-Connection: keep-alive", "Cookie: a=b"];
  const answer = await proxy.ask(getHead(`http://SITE.test:${server.port}?q=1`, ...fields, ...more));
  const expected = [
    "GET /?q=1 HTTP/1.1",
    `Host: site.test:${server.port}`,
    "Accept: */*",
    "Cookie: a=b",
    "Via: 1.1 rexec-egress",
    "Connection: close",
  ];
  assert.equal(answer, `HTTP/1.1 200 OK\r\n\r\n${expected.join("\r\n")}\r\n\r\n`);
});

Deno.test("EgressProxy passes a body on as long as it says it is, and nothing behind it", async () => {
  const bodies: readonly (readonly [fields: string[], body: string, behind: string])[] = [
    [["Content-Length: 3"], "abc", "GET http://x.test/ HTTP/1.1\r\n\r\n"],
    [["Transfer-Encoding: chunked"], "3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n", "GET /smuggled HTTP/1.1\r\n\r\n"],
    [[], "", "GET /smuggled HTTP/1.1\r\n\r\n"],
    [["Connection: Content-Length", "Content-Length: 3"], "abc", "GET /smuggled HTTP/1.1\r\n\r\n"],
  ];
  for (const [fields, body, behind] of bodies) {
    const { kept, serve } = keeper();
    await using server = TestServer.tcp(serve);
    await using proxy = await TestProxy.listen({ hosts: ["127.0.0.1"] });
    using connection = await proxy.connect();
    await writeText(connection, getHead(`http://127.0.0.1:${server.port}/`, ...fields));
    for (const piece of body) await writeText(connection, piece);
    await until("the body is there", () => kept().includes("\r\n\r\n") && kept().endsWith(body));
    await writeText(connection, behind);
    assert.equal(await readToEnd(connection), "");
    assert(kept().endsWith(`\r\n\r\n${body}`) && !kept().includes("smuggled"), kept());
    const last = proxy.events.at(-1);
    assert(last?.kind === "refused" && /more than one request/.test(last.reason), JSON.stringify(last));
  }
});

Deno.test("EgressProxy refuses heads that could be read in two ways, and those that are none", async () => {
  await using server = TestServer.tcp(echo);
  const { port } = server;
  await using proxy = await TestProxy.listen({ hosts: ["127.0.0.1", "*"] });
  const at = `127.0.0.1:${port}`;
  const heads = [
    "\r\n\r\n",
    "garbage\r\n\r\n",
    `\x16\x03\x01\x02\x00\r\n\r\n`,
    `CONNECT ${at} HTTP/1.0\r\n\r\n`,
    `CONNECT ${at} HTTP/2\r\n\r\n`,
    `CONNECT  ${at} HTTP/1.1\r\n\r\n`,
    `CONNECT ${at}\0 HTTP/1.1\r\n\r\n`,
    `CONNECT ${at} HTTP/1.1\nX: y\r\n\r\n`,
    `CONNECT user@${at} HTTP/1.1\r\n\r\n`,
    `CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n`,
    `CONNECT 127.0.0.1:0 HTTP/1.1\r\n\r\n`,
    `CONNECT 127.0.0.1:${65_536 + port} HTTP/1.1\r\n\r\n`,
    `CONNECT 127.0.0.1:00000${port} HTTP/1.1\r\n\r\n`,
    `CONNECT %31%32%37.0.0.1:${port} HTTP/1.1\r\n\r\n`,
    `CONNECT [::ffff:127.0.0.1%25lo]:${port} HTTP/1.1\r\n\r\n`,
    `CONNECT http://${at}/ HTTP/1.1\r\n\r\n`,
    `CONNECT ä.test:80 HTTP/1.1\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${at}\r\n\r\n`,
    `GET https://${at}/ HTTP/1.1\r\n\r\n`,
    `GET ftp://${at}/ HTTP/1.1\r\n\r\n`,
    `GET http://user:pass@${at}/ HTTP/1.1\r\n\r\n`,
    `GET http:///path HTTP/1.1\r\n\r\n`,
    `GET http://${at}\\@other.test/ HTTP/1.1\r\n\r\n`,
    `GET http://${at}/#fragment HTTP/1.1\r\n\r\n`,
    `GET http://${at}/ HTTP/1.1\r\nHost : x\r\n\r\n`,
    `GET http://${at}/ HTTP/1.1\r\nX: a\r\n folded\r\n\r\n`,
    `GET http://${at}/ HTTP/1.1\r\nX: a\rY: b\r\n\r\n`,
    `GET http://${at}/ HTTP/1.1\r\nX: a\nY: b\r\n\r\n`,
    `GET http://${at}/ HTTP/1.1\r\nX: a\0\r\n\r\n`,
    `GET http://${at}/ HTTP/1.1\r\nno colon\r\n\r\n`,
    `POST http://${at}/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n`,
    `POST http://${at}/ HTTP/1.1\r\nContent-Length: +1\r\n\r\n`,
    `POST http://${at}/ HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n`,
    `POST http://${at}/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
    `POST http://${at}/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n`,
    `POST http://${at}/ HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n`,
  ];
  for (const head of heads) {
    const authorized = head.replace(/\r\n\r\n$/, `\r\n${AUTHORIZATION}\r\n\r\n`);
    const answer = await proxy.ask(authorized, { halfClose: true });
    assert.equal(statusOf(answer), 400, `${JSON.stringify(head)}: ${answer}`);
  }
  assert.equal(server.connections, 0);
});

Deno.test("EgressProxy ends a request whose chunks are malformed", async () => {
  for (
    const body of [
      "x\r\n",
      "-1\r\n",
      "3\r\nabcd\r\n",
      "1\nab",
      `1;${"a".repeat(300)}`,
      "0\r\n" + "A: b\r\n".repeat(1_000),
    ]
  ) {
    const { kept, serve } = keeper();
    await using server = TestServer.tcp(serve);
    await using proxy = await TestProxy.listen({ hosts: ["127.0.0.1"] });
    const answer = await proxy.ask(
      `${getHead(`http://127.0.0.1:${server.port}/`, "Transfer-Encoding: chunked")}${body}`,
    );
    assert.equal(answer, "");
    assert.deepEqual(proxy.events.map(({ kind }) => kind), ["connected", "refused"], body.slice(0, 20));
    assert(!kept().includes(body));
  }
});

Deno.test("EgressProxy asks for the task's credentials before it does anything", async () => {
  await using server = TestServer.tcp(echo);
  const asked: string[] = [];
  const resolve = (name: string) => {
    asked.push(name);
    return Promise.resolve(["127.0.0.1"]);
  };
  await using proxy = await TestProxy.listen({ hosts: ["site.test"], resolve });
  const wrong = [
    "",
    "Basic",
    "Basic !",
    `Basic ${btoa("task:other")}`,
    `Basic ${btoa(":")}`,
    "Bearer the-token-of-the-task",
  ];
  for (const value of wrong) {
    const field = value === "" ? "" : `Proxy-Authorization: ${value}\r\n`;
    const answer = await proxy.ask(`CONNECT site.test:${server.port} HTTP/1.1\r\n${field}\r\n`, { halfClose: true });
    assert.equal(statusOf(answer), 407, value);
    assert.match(answer, /Proxy-Authenticate: Basic realm=/);
  }
  assert.deepEqual([asked, server.connections], [[], 0]);
  assert.deepEqual([...new Set(proxy.events.map(({ kind }) => kind))], ["refused"]);
});

Deno.test("EgressProxy answers what no rule grants with 403, and says which", async () => {
  await using proxy = await TestProxy.listen({
    hosts: ["site.test:443"],
    resolve: resolveFrom({ "site.test": ["127.0.0.1"] }),
  });
  const answer = await proxy.ask(connectHead("site.test:80"), { halfClose: true });
  assert.equal(statusOf(answer), 403);
  const reason = "no rule of the policy (network.hosts) names site.test:80";
  assert(answer.endsWith(JSON.stringify({ error: "http_request_denied", reason })), answer);
  assert.match(answer, /Proxy-Status: rexec-egress; error=http_request_denied; details="no rule/);
  assert.deepEqual(proxy.events, [{ kind: "refused", target: "site.test:80", reason }]);
});

Deno.test("EgressProxy refuses names and addresses that lead to where the rules do not", async () => {
  await using server = TestServer.tcp(echo);
  const { port } = server;
  const names = {
    "loopback.test": ["127.0.0.1", "::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "zero.test": ["0.0.0.0", "::"],
    "metadata.test": ["169.254.169.254"],
    "named.test": ["127.0.0.1"],
    "named-metadata.test": ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "fe80::1"],
  };
  const hosts = ["*", "*.test", "named.test", "named-metadata.test"];
  await using proxy = await TestProxy.listen({ hosts, resolve: resolveFrom(names) });
  const unnamed = ["loopback.test", "mapped.test", "zero.test", "metadata.test", "named-metadata.test"];
  const literals = [
    "127.0.0.1",
    "0x7f.1",
    "2130706433",
    "127.0.0.1.",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
  ];
  for (const host of [...unnamed, ...literals, "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]"]) {
    const answer = await proxy.ask(connectHead(`${host}:${port}`), { halfClose: true });
    assert.equal(statusOf(answer), 403, host);
    assert.match(answer, /destination_ip_prohibited/);
    // What names mean inside is not the task's business.
    assert(!/169\.254|fd00:ec2/.test(answer), answer);
  }
  assert.equal(server.connections, 0);
  assert.equal(statusOf(await proxy.ask(connectHead(`named.test:${port}`), { halfClose: true })), 200);
  const refused = proxy.events.find(({ kind, ...event }) =>
    kind === "refused" && "target" in event && event.target === `metadata.test:${port}`
  );
  assert(refused?.kind === "refused");
  assert.deepEqual(refused.addresses, ["169.254.169.254"]);
});

Deno.test("EgressProxy connects to the address that it checked, whatever the name means a moment later", async () => {
  await using server = TestServer.tcp(echo);
  // Public when it is first asked for, loopback from then on.
  let asked = 0;
  const resolve = () => Promise.resolve([asked++ === 0 ? "192.0.2.1" : "127.0.0.1"]);
  await using proxy = await TestProxy.listen({ hosts: ["*"], resolve });
  const answers = [];
  for (let request = 0; request < 2; request++) {
    answers.push(statusOf(await proxy.ask(connectHead(`rebind.test:${server.port}`), { halfClose: true })));
  }
  assert.deepEqual([answers, asked, server.connections], [[403, 403], 2, 0]);
  // Of several addresses only those are tried that passed.
  await using mixed = await TestProxy.listen({
    hosts: ["mixed.test"],
    resolve: resolveFrom({ "mixed.test": ["169.254.169.254", "127.0.0.1", "0.0.0.0"] }),
  });
  await mixed.ask(connectHead(`mixed.test:${server.port}`), { halfClose: true });
  const address = `127.0.0.1:${server.port}`;
  assert.deepEqual(mixed.events, [{
    kind: "connected",
    target: `mixed.test:${server.port}`,
    address,
    rule: "mixed.test",
  }]);
});

Deno.test("EgressProxy answers 502 and 504 when there is no such name, nobody listens or nobody answers", async () => {
  let port: number;
  {
    await using gone = TestServer.tcp(echo);
    ({ port } = gone);
  }
  const never = Promise.withResolvers<readonly string[]>();
  const known = resolveFrom({ "gone.test": ["127.0.0.1"], "empty.test": [] });
  await using proxy = await TestProxy.listen({
    hosts: ["gone.test", "empty.test", "missing.test", "slow.test"],
    limits: { connectTimeoutMs: 50 },
    resolve: (name) => name === "slow.test" ? never.promise : known(name),
  });
  const expected = { "gone.test": 502, "empty.test": 502, "missing.test": 502, "slow.test": 504 };
  for (const [name, status] of Object.entries(expected)) {
    assert.equal(statusOf(await proxy.ask(connectHead(`${name}:${port}`), { halfClose: true })), status, name);
  }
  assert.deepEqual([...new Set(proxy.events.map(({ kind }) => kind))], ["failed"]);
});

Deno.test("EgressProxy keeps its limits", async (test) => {
  await using server = TestServer.tcp(echo);
  const target = `127.0.0.1:${server.port}`;
  const listen = (limits: TestProxyOptions["limits"]) =>
    TestProxy.listen({ hosts: ["127.0.0.1"], limits: limits ?? {} });

  await test.step("of a head's length", async () => {
    await using proxy = await listen({ maxHeadBytes: 1_000 });
    assert.equal(statusOf(await proxy.ask(`CONNECT ${target} HTTP/1.1\r\nX: ${"a".repeat(2_000)}`)), 431);
  });
  await test.step("of the time for a head, however slowly it comes", async () => {
    await using proxy = await listen({ headTimeoutMs: 50 });
    using connection = await proxy.connect();
    const drip = (async () => {
      for (;;) {
        await connection.write(new Uint8Array([65]));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })().catch((error: unknown) => error);
    assert.equal(await readToEnd(connection), "");
    assert(await drip instanceof Deno.errors.BrokenPipe);
  });
  await test.step("of connections at once: the next one waits", async () => {
    await using proxy = await listen({ maxConnections: 2 });
    const open = [await proxy.connect(), await proxy.connect()];
    for (const connection of open) {
      await writeText(connection, connectHead(target));
      await connection.read(new Uint8Array(100));
    }
    const before = server.connections;
    const third = proxy.ask(connectHead(target), { halfClose: true });
    using late = await proxy.connect();
    await writeText(late, connectHead(target));
    assert.equal(server.connections, before);
    for (const connection of open) connection.close();
    assert.equal(statusOf(await third), 200);
    assert(await late.read(new Uint8Array(100)) !== null);
  });
  await test.step("of connections in all: further ones are told, then nobody listens", async () => {
    await using proxy = await listen({ maxConnections: 2, maxConnectionsTotal: 3 });
    const statuses: number[] = [];
    for (let count = 0; count < 5; count++) {
      statuses.push(statusOf(await proxy.ask(connectHead(target), { halfClose: true })));
    }
    assert.deepEqual(statuses, [200, 200, 200, 429, 429]);
    await assert.rejects(async () => (await proxy.connect()).close(), Deno.errors.NotFound);
  });
  for (
    const [way, limits] of [["sent", { maxSentBytes: 100_000 }], ["received", { maxReceivedBytes: 100_000 }]] as const
  ) {
    await test.step(`of bytes ${way}`, async () => {
      await using proxy = await listen(limits);
      using connection = await proxy.connect();
      const writing = writeText(connection, connectHead(target) + "x".repeat(300_000)).catch(() => {});
      const text = await readToEnd(connection);
      await writing;
      assert(text.length < 150_000, `${text.length} came back`);
      const last = proxy.events.at(-1);
      assert(last?.kind === "refused" && last.reason === `the task has ${way} more than 100000 bytes`);
      assert.equal(statusOf(await proxy.ask(connectHead(target), { halfClose: true })), 429);
    });
  }
  await test.step("of the time in which nothing moves", async () => {
    await using proxy = await listen({ idleTimeoutMs: 50 });
    assert.equal(await proxy.ask(connectHead(target)), "HTTP/1.1 200 OK\r\n\r\n");
    const last = proxy.events.at(-1);
    assert(last?.kind === "failed" && /nothing moved/.test(last.reason));
  });
  await test.step("of events: the rest is counted", async () => {
    const proxy = await listen({ maxEvents: 3 });
    for (let count = 0; count < 8; count++) await proxy.ask(connectHead("no.test:1"), { halfClose: true });
    assert.equal(proxy.events.length, 3);
    await proxy[Symbol.asyncDispose]();
    assert.deepEqual(proxy.events.slice(3), [{ kind: "suppressed", count: 5 }]);
  });
});

Deno.test("EgressProxy ends the other side when one breaks, and a request whose client leaves", async () => {
  const closed = Promise.withResolvers<void>();
  await using server = TestServer.tcp(async (connection) => {
    await readToEnd(connection);
    closed.resolve();
  });
  await using proxy = await TestProxy.listen({ hosts: ["127.0.0.1"] });
  const connection = await proxy.connect();
  await writeText(connection, getHead(`http://127.0.0.1:${server.port}/`));
  await until("the request is there", () => server.connections === 1);
  connection.close();
  await closed.promise;
});

Deno.test("EgressProxy leaves nothing: no connection, no file, also while it is being used", async () => {
  await using server = TestServer.tcp(echo);
  const never = Promise.withResolvers<readonly string[]>();
  const proxy = await TestProxy.listen({ hosts: ["127.0.0.1", "slow.test"], resolve: () => never.promise });
  assert.equal((Deno.statSync(proxy.socketPath).mode ?? 0) & 0o777, 0o600);
  const heads = ["", "CONN", connectHead(`127.0.0.1:${server.port}`), connectHead("slow.test:1"), "bad\r\n\r\n"];
  const connections = [];
  for (const head of heads) {
    const connection = await proxy.connect();
    await writeText(connection, head);
    connections.push(connection);
  }
  await until("the tunnel stands", () => proxy.events.some(({ kind }) => kind === "connected"));
  await Promise.all([proxy.proxy[Symbol.asyncDispose](), proxy.proxy[Symbol.asyncDispose]()]);
  assert.deepEqual([...Deno.readDirSync(proxy.folder.path)], []);
  for (const connection of connections) {
    await readToEnd(connection);
    connection.close();
  }
  await proxy[Symbol.asyncDispose]();
});

Deno.test("EgressProxy resolves names as the system does when it is not told how", async () => {
  await using server = TestServer.tcp(echo);
  await using folder = await TestFolder.make();
  const socketPath = folder.file("egress.sock");
  await using _proxy = EgressProxy.listen({
    socketPath,
    token: TOKEN,
    rules: HostRules.parse(["localhost"]),
    limits: EGRESS_LIMITS,
    onEvent() {},
  });
  using connection = await Deno.connect({ transport: "unix", path: socketPath });
  await writeText(connection, connectHead(`localhost:${server.port}`));
  await connection.closeWrite();
  assert.equal(await readToEnd(connection), "HTTP/1.1 200 OK\r\n\r\n");
});
