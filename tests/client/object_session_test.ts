import assert from "node:assert/strict";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { codecFor } from "../../workers/codecs/mod.ts";
import { type ExecutionError, ExecutionStatus, FailureReason, RemoteExecutionClient } from "../../src/client/mod.ts";
import type {
  ExecuteObjectMethodRequest,
  StreamObjectInit,
  StreamObjectRequest,
  StreamObjectResponse,
} from "../../protos/generated/execution.ts";
import { type FakeBehaviour, FakeService } from "../fakes/fake_service.ts";

const PACKAGE = Uint8Array.of(80, 75);
const SUCCESS = { status: ExecutionStatus.SUCCESS, sessionId: "object-1" };

async function withFake(
  behaviour: FakeBehaviour,
  test: (client: RemoteExecutionClient, fake: FakeService) => Promise<void>,
): Promise<void> {
  using fake = await FakeService.start(behaviour);
  using client = new RemoteExecutionClient(fake.address, { retry: { initialBackoffMs: 1, maxBackoffMs: 2 } });
  await test(client, fake);
}

/** Sends the sum of each list back, and refuses what is none. */
function sums(onInit: (init: StreamObjectInit) => void) {
  return (call: ServerDuplexStream<StreamObjectRequest, StreamObjectResponse>) => {
    call.on("data", ({ payload }: StreamObjectRequest) => {
      if (payload?.$case === "init") return onInit(payload.value);
      const value = codecFor("json").decode(payload?.value ?? new Uint8Array());
      if (Array.isArray(value)) return call.write({ payload: { $case: "data", value: payload!.value } });
      call.write({ payload: { $case: "error", value: "not a list" } });
      call.end();
    });
    call.on("end", () => call.end());
  };
}

Deno.test("RemoteExecutionClient.openObject() opens a session, calls its methods, and closes it", async () => {
  const seen: ExecuteObjectMethodRequest[] = [];
  const executeObjectMethod = (request: ExecuteObjectMethodRequest) => {
    seen.push(request);
    const resultData = request.methodArgsData;
    return { ...SUCCESS, resultData, stdout: "called\n", metrics: undefined };
  };
  await withFake({ executeObjectMethod }, async (client) => {
    const init = {
      entryPoint: "main.ts:Counter",
      config: { start: 5 },
      format: "json",
      options: { memoryLimitMb: 64 },
    };
    await using object = await client.openObject(PACKAGE, { ...init, format: "json" });
    assert.equal(object.sessionId, "object-1");
    const { value, stdout, stderr } = await object.call("add", 1, { by: [2] });
    assert.deepEqual([value, stdout, stderr], [[1n, new Map([["by", [2n]]])], "called\n", ""]);
    await object.close();
  });
  assert.deepEqual(
    seen.map(({ objectSpecifier, methodName, close }) => [objectSpecifier?.$case, methodName, close]),
    [["codePackage", "", false], ["sessionId", "add", false], ["sessionId", "", true]],
  );
  const [opening, call] = seen;
  assert.deepEqual([opening?.entryPoint, opening?.config, opening?.options?.memoryLimitMb], [
    "main.ts:Counter",
    { start: "5" },
    64,
  ]);
  assert.deepEqual([call?.objectSpecifier?.value, call?.serializationFormat], ["object-1", "json"]);
});

Deno.test("RemoteExecutionClient.openObject() rejects with why the object cannot be made", async () => {
  const failure = {
    status: ExecutionStatus.ERROR,
    errorMessage: "no class",
    failureReason: FailureReason.INVALID_TASK,
  };
  await withFake({ executeObjectMethod: () => failure }, async (client) => {
    await assert.rejects(client.openObject(PACKAGE), { message: "no class", reasonName: "INVALID_TASK" });
  });
});

Deno.test("ObjectSession.call() rejects with what the method threw, once, with its console", async () => {
  const executeObjectMethod = ({ methodName }: ExecuteObjectMethodRequest) =>
    methodName === ""
      ? SUCCESS
      : { status: ExecutionStatus.TIMEOUT, errorMessage: "too slow", errorTraceback: "at add", stderr: "hm\n" };
  await withFake({ executeObjectMethod }, async (client, fake) => {
    const object = await client.openObject(PACKAGE);
    await assert.rejects(object.call("add"), (error: ExecutionError) => {
      assert.deepEqual([error.statusName, error.traceback, error.stderr], ["TIMEOUT", "at add", "hm\n"]);
      return true;
    });
    assert.equal(fake.calls.length, 2);
  });
});

Deno.test("ObjectSession is disposed of quietly when the service has closed its session already", async () => {
  const executeObjectMethod = ({ close }: ExecuteObjectMethodRequest) =>
    close ? { status: ExecutionStatus.ERROR, errorMessage: "Session not found" } : SUCCESS;
  await withFake({ executeObjectMethod }, async (client) => {
    const object = await client.openObject(PACKAGE);
    await object[Symbol.asyncDispose]();
    await assert.rejects(object.close(), { message: "Session not found" });
  });
});

Deno.test("ObjectSession.stream() streams through the session, and rejects with its error", async () => {
  let init: StreamObjectInit | undefined;
  const streamObject = sums((given) => init = given);
  await withFake({ executeObjectMethod: () => SUCCESS, streamObject }, async (client) => {
    const object = await client.openObject(PACKAGE, { format: "json" });
    const outputs = await Array.fromAsync(object.stream([[1], [2, 3]]), ({ value }) => value);
    assert.deepEqual(outputs, [[1n], [2n, 3n]]);
    assert.deepEqual(init?.objectSpecifier, { $case: "sessionId", value: "object-1" });
    assert.equal(init.serializationFormat, "json");
    await assert.rejects(Array.fromAsync(object.stream(["text"])), { name: "ExecutionError", message: "not a list" });
  });
});

Deno.test("RemoteExecutionClient.streamObject() streams through an object of its own", async () => {
  let init: StreamObjectInit | undefined;
  await withFake({ streamObject: sums((given) => init = given) }, async (client) => {
    const code = { codePackage: PACKAGE, entryPoint: "Sum", config: { n: 1 }, format: "json" } as const;
    assert.equal((await Array.fromAsync(client.streamObject(code, [[1]]))).length, 1);
  });
  assert.deepEqual([init?.objectSpecifier?.$case, init?.entryPoint, init?.config], ["codePackage", "Sum", { n: "1" }]);
});
