import assert from "node:assert/strict";
import { status as GrpcStatus } from "@grpc/grpc-js";
import {
  ExecutionError,
  ExecutionStatus,
  FailureReason,
  fromValue,
  RemoteExecutionClient,
  RpcError,
} from "../../src/client/mod.ts";
import { codecFor } from "../../workers/codecs/mod.ts";
import { type ExecuteCustomTaskRequest, ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { type FakeBehaviour, FakeService, rpcFailure } from "../fakes/fake_service.ts";

const CODE = new TextEncoder().encode("export default (n: number) => 2 * n;");

async function withFake(
  executeCustomTask: NonNullable<FakeBehaviour["executeCustomTask"]>,
  test: (client: RemoteExecutionClient, fake: FakeService) => Promise<void>,
): Promise<void> {
  using fake = await FakeService.start({ executeCustomTask });
  using client = new RemoteExecutionClient(fake.address, { retry: { initialBackoffMs: 1, maxBackoffMs: 2 } });
  await test(client, fake);
}

Deno.test("RemoteExecutionClient.executeCustomTask() sends all that it is given, and gives all that comes back", async () => {
  let seen: ExecuteCustomTaskRequest | undefined;
  const answer = (request: ExecuteCustomTaskRequest) => {
    seen = request;
    return ExecuteCustomTaskResponse.fromPartial({
      status: ExecutionStatus.SUCCESS,
      outputData: request.inputData,
      stdout: "out\n",
      stderr: "err\n",
      installedDeps: ["zod@4.1.0"],
      metrics: { durationMs: 12 },
    });
  };
  await withFake(answer, async (client) => {
    const result = await client.executeCustomTask(CODE, {
      entryPoint: "main.ts:double",
      input: { n: [1, 2.5] },
      format: "json",
      dependencies: ["npm:zod@4"],
      options: { timeoutSeconds: 5, enableNetworking: true },
    });
    assert.deepEqual(fromValue(result.value), { n: [1, 2.5] });
    assert.equal(new TextDecoder().decode(result.output), '{"n":[1,2.5]}');
    assert.deepEqual([result.stdout, result.stderr], ["out\n", "err\n"]);
    assert.deepEqual(result.installedDependencies, ["zod@4.1.0"]);
    assert.equal(result.metrics?.durationMs, 12);
  });
  assert.ok(seen !== undefined);
  assert.deepEqual(Uint8Array.from(seen.codePackage), CODE);
  assert.equal(seen.entryPoint, "main.ts:double");
  assert.equal(seen.serializationFormat, "json");
  assert.deepEqual(seen.dependencies, ["npm:zod@4"]);
  assert.deepEqual([seen.options?.timeoutSeconds, seen.options?.enableNetworking], [5, true]);
});

Deno.test("RemoteExecutionClient.executeCustomTask() sends null as pickle and no entry point when told nothing", async () => {
  let seen: ExecuteCustomTaskRequest | undefined;
  await withFake(
    (request) => (seen = request, { status: ExecutionStatus.SUCCESS, outputData: request.inputData }),
    async (client) => {
      assert.equal((await client.executeCustomTask(CODE)).value, null);
    },
  );
  assert.ok(seen !== undefined);
  assert.equal(codecFor("pickle").decode(Uint8Array.from(seen.inputData)), null);
  assert.deepEqual([seen.entryPoint, seen.serializationFormat, seen.options], ["", "pickle", undefined]);
});

Deno.test("RemoteExecutionClient.executeCustomTask() rejects with all that is known of a failure", async () => {
  const answer = () =>
    ExecuteCustomTaskResponse.fromPartial({
      status: ExecutionStatus.RESOURCE_LIMIT,
      failureReason: FailureReason.MEMORY_LIMIT,
      errorMessage: "too much",
      errorTraceback: "at main.ts:1",
      stdout: "so far\n",
      stderr: "warned\n",
      metrics: { memoryPeakMb: 512 },
    });
  await withFake(answer, async (client, { calls }) => {
    await assert.rejects(client.executeCustomTask(CODE), (error) => {
      assert.ok(error instanceof ExecutionError);
      assert.equal(error.message, "too much");
      assert.deepEqual([error.status, error.statusName], [ExecutionStatus.RESOURCE_LIMIT, "RESOURCE_LIMIT"]);
      assert.deepEqual([error.failureReason, error.reasonName], [FailureReason.MEMORY_LIMIT, "MEMORY_LIMIT"]);
      assert.deepEqual([error.traceback, error.stdout, error.stderr], ["at main.ts:1", "so far\n", "warned\n"]);
      assert.equal(error.metrics?.memoryPeakMb, 512);
      return true;
    });
    assert.equal(calls.length, 1);
  });
});

const retries = [
  { code: GrpcStatus.UNAVAILABLE, attempts: 1 },
  { code: GrpcStatus.UNAVAILABLE, attempts: 4, idempotent: true },
  { code: GrpcStatus.RESOURCE_EXHAUSTED, attempts: 4 },
  { code: GrpcStatus.INTERNAL, attempts: 1, idempotent: true },
  { code: GrpcStatus.PERMISSION_DENIED, attempts: 1 },
];

for (const { code, attempts, idempotent } of retries) {
  const name = `${GrpcStatus[code]}${idempotent ? " when it is idempotent" : ""}`;
  Deno.test(`RemoteExecutionClient.executeCustomTask() makes ${attempts} attempts at ${name}`, async () => {
    const fail = () => {
      throw rpcFailure(code, "because");
    };
    await withFake(fail, async (client, { calls }) => {
      await assert.rejects(client.executeCustomTask(CODE, { idempotent }), (error) => {
        assert.ok(error instanceof RpcError);
        assert.deepEqual([error.code, error.attempts], [code, attempts]);
        return true;
      });
      assert.equal(calls.length, attempts);
    });
  });
}

Deno.test("RemoteExecutionClient.executeCustomTask() cancels the task when its signal aborts", async () => {
  const abort = new AbortController();
  const cancelled = Promise.withResolvers<void>();
  await withFake((_, call) => {
    call.on("cancelled", cancelled.resolve);
    abort.abort(new Error("enough"));
    return undefined;
  }, async (client) => {
    await assert.rejects(client.executeCustomTask(CODE, { signal: abort.signal }), /enough/);
    await cancelled.promise;
  });
});
