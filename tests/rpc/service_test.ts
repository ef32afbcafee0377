import assert from "node:assert/strict";
import { type Client, status } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { HealthCheckResponse_ServingStatus, HealthClient } from "../../protos/generated/grpc/health/v1/health.ts";
import { ServiceStatus } from "../../protos/generated/types.ts";
import { connect, TestClient, unary } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";

const SERVICE = "remotemedia.execution.RemoteExecutionService";

Deno.test("GetStatus and the metrics count what was called", async () => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 2 } });
  using client = new TestClient(server.address);
  for (let count = 0; count < 3; count++) await client.run({ nodeType: "PassThroughNode", input: 12345 });
  await client.run({ nodeType: "Made up" });
  await client.start({ nodeType: "PassThroughNode", options: { timeoutSeconds: -1 } }).answer;
  const answer = await unary(client.stub, client.stub.getStatus, { includeMetrics: true, includeSessions: true })
    .answer;
  assert(answer.ok);
  const { metrics, ...response } = answer.response;
  assert.equal(response.status, ServiceStatus.HEALTHY);
  assert.match(response.version, /^\d+\.\d+\.\d+/);
  assert.deepEqual(
    [metrics?.totalRequests, metrics?.successfulRequests, metrics?.failedRequests, metrics?.busyWorkers],
    [4, 3, 1, 0],
  );
  assert.equal(metrics?.availableWorkers, 2);
  assert(metrics.peakMemoryMb > 0 && metrics.memoryUsagePercent > 0);

  const lines = (await server.metrics()).split("\n");
  for (
    const line of [
      'rexec_requests_total{method="ExecuteNode",status="OK"} 4',
      'rexec_requests_total{method="ExecuteNode",status="INVALID_ARGUMENT"} 1',
      'rexec_requests_total{method="GetStatus",status="OK"} 1',
      'rexec_executions_total{node_type="PassThroughNode",status="success"} 3',
      'rexec_executions_total{node_type="unknown",status="error"} 1',
      'rexec_execution_duration_seconds_count{node_type="PassThroughNode"} 3',
      "rexec_queue_wait_seconds_count 4",
      "rexec_bytes_in_total 23",
      "rexec_bytes_out_total 15",
      "rexec_queue_length 0",
      "rexec_tasks_active 0",
      "rexec_connections 1",
      'rexec_hosts{state="busy"} 0',
      'rexec_hosts{state="available"} 2',
    ]
  ) assert(lines.includes(line), `${line} is not in ${lines.filter((text) => text.startsWith("rexec")).join("\n")}`);
});

Deno.test("GetStatus gives no metrics unless it is asked for them", async () => {
  await using server = await startTestServer({ settings: { "sandbox.probe": false } });
  using client = new TestClient(server.address);
  const answer = await unary(client.stub, client.stub.getStatus, { includeMetrics: false, includeSessions: false })
    .answer;
  assert(answer.ok);
  assert.equal(answer.response.metrics, undefined);
});

Deno.test("ListNodes gives all nodes, or those of a category", async () => {
  await using server = await startTestServer({ settings: { "sandbox.probe": false } });
  using client = new TestClient(server.address);
  const list = async (category: string) => {
    const answer = await unary(client.stub, client.stub.listNodes, { category }).answer;
    assert(answer.ok);
    return answer.response.availableNodes;
  };
  const all = await list("");
  assert(all.some(({ nodeType }) => nodeType === "PassThroughNode"));
  assert(all.every(({ category, description }) => category !== "" && description !== ""));
  const audio = await list("audio");
  assert.deepEqual(audio, all.filter(({ category }) => category === "audio"));
  assert(audio.length > 0 && audio.length < all.length);
  assert.deepEqual(await list("no such category"), []);
});

Deno.test("A service that does not exist is answered with UNIMPLEMENTED", async () => {
  await using server = await startTestServer({ settings: { "sandbox.probe": false } });
  using client = new TestClient(server.address);
  const answer = await call(client.stub, "/no.such.Service/Method", new Uint8Array());
  assert(!answer.ok);
  assert.equal(answer.code, status.UNIMPLEMENTED);
});

Deno.test("Health says SERVING for the server and the service, and NOT_FOUND for others", async () => {
  await using server = await startTestServer({ settings: { "sandbox.probe": false } });
  const health = connect(HealthClient, server.address);
  try {
    for (const service of ["", SERVICE]) {
      const answer = await unary(health, health.check, { service }).answer;
      assert(answer.ok);
      assert.equal(answer.response.status, HealthCheckResponse_ServingStatus.SERVING);
    }
    const unknown = await unary(health, health.check, { service: "other" }).answer;
    assert(!unknown.ok);
    assert.equal(unknown.code, status.NOT_FOUND);
  } finally {
    health.close();
  }
});

Deno.test("Reflection names the services and gives their files", async () => {
  await using server = await startTestServer({ settings: { "sandbox.probe": false } });
  using client = new TestClient(server.address);
  for (const version of ["v1", "v1alpha"]) {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    // Field 7, list_services; field 4, file_containing_symbol.
    const services = await reflect(client.stub, path, Buffer.from([0x3a, 0]));
    assert(services.includes(SERVICE));
    const symbol = Buffer.from(SERVICE);
    const files = await reflect(client.stub, path, Buffer.concat([Buffer.from([0x22, symbol.length]), symbol]));
    for (const name of ["ExecuteNodeRequest", "ExecutionOptions", "max_output_size_mb"]) assert(files.includes(name));
  }
});

/** Sends one reflection request as bytes. @returns the answer as text */
async function reflect(stub: Client, path: string, request: Buffer): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const stream = stub.makeBidiStreamRequest(path, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes);
  const ended = Promise.withResolvers<void>();
  stream.on("data", (bytes: Buffer) => resolve(bytes.toString("latin1")));
  stream.on("error", reject);
  stream.on("status", () => ended.resolve());
  stream.write(request);
  const text = await promise;
  stream.end();
  await ended.promise;
  return text;
}

/** Calls any method with bytes. */
async function call(stub: Client, path: string, request: Uint8Array) {
  type Answer = { readonly ok: true } | { readonly ok: false; readonly code: number };
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const asIs = (bytes: Uint8Array) => Buffer.from(bytes);
  stub.makeUnaryRequest(path, asIs, asIs, request, (error) => {
    resolve(error === null ? { ok: true } : { ok: false, code: error.code });
  });
  return await promise;
}
