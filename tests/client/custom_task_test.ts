import assert from "node:assert/strict";
import { status as GrpcStatus } from "@grpc/grpc-js";
import {
  type ConsoleText,
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

Deno.test("RemoteExecutionClient.executeCustomTask() tells of the console in order, while the task runs", async () => {
  const told: ConsoleText[] = [];
  const first = Promise.withResolvers<void>();
  using fake = await FakeService.start({
    async watchCustomTask(call) {
      const texts = [
        { stream: { $case: "stdout", value: "a" } },
        { stream: { $case: "stderr", value: "b" } },
        { stream: { $case: "stdout", value: "c" } },
        { stream: undefined }, // Of a stream that later versions may have.
      ] as const;
      call.write({ event: { $case: "console", value: { texts: [...texts] } } });
      await first.promise;
      const response = {
        status: ExecutionStatus.SUCCESS,
        outputData: call.request.inputData,
        stdout: "ac",
        stderr: "b",
      };
      call.write({ event: { $case: "response", value: ExecuteCustomTaskResponse.fromPartial(response) } });
      call.end();
    },
  });
  using client = new RemoteExecutionClient(fake.address);
  const result = await client.executeCustomTask(CODE, {
    input: 7,
    onConsole: (text) => {
      told.push(text);
      first.resolve();
    },
  });
  const expected = [{ stdout: "a", stderr: "" }, { stdout: "", stderr: "b" }, { stdout: "c", stderr: "" }];
  assert.deepEqual(told, expected);
  assert.deepEqual([fromValue(result.value), result.stdout, result.stderr], [7, "ac", "b"]);
  assert.deepEqual(fake.calls, ["watchCustomTask"]);
});

Deno.test("RemoteExecutionClient.executeCustomTask() tells of the console at the end, where a service cannot before", async () => {
  const answer = () =>
    ExecuteCustomTaskResponse.fromPartial({ status: ExecutionStatus.ERROR, stdout: "a", stderr: "b" });
  await withFake(answer, async (client, fake) => {
    const told: ConsoleText[] = [];
    const onConsole = (text: ConsoleText) => void told.push(text);
    await assert.rejects(client.executeCustomTask(CODE, { onConsole }), ExecutionError);
    assert.deepEqual(told, [{ stdout: "a", stderr: "b" }]);
    assert.deepEqual(fake.calls, ["executeCustomTask"]);
  });
});

Deno.test("RemoteExecutionClient.executeCustomTask() says so when a watched call ends without a response", async () => {
  using fake = await FakeService.start({ watchCustomTask: (call) => void call.end() });
  using client = new RemoteExecutionClient(fake.address);
  await assert.rejects(client.executeCustomTask(CODE, { onConsole() {} }), (error) => {
    assert.ok(error instanceof RpcError);
    assert.equal(error.code, GrpcStatus.INTERNAL);
    assert.match(error.message, /^Cannot call WatchCustomTask at .*ended the call without a response$/);
    return true;
  });
});

Deno.test("RemoteExecutionClient.executeCustomTask() cancels a watched call when its signal aborts", async () => {
  const cancelled = Promise.withResolvers<void>();
  using fake = await FakeService.start({
    watchCustomTask(call) {
      call.on("cancelled", () => cancelled.resolve());
      call.write({ event: { $case: "console", value: { texts: [{ stream: { $case: "stdout", value: "a" } }] } } });
    },
  });
  using client = new RemoteExecutionClient(fake.address);
  const controller = new AbortController();
  const onConsole = () => controller.abort(new Error("enough"));
  await assert.rejects(client.executeCustomTask(CODE, { onConsole, signal: controller.signal }), /enough/);
  await cancelled.promise;
});
