import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import {
  ExecuteObjectMethodRequest,
  type ExecuteObjectMethodResponse,
  StatusRequest,
} from "../../protos/generated/execution.ts";
import { ExecutionOptions, ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { TestClient, unary } from "../support/client.ts";
import { fromJson, ObjectTalk, packageOf, toJson } from "../support/conversations.ts";
import { until } from "../support/processes.ts";
import { startTestServer } from "../support/server.ts";

const codePackage = packageOf(`
export default class Account {
  #secret = 42;
  constructor({ owner }) { this.owner = owner; this.balance = 0; }
  initialize() { this.ready = true; }
  deposit(amount) { this.balance += amount; console.log("deposited", amount); return this.balance; }
  async report() { return { owner: this.owner, balance: this.balance, ready: this.ready }; }
  fails() { throw new TypeError("not that"); }
  *list(count) { for (let i = 0; i < count; i++) yield i; }
  process(item) { this.balance += item; return this.balance; }
  flush() { return "flushed"; }
  spin() { for (;;); }
  _private() { return 1; }
  cleanup() { console.log("goodbye"); }
}
`);

async function call(
  client: TestClient,
  request: Partial<ExecuteObjectMethodRequest>,
  args: readonly unknown[] = [],
): Promise<ExecuteObjectMethodResponse> {
  const full = { serializationFormat: "json", methodArgsData: toJson(args), ...request };
  const answer = await unary(
    client.stub,
    client.stub.executeObjectMethod,
    ExecuteObjectMethodRequest.fromPartial(full),
  ).answer;
  if (!answer.ok) throw new Error(`The call failed with status ${answer.code}: ${answer.details}`);
  return answer.response;
}

function inSession(value: string): Pick<ExecuteObjectMethodRequest, "objectSpecifier"> {
  return { objectSpecifier: { $case: "sessionId", value } };
}

async function open(client: TestClient, request: Partial<ExecuteObjectMethodRequest> = {}): Promise<string> {
  const { sessionId, errorMessage } = await call(client, {
    objectSpecifier: { $case: "codePackage", value: codePackage },
    config: { owner: "Ada" },
    methodName: "report",
    ...request,
  });
  assert.notEqual(sessionId, "", errorMessage);
  return sessionId;
}

async function sessionsOf(client: TestClient): Promise<string[]> {
  const request = StatusRequest.fromPartial({ includeSessions: true });
  const answer = await unary(client.stub, client.stub.getStatus, request).answer;
  assert(answer.ok);
  return answer.response.activeSessions.map(({ sessionId }) => sessionId);
}

Deno.test("ExecuteObjectMethod and StreamObject", async (test) => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "pool.maxTaskHosts": 3, "pool.readyTaskHosts": 1 },
  });
  using client = new TestClient(server.address);

  await test.step("the first call makes the object, later ones find it as it was", async () => {
    const first = await call(client, {
      objectSpecifier: { $case: "codePackage", value: codePackage },
      config: { owner: "Ada" },
      methodName: "deposit",
    }, [10]);
    assert.equal(first.status, ExecutionStatus.SUCCESS, first.errorMessage);
    assert.equal(fromJson(first.resultData), 10);
    assert.equal(first.stdout, "deposited 10\n");
    assert.notEqual(first.metrics?.sandboxId, "");
    const { sessionId } = first;
    assert.equal(
      fromJson((await call(client, { ...inSession(sessionId), methodName: "deposit" }, [5])).resultData),
      15,
    );
    const report = await call(client, {
      ...inSession(sessionId),
      methodName: "report",
      methodArgsData: new Uint8Array(),
    });
    assert.deepEqual(fromJson(report.resultData), { owner: "Ada", balance: 15, ready: true });
    const listed = await call(client, { ...inSession(sessionId), methodName: "list" }, [3]);
    assert.deepEqual(fromJson(listed.resultData), [0, 1, 2]);
    assert.deepEqual(await sessionsOf(client), [sessionId]);
    const closed = await call(client, { ...inSession(sessionId), methodName: "report", close: true });
    assert.equal(closed.status, ExecutionStatus.SUCCESS);
    assert.equal(closed.sessionId, "");
    assert.equal(closed.stdout, "goodbye\n");
    assert.deepEqual(await sessionsOf(client), []);
    const gone = await call(client, { ...inSession(sessionId), methodName: "report" });
    assert.equal(gone.status, ExecutionStatus.ERROR);
    assert.match(gone.errorMessage, /^Session not found: .*; it was closed$/);
  });

  await test.step("what a method throws leaves the session as it is", async () => {
    const sessionId = await open(client);
    const failed = await call(client, { ...inSession(sessionId), methodName: "fails" });
    assert.equal(failed.status, ExecutionStatus.ERROR);
    assert.equal(failed.failureReason, FailureReason.EXCEPTION);
    assert.match(failed.errorMessage, /not that/);
    assert.match(failed.errorTraceback, /main\.ts/);
    assert.equal(failed.sessionId, sessionId);
    assert.equal(fromJson((await call(client, { ...inSession(sessionId), methodName: "deposit" }, [1])).resultData), 1);
    await call(client, { ...inSession(sessionId), close: true });
  });

  await test.step("refuses private, inherited and prototype names", async () => {
    const sessionId = await open(client);
    for (const methodName of ["_private", "#secret", "constructor", "__proto__", "toString", "owner", "nothing"]) {
      const answer = await call(client, { ...inSession(sessionId), methodName });
      assert.equal(answer.status, ExecutionStatus.ERROR, methodName);
      assert.equal(answer.failureReason, FailureReason.INVALID_TASK, methodName);
      assert.match(answer.errorMessage, /deposit/, methodName);
    }
    await call(client, { ...inSession(sessionId), close: true });
  });

  await test.step("opens a session without calling anything, and closes it likewise", async () => {
    const { sessionId, status: opened } = await call(client, {
      objectSpecifier: { $case: "codePackage", value: codePackage },
      config: { owner: "Eve" },
    });
    assert.equal(opened, ExecutionStatus.SUCCESS);
    const closed = await call(client, { ...inSession(sessionId), close: true });
    assert.deepEqual([closed.status, closed.sessionId], [ExecutionStatus.SUCCESS, ""]);
  });

  await test.step("is opened and closed as the SDK does it: by initialize and cleanup", async () => {
    for (const methodName of ["initialize", "__init__"]) {
      const opened = await call(client, {
        objectSpecifier: { $case: "codePackage", value: codePackage },
        config: { owner: "Eve" },
        methodName,
      });
      assert.equal(opened.status, ExecutionStatus.SUCCESS, opened.errorMessage);
      assert.equal(fromJson(opened.resultData), null);
      const { sessionId } = opened;
      assert.equal((await call(client, { ...inSession(sessionId), methodName: "deposit" }, [1])).status, 1);
      const cleaned = await call(client, { ...inSession(sessionId), methodName: "cleanup" });
      assert.deepEqual([cleaned.status, cleaned.sessionId], [ExecutionStatus.SUCCESS, ""]);
      const gone = await call(client, { ...inSession(sessionId), methodName: "report" });
      assert.match(gone.errorMessage, /^Session not found: .*; it was closed$/);
    }
    assert.deepEqual(await sessionsOf(client), []);
  });

  await test.step("a first call that is refused leaves no session", async () => {
    const refused = await call(client, {
      objectSpecifier: { $case: "codePackage", value: codePackage },
      config: { owner: "Eve" },
      methodName: "_private",
    });
    assert.deepEqual([refused.status, refused.sessionId], [ExecutionStatus.ERROR, ""]);
    assert.deepEqual(await sessionsOf(client), []);
  });

  await test.step("a call that takes too long ends its session, and says so", async () => {
    const options = ExecutionOptions.fromPartial({ timeoutSeconds: 1 });
    const sessionId = await open(client, { options });
    const late = await call(client, { ...inSession(sessionId), methodName: "spin" });
    assert.equal(late.status, ExecutionStatus.TIMEOUT);
    assert.equal(late.sessionId, "");
    const gone = await call(client, { ...inSession(sessionId), methodName: "report" });
    assert.match(gone.errorMessage, /^Session not found: .*; its code failed or was stopped$/);
  });

  await test.step("refuses what exports no object, and calls without a name", async () => {
    const refused = await call(client, {
      objectSpecifier: { $case: "codePackage", value: packageOf("export default (x) => x;") },
      methodName: "call",
    });
    assert.equal(refused.status, ExecutionStatus.ERROR);
    assert.match(refused.errorMessage, /the export is a function/);
    await assert.rejects(call(client, { ...inSession("x") }), /status 3/);
    await assert.rejects(call(client, { methodName: "x" }), /status 3/);
  });

  await test.step("StreamObject uses an object that lives as long as the stream", async () => {
    using talk = new ObjectTalk(client);
    talk.init({ objectSpecifier: { $case: "codePackage", value: codePackage }, config: { owner: "Bob" } });
    talk.give(1);
    talk.give(2);
    assert.deepEqual([await talk.output(), await talk.output()], [1, 3]);
    assert.equal((await sessionsOf(client)).length, 1);
    talk.halfClose();
    assert.equal(await talk.output(), "flushed");
    assert.equal((await talk.ended).code, status.OK);
    assert.deepEqual(await sessionsOf(client), []);
  });

  await test.step("StreamObject goes on with the object of a session, and leaves it there", async () => {
    const sessionId = await open(client);
    await call(client, { ...inSession(sessionId), methodName: "deposit" }, [100]);
    for (const expected of [101, 102]) {
      using talk = new ObjectTalk(client);
      talk.init({ ...inSession(sessionId) });
      talk.give(1);
      assert.equal(await talk.output(), expected);
      talk.halfClose();
      assert.equal(await talk.output(), "flushed");
      assert.equal((await talk.ended).code, status.OK);
    }
    const report = await call(client, { ...inSession(sessionId), methodName: "report", close: true });
    assert.deepEqual(fromJson(report.resultData), { owner: "Ada", balance: 102, ready: true });
  });

  await test.step("StreamObject says when there is no such session", async () => {
    using talk = new ObjectTalk(client);
    talk.init({ ...inSession("no-such-session") });
    const { error } = await talk.output() as { error: string };
    assert.match(error, /^Session not found/);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("a caller that goes away during a call ends the session", async () => {
    const sessionId = await open(client);
    const pending = unary(
      client.stub,
      client.stub.executeObjectMethod,
      ExecuteObjectMethodRequest.fromPartial({
        ...inSession(sessionId),
        methodName: "spin",
        serializationFormat: "json",
      }),
    );
    await until("it runs", async () => /^rexec_hosts\{state="task_busy"\} 1$/m.test(await server.metrics()));
    pending.cancel();
    await until("the session has ended", async () => (await sessionsOf(client)).length === 0);
  });
});

Deno.test("Sessions end when their time is up, and say so", async (test) => {
  await using server = await startTestServer({
    settings: {
      "pool.maxWorkers": 1,
      "pool.maxTaskHosts": 2,
      "sessions.idleTimeoutMs": 300,
    },
  });
  using client = new TestClient(server.address);

  await test.step("of an object", async () => {
    const sessionId = await open(client);
    await until("it has ended", async () => (await sessionsOf(client)).length === 0);
    const gone = await call(client, { ...inSession(sessionId), methodName: "report" });
    assert.equal(gone.status, ExecutionStatus.ERROR);
    assert.match(gone.errorMessage, /^Session not found: .*sessions\.idleTimeoutMs, 300 ms/);
  });

  await test.step("of a stream", async () => {
    using talk = new ObjectTalk(client);
    talk.init({ objectSpecifier: { $case: "codePackage", value: codePackage }, config: { owner: "Bob" } });
    const { error } = await talk.output() as { error: string };
    assert.match(error, /sessions\.idleTimeoutMs, 300 ms/);
    assert.equal((await talk.ended).code, status.DEADLINE_EXCEEDED);
  });

  await test.step("of a call that does not say what it wants", async () => {
    using talk = new ObjectTalk(client);
    const { code, details } = await talk.ended;
    assert.equal(code, status.DEADLINE_EXCEEDED);
    assert.match(details, /no init came within sessions\.idleTimeoutMs, 300 ms/);
  });
});

Deno.test("No more sessions are opened than may be", async () => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "pool.maxTaskHosts": 3, "sessions.maxSessions": 2 },
  });
  using client = new TestClient(server.address);
  const ids = [await open(client), await open(client)];
  await assert.rejects(open(client), /status 8.*sessions\.maxSessions is 2/);
  await call(client, { ...inSession(ids[0]!), close: true });
  await open(client);
});
