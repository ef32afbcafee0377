import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { ExecuteObjectMethodRequest, type ExecuteObjectMethodResponse } from "../../protos/generated/execution.ts";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { TestClient, unary } from "../support/client.ts";
import { ExecuteTalk, fromJson, NodeTalk, ObjectTalk, packageOf, toJson } from "../support/conversations.ts";
import { until } from "../support/processes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const codePackage = packageOf(`
export default class Item {
  seen = [];
  async process(item) {
    if (item.slow) await new Promise((resolve) => setTimeout(resolve, 300));
    if (item.fail) throw new TypeError("not " + item.name);
    this.seen.push(item.name);
    return item.name;
  }
  flush() { if (this.failsToFlush) throw new TypeError("no flush"); }
  failToFlush() { this.failsToFlush = true; }
  report() { return this.seen; }
  hang() { return new Promise(() => {}); }
  echo(text) { return text.length; }
}
`);

function call(client: TestClient, request: Partial<ExecuteObjectMethodRequest>, args: readonly unknown[] = []) {
  const full = { serializationFormat: "json", methodArgsData: toJson(args), ...request };
  return unary(client.stub, client.stub.executeObjectMethod, ExecuteObjectMethodRequest.fromPartial(full));
}

async function answer(
  client: TestClient,
  request: Partial<ExecuteObjectMethodRequest>,
  args: readonly unknown[] = [],
): Promise<ExecuteObjectMethodResponse> {
  const answer = await call(client, request, args).answer;
  if (!answer.ok) throw new Error(`The call failed with status ${answer.code}: ${answer.details}`);
  return answer.response;
}

function inSession(value: string): Pick<ExecuteObjectMethodRequest, "objectSpecifier"> {
  return { objectSpecifier: { $case: "sessionId", value } };
}

async function open(client: TestClient): Promise<string> {
  const opened = await answer(client, { objectSpecifier: { $case: "codePackage", value: codePackage } });
  assert.notEqual(opened.sessionId, "", opened.errorMessage);
  return opened.sessionId;
}

async function seenBy(client: TestClient, sessionId: string): Promise<unknown> {
  const report = await answer(client, { ...inSession(sessionId), methodName: "report" });
  assert.equal(report.status, ExecutionStatus.SUCCESS, report.errorMessage);
  return fromJson(report.resultData);
}

async function receivedBytes(server: TestServer): Promise<number> {
  return Number(/^rexec_bytes_in_total (\d+)$/m.exec(await server.metrics())?.[1] ?? 0);
}

Deno.test("What one stream does to others, and to the session it is attached to", async (test) => {
  await using server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "pool.maxTaskHosts": 8,
      "execution.maxInputMb": 1,
    },
  });
  using client = new TestClient(server.address);

  await test.step("a format as long as an input ends its own stream, not the host that it shares", async () => {
    using other = new NodeTalk(client);
    other.init("StatefulCounter");
    other.give(1);
    await other.output();
    for (const length of [1_100_000, 5_000_000]) {
      using talk = new ExecuteTalk(client);
      await talk.init({ nodeType: "PassThroughNode" });
      talk.give("x".repeat(1_000_000), "f".repeat(length));
      const [error] = await talk.rest();
      assert(error?.responseType?.$case === "error", JSON.stringify(error).slice(0, 500));
      assert.match(error.responseType.value.errorMessage, /format/);
      assert.equal(error.responseType.value.failureReason, FailureReason.INPUT_LIMIT);
    }
    other.give(1);
    const { error } = await other.output() as { error?: string };
    assert.equal(error, undefined);
  });

  await test.step("arguments or a name that are too long fail their call alone", async () => {
    const sessionId = await open(client);
    for (
      const [request, args] of [
        [{ methodName: "echo" }, ["x".repeat(2_500_000)]],
        [{ methodName: "m".repeat(2_500_000) }, []],
        [{ methodName: "echo", serializationFormat: "f".repeat(2_500_000) }, ["x"]],
      ] as const
    ) {
      const refused = await answer(client, { ...inSession(sessionId), ...request }, args);
      assert.equal(refused.status, ExecutionStatus.RESOURCE_LIMIT, refused.errorMessage);
      assert.equal(refused.failureReason, FailureReason.INPUT_LIMIT);
    }
    assert.deepEqual(await seenBy(client, sessionId), []);
  });

  await test.step("every item of an attached stream may fail, and the session stays", async () => {
    const sessionId = await open(client);
    using talk = new ObjectTalk(client);
    talk.init({ ...inSession(sessionId) });
    for (const name of ["a", "b", "c"]) talk.give({ name, fail: true });
    assert.match(JSON.stringify(await talk.output()), /not a/);
    assert.equal((await talk.ended).code, status.OK);
    assert.deepEqual(await seenBy(client, sessionId), []);
  });

  await test.step("what fails after its stream was cancelled ends nothing, and what comes of it reaches no other", async () => {
    const sessionId = await open(client);
    {
      using talk = new ObjectTalk(client);
      talk.init({ ...inSession(sessionId) });
      const received = await receivedBytes(server);
      const items = [{ name: "first", slow: true }, { name: "second" }, { name: "third", fail: true }];
      for (const item of items) talk.give(item);
      const bytes = items.reduce((sum, item) => sum + toJson(item).length, 0);
      await until("all has come", async () => await receivedBytes(server) === received + bytes);
    }
    let output: unknown;
    await until("it may be attached to again", async () => {
      const next = new ObjectTalk(client);
      next.init({ ...inSession(sessionId) });
      next.give({ name: "fourth" });
      output = await next.output();
      next.halfClose();
      return (await next.ended).code === status.OK;
    });
    assert.equal(output, "fourth");
    // What was under way runs to its end.
    const seen = await seenBy(client, sessionId);
    assert(Array.isArray(seen) && seen.includes("first") && seen.at(-1) === "fourth", JSON.stringify(seen));
  });

  await test.step("a flush that throws ends its stream, and the session stays", async () => {
    const sessionId = await open(client);
    await answer(client, { ...inSession(sessionId), methodName: "failToFlush" });
    for (let round = 0; round < 2; round++) {
      using talk = new ObjectTalk(client);
      talk.init({ ...inSession(sessionId) });
      talk.give({ name: `round ${round}` });
      assert.equal(await talk.output(), `round ${round}`);
      talk.halfClose();
      assert.match(JSON.stringify(await talk.output()), /no flush/);
      assert.equal((await talk.ended).code, status.OK);
    }
    assert.deepEqual(await seenBy(client, sessionId), ["round 0", "round 1"]);
  });

  await test.step("no more calls wait for one session than may", async () => {
    const sessionId = await open(client);
    const pending = Array.from(
      { length: 80 },
      () => call(client, { ...inSession(sessionId), methodName: "hang" }),
    );
    const refused = await Promise.any(pending.map(async ({ answer }) => {
      const settled = await answer;
      if (settled.ok) throw new Error(settled.response.errorMessage);
      return settled;
    }));
    assert.equal(refused.code, status.RESOURCE_EXHAUSTED);
    assert.match(refused.details, /Cannot call method: 64 calls of \d+ bytes wait/);
    for (const call of pending) call.cancel();
    await Promise.all(pending.map(({ answer }) => answer));
  });
});
