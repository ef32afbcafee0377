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

Deno.test("ObjectSession makes its object with the first call, calls it in its session, and closes it", async () => {
  const seen: ExecuteObjectMethodRequest[] = [];
  const executeObjectMethod = (request: ExecuteObjectMethodRequest) => {
    seen.push(request);
    return { ...SUCCESS, resultData: request.methodArgsData, stdout: "called\n" };
  };
  await withFake({ executeObjectMethod }, async (client) => {
    const config = { start: 5 };
    const init = { entryPoint: "main.ts:Counter", config, format: "json", options: { memoryLimitMb: 64 } } as const;
    await using object = client.openObject(PACKAGE, init);
    assert.equal(object.sessionId, undefined);
    // At once: the second has to wait for the session of the first.
    const [{ value, stdout, stderr }] = await Promise.all([object.call("add", 1, { by: [2] }), object.call("get")]);
    assert.deepEqual([value, stdout, stderr], [[1n, new Map([["by", [2n]]])], "called\n", ""]);
    assert.equal(object.sessionId, "object-1");
    await object.close();
    await object.close();
    assert.equal(object.sessionId, undefined);
  });
  assert.deepEqual(
    seen.map(({ objectSpecifier, methodName, close }) => [objectSpecifier?.$case, methodName, close]),
    [["codePackage", "add", false], ["sessionId", "get", false], ["sessionId", "", true]],
  );
  const [opening, call] = seen;
  assert.deepEqual(
    [opening?.entryPoint, opening?.config, opening?.options?.memoryLimitMb],
    ["main.ts:Counter", { start: "5" }, 64],
  );
  assert.deepEqual([call?.objectSpecifier?.value, call?.serializationFormat], ["object-1", "json"]);
});

Deno.test("ObjectSession.call() rejects with why the object cannot be made, and the next call tries again", async () => {
  const failure = {
    status: ExecutionStatus.ERROR,
    errorMessage: "no class",
    failureReason: FailureReason.INVALID_TASK,
  };
  const answers = [failure, SUCCESS];
  await withFake({ executeObjectMethod: () => answers.shift()! }, async (client) => {
    const object = client.openObject(PACKAGE);
    await assert.rejects(object.call("add"), { message: "no class", reasonName: "INVALID_TASK" });
    assert.throws(() => object.stream([]), TypeError);
    await object.call("add");
    assert.equal(object.sessionId, "object-1");
  });
});

Deno.test("ObjectSession.call() rejects with what the method threw, once, and keeps the session", async () => {
  const failure = { errorMessage: "too slow", errorTraceback: "at add", stderr: "hm\n" };
  const executeObjectMethod = () => ({ ...SUCCESS, ...failure, status: ExecutionStatus.TIMEOUT });
  await withFake({ executeObjectMethod }, async (client, fake) => {
    const object = client.openObject(PACKAGE);
    await assert.rejects(object.call("add"), (error: ExecutionError) => {
      assert.deepEqual([error.statusName, error.traceback, error.stderr], ["TIMEOUT", "at add", "hm\n"]);
      return true;
    });
    assert.deepEqual([object.sessionId, fake.calls.length], ["object-1", 1]);
  });
});

Deno.test("ObjectSession is disposed of quietly when the service has closed its session already", async () => {
  const executeObjectMethod = ({ close }: ExecuteObjectMethodRequest) =>
    close ? { status: ExecutionStatus.ERROR, errorMessage: "Session not found" } : SUCCESS;
  await withFake({ executeObjectMethod }, async (client, fake) => {
    const object = client.openObject(PACKAGE);
    await object.call("add");
    await object[Symbol.asyncDispose]();
    assert.equal(fake.calls.length, 2);
  });
});

Deno.test("ObjectSession.stream() streams through the session, and rejects with its error", async () => {
  let init: StreamObjectInit | undefined;
  const streamObject = sums((given) => init = given);
  await withFake({ executeObjectMethod: () => SUCCESS, streamObject }, async (client) => {
    const object = client.openObject(PACKAGE, { format: "json" });
    await object.call("open");
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
