import assert from "node:assert/strict";
import { ServiceError } from "../../src/errors.ts";
import { Metrics, type MetricsServerOptions, startMetricsServer } from "../../src/metrics/mod.ts";

function start(options: Partial<MetricsServerOptions> = {}) {
  return startMetricsServer({
    host: "127.0.0.1",
    port: 0,
    metrics: new Metrics({ build: { version: "1" } }),
    isLive: () => ({ ok: true }),
    isReady: () => ({ ok: true }),
    ...options,
  });
}

/** Asks the server, and reads the answer to its end. */
async function ask(port: number, path: string, method = "GET") {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return { status: response.status, headers: response.headers, body: await response.text() };
}

Deno.test("startMetricsServer() serves metrics in Prometheus' text format", async () => {
  await using server = start();
  assert(server.port > 0);
  const { status, headers, body } = await ask(server.port, "/metrics");
  assert.equal(status, 200);
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(body, /^# HELP rexec_requests_total /m);
  assert.match(body, /^rexec_build_info\{version="1"\} 1$/m);
});

const HEALTH: readonly [path: string, verdict: { ok: boolean; reason?: string }, status: number, body: unknown][] = [
  ["/healthz", { ok: true }, 200, { status: "ok" }],
  ["/healthz", { ok: false, reason: "no host starts" }, 503, { status: "unavailable", reason: "no host starts" }],
  ["/readyz", { ok: true }, 200, { status: "ok" }],
  ["/readyz", { ok: false, reason: "draining" }, 503, { status: "unavailable", reason: "draining" }],
];

for (const [path, verdict, status, body] of HEALTH) {
  Deno.test(`startMetricsServer() answers ${path} with ${status} when the verdict is ${JSON.stringify(verdict)}`, async () => {
    const key = path === "/healthz" ? "isLive" : "isReady";
    await using server = start({ [key]: () => verdict });
    const answer = await ask(server.port, path);
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.deepEqual(JSON.parse(answer.body), body);
  });
}

const OTHERS: readonly [method: string, path: string, status: number][] = [
  ["GET", "/", 404],
  ["GET", "/metrics/", 404],
  ["POST", "/nothing", 404],
  ["POST", "/metrics", 405],
  ["DELETE", "/healthz", 405],
  ["HEAD", "/readyz", 200],
];

for (const [method, path, status] of OTHERS) {
  Deno.test(`startMetricsServer() answers ${method} ${path} with ${status}`, async () => {
    await using server = start();
    const answer = await ask(server.port, path, method);
    assert.equal(answer.status, status);
    if (status === 405) assert.equal(answer.headers.get("allow"), "GET, HEAD");
  });
}

Deno.test("startMetricsServer() answers 500 without a word about the cause when a check throws", async () => {
  await using server = start({
    isLive: () => {
      throw new Error("internal detail");
    },
  });
  const { status, body } = await ask(server.port, "/healthz");
  assert.equal(status, 500);
  assert(!body.includes("detail"));
});

Deno.test("startMetricsServer() names the setting to change when the port is in use", async () => {
  await using server = start();
  assert.throws(() => start({ port: server.port }), (error) => {
    assert(error instanceof ServiceError && error.code === "CONFIG_INVALID");
    assert.match(error.message, /the port is in use\. Change metrics\.port \(METRICS_PORT\)/);
    assert(error.cause instanceof Deno.errors.AddrInUse);
    return true;
  });
});

Deno.test("startMetricsServer() stops with its signal, and dispose after that is no error", async () => {
  const stopping = new AbortController();
  const server = start({ signal: stopping.signal });
  await ask(server.port, "/healthz");
  stopping.abort();
  await assert.rejects(ask(server.port, "/healthz"), TypeError);
  await server[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
