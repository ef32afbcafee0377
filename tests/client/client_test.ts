import assert from "node:assert/strict";
import { status as GrpcStatus } from "@grpc/grpc-js";
import {
  encoded,
  ExecutionError,
  ExecutionStatus,
  float,
  fromValue,
  RemoteExecutionClient,
  RpcError,
} from "../../src/client/mod.ts";
import type { ExecuteNodeRequest } from "../../protos/generated/execution.ts";
import { type FakeBehaviour, FakeService, rpcFailure } from "../fakes/fake_service.ts";
import { CERTIFICATE } from "../fakes/certificate.ts";
import { closedAddress, TlsFront } from "../fakes/network.ts";

/** grpc-js keeps the (unreferenced) timer of its next attempt to connect when a channel that failed is closed. */
const WITHOUT_TIMER_CHECK = { sanitizeOps: false, sanitizeResources: false };

const FAST = { initialBackoffMs: 1, maxBackoffMs: 2 };

async function withFake(
  behaviour: FakeBehaviour,
  test: (client: RemoteExecutionClient, fake: FakeService) => Promise<void>,
): Promise<void> {
  using fake = await FakeService.start(behaviour);
  using client = new RemoteExecutionClient(fake.address, { retry: FAST });
  await test(client, fake);
}

for (const format of ["json", "pickle"] as const) {
  Deno.test(`RemoteExecutionClient.executeNode() carries types over the wire as ${format}`, async () => {
    await withFake({}, async (client) => {
      const { value, bytes } = await client.executeNode("Any", { a: [1, float(1), "x", null] }, { format });
      assert.deepEqual(value, new Map([["a", [1n, 1, "x", null]]]));
      assert.deepEqual(fromValue(value), { a: [1, 1, "x", null] });
      assert.ok(bytes.length > 0);
      assert.equal(bytes.constructor, Uint8Array);
    });
  });
}

Deno.test("RemoteExecutionClient.executeNode() sends node, parameters, format, options and encoded bytes", async () => {
  let seen: ExecuteNodeRequest | undefined;
  await withFake({
    executeNode: (request) => (seen = request, { status: ExecutionStatus.SUCCESS }),
  }, async (client) => {
    await client.executeNode("Resize", encoded(Uint8Array.of(1, 2)), {
      config: { size: [10, 20], method: "lanczos", exact: true, seed: 2n ** 64n },
      format: "raw",
      options: { timeoutSeconds: 5 },
    });
  });
  assert.equal(seen?.nodeType, "Resize");
  assert.deepEqual(seen.config, { size: "[10,20]", method: "lanczos", exact: "true", seed: "18446744073709551616" });
  assert.deepEqual([...seen.inputData], [1, 2]);
  assert.equal(seen.serializationFormat, "raw");
  assert.equal(seen.options?.timeoutSeconds, 5);
});

Deno.test("RemoteExecutionClient.executeNode() rejects with ExecutionError for any status but SUCCESS", async () => {
  await withFake({
    executeNode: () => ({
      status: ExecutionStatus.RESOURCE_LIMIT,
      errorMessage: "too much",
      errorTraceback: "at line 1",
      metrics: { ...NO_METRICS, durationMs: 12 },
    }),
  }, async (client, { calls }) => {
    await assert.rejects(client.executeNode("Any", 1), (error) => {
      assert.ok(error instanceof ExecutionError);
      assert.equal(error.status, ExecutionStatus.RESOURCE_LIMIT);
      assert.equal(error.statusName, "RESOURCE_LIMIT");
      assert.equal(error.message, "too much");
      assert.equal(error.traceback, "at line 1");
      assert.equal(error.metrics?.durationMs, 12);
      return true;
    });
    assert.equal(calls.length, 1);
  });
});

const NO_METRICS = {
  startTimestamp: 0,
  endTimestamp: 0,
  durationMs: 0,
  cpuTimeMs: 0,
  memoryPeakMb: 0,
  memoryAverageMb: 0,
  inputSizeBytes: 0,
  outputSizeBytes: 0,
  exitCode: 0,
  sandboxId: "",
  queueTimeMs: 0,
};

const failures = [
  { code: GrpcStatus.UNAVAILABLE, details: "draining", attempts: 4 },
  { code: GrpcStatus.RESOURCE_EXHAUSTED, details: "queue is full", attempts: 4 },
  { code: GrpcStatus.RESOURCE_EXHAUSTED, details: "Received message larger than max (9 vs. 4)", attempts: 1 },
  { code: GrpcStatus.UNAVAILABLE, details: "draining", attempts: 1, idempotent: false },
  { code: GrpcStatus.RESOURCE_EXHAUSTED, details: "queue is full", attempts: 4, idempotent: false },
  { code: GrpcStatus.INVALID_ARGUMENT, details: "no", attempts: 1 },
  { code: GrpcStatus.PERMISSION_DENIED, details: "no", attempts: 1 },
  { code: GrpcStatus.INTERNAL, details: "no", attempts: 1 },
];

for (const { code, details, attempts, idempotent = true } of failures) {
  const name = `${GrpcStatus[code]} "${details}"${idempotent ? "" : " of a call that is not idempotent"}`;
  Deno.test(`RemoteExecutionClient makes ${attempts} attempts at ${name}`, async () => {
    const executeNode = () => {
      throw rpcFailure(code, details);
    };
    await withFake({ executeNode }, async (client, { calls }) => {
      await assert.rejects(client.executeNode("Any", 1, { idempotent }), (error) => {
        assert.ok(error instanceof RpcError);
        assert.equal(error.code, code);
        assert.equal(error.codeName, GrpcStatus[code]);
        assert.equal(error.details, details);
        assert.equal(error.attempts, attempts);
        assert.ok(error.cause instanceof Error);
        assert.match(error.message, /^Cannot call ExecuteNode at 127\.0\.0\.1:\d+: /);
        return true;
      });
      assert.equal(calls.length, attempts);
    });
  });
}

Deno.test("RemoteExecutionClient answers when a later attempt succeeds", async () => {
  let failuresLeft = 2;
  await withFake({
    executeNode: ({ inputData }) => {
      if (failuresLeft-- > 0) throw rpcFailure(GrpcStatus.UNAVAILABLE, "not yet");
      return { status: ExecutionStatus.SUCCESS, outputData: inputData };
    },
  }, async (client, { calls }) => {
    assert.equal((await client.executeNode("Any", "x")).value, "x");
    assert.equal(calls.length, 3);
  });
});

Deno.test("RemoteExecutionClient ends a call at its deadline, on both sides", async () => {
  const cancelled = Promise.withResolvers<void>();
  await withFake({
    executeNode: (_, call) => void call.on("cancelled", cancelled.resolve),
  }, async (client) => {
    await assert.rejects(client.executeNode("Any", 1, { timeoutMs: 100 }), { codeName: "DEADLINE_EXCEEDED" });
    await cancelled.promise;
  });
});

Deno.test("RemoteExecutionClient rejects with the signal's reason and cancels the call", async () => {
  const cancelled = Promise.withResolvers<void>();
  const abort = new AbortController();
  const reason = new Error("changed my mind");
  await withFake({
    executeNode: (_, call) => {
      call.on("cancelled", cancelled.resolve);
      abort.abort(reason);
      return undefined;
    },
  }, async (client, { calls }) => {
    await assert.rejects(client.executeNode("Any", 1, { signal: abort.signal }), reason);
    await cancelled.promise;
    await assert.rejects(client.executeNode("Any", 1, { signal: abort.signal }), reason);
    assert.equal(calls.length, 1);
  });
});

Deno.test("RemoteExecutionClient lists nodes, and tells status and health", async () => {
  await withFake({}, async (client) => {
    assert.equal((await client.listNodes()).length, 2);
    assert.deepEqual((await client.listNodes({ category: "base" })).map(({ nodeType }) => nodeType), [
      "PassThroughNode",
    ]);
    const status = await client.getStatus({ includeSessions: true });
    assert.equal(status.uptimeSeconds, 3_725);
    assert.equal(status.metrics?.totalRequests, 7);
    assert.equal(status.activeSessions[0]?.sessionId, "s-1");
    assert.equal((await client.getStatus({ includeMetrics: false })).metrics, undefined);
    assert.equal(await client.checkHealth(), "SERVING");
  });
});

Deno.test("RemoteExecutionClient.watchHealth() yields every change until it is left", async () => {
  await withFake({}, async (client) => {
    const seen: string[] = [];
    for await (const health of client.watchHealth()) {
      seen.push(health);
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, ["SERVING", "NOT_SERVING"]);
  });
});

Deno.test("RemoteExecutionClient sends the token with every call", async () => {
  let authorization: unknown;
  using fake = await FakeService.start({
    executeNode: (_, call) => {
      authorization = call.metadata.get("authorization");
      return { status: ExecutionStatus.SUCCESS };
    },
  });
  using client = new RemoteExecutionClient(fake.address, { token: "s3cret" });
  await client.executeNode("Any", encoded(new Uint8Array()));
  assert.deepEqual(authorization, ["Bearer s3cret"]);
});

Deno.test({
  name: "RemoteExecutionClient talks TLS to a service whose certificate it trusts, and to no other",
  ...WITHOUT_TIMER_CHECK,
  fn: async () => {
    using fake = await FakeService.start();
    await using front = TlsFront.start(fake.address);
    const retry = { maxAttempts: 1 };
    using client = new RemoteExecutionClient(front.address, {
      tls: { caCert: CERTIFICATE, serverName: "rexec.test" },
      retry,
    });
    assert.equal((await client.executeNode("Any", "x")).value, "x");
    using stranger = new RemoteExecutionClient(front.address, { tls: { serverName: "rexec.test" }, retry });
    await assert.rejects(stranger.executeNode("Any", "x"), { name: "RpcError", codeName: "UNAVAILABLE" });
  },
});

Deno.test({
  name: "RemoteExecutionClient rejects with UNAVAILABLE when nobody listens",
  ...WITHOUT_TIMER_CHECK,
  fn: async () => {
    using client = new RemoteExecutionClient(closedAddress(), { retry: { maxAttempts: 1 } });
    await assert.rejects(client.getStatus(), { name: "RpcError", codeName: "UNAVAILABLE" });
  },
});

Deno.test("RemoteExecutionClient refuses options and addresses that make no sense", () => {
  assert.throws(() => new RemoteExecutionClient("localhost:50051", { retry: { maxAttempts: 0 } }), /maxAttempts/);
  assert.throws(() => new RemoteExecutionClient("localhost:50051", { tls: { clientKey: "x" } }), /go together/);
  assert.throws(() => new RemoteExecutionClient("local host"), RangeError);
});

Deno.test("RemoteExecutionClient.executeNode() rejects with PayloadError for what cannot be encoded or decoded", async () => {
  const executeNode = () => ({ status: ExecutionStatus.SUCCESS, outputData: new TextEncoder().encode("{") });
  await withFake({ executeNode }, async (client, { calls }) => {
    const input = client.executeNode("Any", Uint8Array.of(1), { format: "json" });
    await assert.rejects(input, { name: "PayloadError", direction: "input", message: /^Cannot encode input: / });
    assert.equal(calls.length, 0);
    const result = await client.executeNode("Any", 1, { format: "json" });
    assert.throws(() => result.value, { name: "PayloadError", direction: "output" });
  });
});
