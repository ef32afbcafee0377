import assert from "node:assert/strict";
import type { NetworkStep, StepOutcome } from "../fakes/network_task.ts";
import { jailTypes, TestJail } from "../support/jails.ts";
import { processJail } from "../../src/sandbox/jails/process.ts";
import {
  echo,
  greet,
  resolveFrom,
  runNetworkTask,
  serverCertificate,
  TestProxy,
  TestServer,
} from "../support/egress.ts";

const LOCAL = resolveFrom({ localhost: ["127.0.0.1"], "rexec.test": ["127.0.0.1"] });

/** An HTTP server that tells what it was asked, and sends `/away` to a URL of the query's. */
function startHttp(secure: boolean): Deno.HttpServer<Deno.NetAddr> {
  const handler = async (request: Request): Promise<Response> => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/away") return Response.redirect(searchParams.get("to") ?? "", 302);
    const type = request.headers.get("content-type") ?? "";
    const body = type.startsWith("multipart/") ? await formText(await request.formData()) : await request.text();
    return new Response(`${request.method} ${request.headers.get("x-own") ?? "-"} ${body}`);
  };
  const where = { hostname: "127.0.0.1", port: 0, onListen() {} };
  return secure ? Deno.serve({ ...where, ...serverCertificate() }, handler) : Deno.serve(where, handler);
}

async function formText(form: FormData): Promise<string> {
  const file = form.get("file");
  return `${form.get("field")} ${file instanceof File ? `${file.name} ${await file.text()}` : "no file"}`;
}

/** Asserts that a step failed, with a message. */
function assertFails(outcome: StepOutcome | undefined, error: string, message: RegExp): void {
  assert(outcome !== undefined && "error" in outcome, `it came to ${JSON.stringify(outcome)}`);
  assert.equal(outcome.error, error, outcome.message);
  assert.match(outcome.message, message);
}

for (const type of await jailTypes()) {
  Deno.test(`grantNetwork() reaches http, https, TCP and TLS through relay and proxy, in ${type}`, async () => {
    await using made = await TestJail.make(type);
    const { jail } = made;
    await using http = startHttp(false);
    await using https = startHttp(true);
    await using tcp = TestServer.tcp(greet);
    await using tls = TestServer.tls(echo);
    const hosts = ["localhost", `127.0.0.1:${http.addr.port}`];
    await using proxy = await TestProxy.listen({ hosts, resolve: LOCAL });
    const plain = `http://localhost:${http.addr.port}`;
    const secure = `https://localhost:${https.addr.port}`;
    const outcomes = await runNetworkTask([
      { kind: "fetch", url: `${plain}/a` },
      { kind: "fetch", url: `http://127.0.0.1:${http.addr.port}/literal` },
      { kind: "fetch", url: `${secure}/b`, init: { method: "POST", body: "text", headers: { "x-own": "2" } } },
      { kind: "fetch-form", url: `${secure}/form` },
      { kind: "fetch-form", url: `${plain}/form` },
      { kind: "fetch-stream", url: `${plain}/stream` },
      { kind: "fetch-request", url: `${secure}/request` },
      { kind: "fetch", url: `${plain}/away?to=${encodeURIComponent(`${secure}/there`)}` },
      { kind: "fetch", url: "data:text/plain,here" },
      { kind: "tcp", options: { hostname: "localhost", port: tcp.port }, send: "12345" },
      { kind: "tls", options: { hostname: "localhost", port: tls.port }, send: "secret" },
      { kind: "start-tls", options: { hostname: "localhost", port: tls.port }, send: "later" },
    ], { proxy, hosts, jail });
    assert.deepEqual(outcomes.map((outcome) => "ok" in outcome ? outcome.ok : outcome), [
      "200 /a GET - ",
      "200 /literal GET - ",
      "200 /b POST 2 text",
      "200 /form POST - value name.txt contents",
      "200 /form POST - value name.txt contents",
      "200 /stream POST - one two",
      "200 /request POST 1 of a request",
      "200 /there GET - ",
      "200 text/plain,here here",
      "220 hello\r\nread 5",
      "secret",
      "later",
    ]);
    assert.deepEqual([...new Set(proxy.events.map(({ kind }) => kind))], ["connected"]);
  });

  Deno.test(`grantNetwork() gives no way to a loopback listener that is not granted, in ${type}`, async () => {
    await using made = await TestJail.make(type);
    const { jail } = made;
    await using forbidden = TestServer.tcp(echo);
    const { port } = forbidden;
    const hosts = ["*", "*.test"];
    await using proxy = await TestProxy.listen({ hosts, resolve: LOCAL });
    const url = `http://rexec.test:${port}/`;
    const attacks = ["client", "request", "setters", "pollution", "constructors", "injection"] as const;
    const outcomes = await runNetworkTask([
      { kind: "fetch", url },
      { kind: "fetch", url: `http://127.0.0.1:${port}/` },
      { kind: "fetch", url: `https://rexec.test:${port}/` },
      { kind: "fetch", url: `http://[::ffff:7f00:1]:${port}/` },
      { kind: "tcp", options: { hostname: "127.0.0.1", port }, send: "x" },
      { kind: "tcp", options: { hostname: "0x7f.1", port }, send: "x" },
      { kind: "tls", options: { hostname: "rexec.test", port }, send: "x" },
      { kind: "raw-connect", hostname: "127.0.0.1", port },
      { kind: "raw-connect", hostname: "localhost", port },
      { kind: "raw-connect", hostname: "::ffff:127.0.0.1", port },
      { kind: "raw-connect", hostname: "0.0.0.0", port },
      { kind: "raw-fetch", url: `http://localhost:${port}/` },
      ...attacks.map((name) => ({ kind: "attack", name, url } satisfies NetworkStep)),
    ], { proxy, hosts, jail });
    for (const outcome of outcomes) assert("error" in outcome, JSON.stringify(outcomes));
    assert.equal(forbidden.connections, 0);
    assertFails(
      outcomes[0],
      "PermissionDenied",
      /^Cannot fetch http:.*"rexec\.test" leads to an address that is not public/,
    );
    assertFails(
      outcomes[2],
      "PermissionDenied",
      /^Cannot connect to rexec\.test:\d+: "rexec\.test" leads to an address/,
    );
    assertFails(outcomes[4], "PermissionDenied", /127\.0\.0\.1 is not a public address/);
    assertFails(outcomes[7], "NotCapable", /net access/);
  });
}

Deno.test("grantNetwork() cannot be talked past the proxy by user code that changes what it may", async () => {
  await using http = startHttp(false);
  const hosts = ["rexec.test"];
  await using proxy = await TestProxy.listen({ hosts, resolve: LOCAL });
  const url = `http://rexec.test:${http.addr.port}/`;
  const outcomes = await runNetworkTask([
    { kind: "attack", name: "request", url },
    { kind: "attack", name: "client", url },
    { kind: "attack", name: "setters", url },
    { kind: "attack", name: "pollution", url },
    { kind: "attack", name: "constructors", url },
    { kind: "attack", name: "injection", url },
    { kind: "fetch", url },
  ], { proxy, hosts, jail: processJail });
  assert.deepEqual(outcomes[0], { ok: "200 / GET - " });
  assert.deepEqual(outcomes[1], { ok: "200 / GET - " });
  assertFails(outcomes[2], "TypeError", /Cannot (redefine|define) property/);
  assertFails(outcomes[3], "TypeError", /Object\.prototype has been extended/);
  assert.deepEqual(outcomes[4], { ok: "true" });
  assertFails(outcomes[5], "TypeError", /is no host name/);
  assert.deepEqual(outcomes[6], { ok: "200 / GET - " });
  // Each request that succeeded came by way of the proxy.
  assert.equal(proxy.events.filter(({ kind }) => kind === "connected").length, 4);
});

Deno.test("grantNetwork() says why, in errors of the classes that Deno uses", async () => {
  await using closed = TestServer.tcp(echo);
  const { port } = closed;
  await closed[Symbol.asyncDispose]();
  const hosts = ["rexec.test", "missing.test"];
  await using proxy = await TestProxy.listen({ hosts: ["rexec.test", "missing.test:443"], resolve: LOCAL });
  const outcomes = await runNetworkTask([
    { kind: "fetch", url: `http://rexec.test:${port}/` },
    { kind: "fetch", url: "https://missing.test/" },
    { kind: "fetch", url: "https://missing.test:444/" },
    { kind: "fetch", url: "https://unlisted.test/" },
    { kind: "fetch", url: "file:///etc/passwd" },
    { kind: "tcp", options: { hostname: "rexec.test", port: 0 }, send: "" },
    { kind: "tcp", options: { transport: "unix", path: "/socket", port: 1 }, send: "" },
    { kind: "tcp", options: { transport: "vsock", port: 1 }, send: "" },
    { kind: "tls", options: { hostname: "rexec.test", port, caCerts: [] }, send: "" },
  ], { proxy, hosts, jail: processJail });
  assertFails(outcomes[0], "ConnectionRefused", /cannot connect to 127\.0\.0\.1/);
  assertFails(outcomes[1], "ConnectionRefused", /^Cannot connect to missing\.test:443: cannot resolve/);
  assertFails(outcomes[2], "PermissionDenied", /no rule of the policy \(network\.hosts\) names missing\.test:444/);
  assertFails(outcomes[3], "NotCapable", /unlisted\.test/);
  assertFails(outcomes[4], "TypeError", /file URLs are not offered/);
  assertFails(outcomes[5], "TypeError", /port "0"/);
  assertFails(outcomes[6], "TypeError", /option "path" is not offered/);
  assertFails(outcomes[7], "TypeError", /transport "vsock" is not offered/);
  assertFails(outcomes[8], "TypeError", /option "caCerts" is not offered/);
});

Deno.test("EgressProxy lets nobody use a relay who does not know the token", async () => {
  await using http = startHttp(false);
  const hosts = ["rexec.test"];
  await using proxy = await TestProxy.listen({ hosts, resolve: LOCAL });
  const steps: NetworkStep[] = [{ kind: "fetch", url: `http://rexec.test:${http.addr.port}/` }];
  const [outcome] = await runNetworkTask(steps, { proxy, hosts, jail: processJail, token: "another" });
  assertFails(outcome, "ConnectionRefused", /the credentials are not those of the task/);
});
