import assert from "node:assert/strict";
import { ExecuteObjectMethodRequest, type ExecuteObjectMethodResponse } from "../../protos/generated/execution.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { packageFiles } from "../../src/client/mod.ts";
import { TestClient, unary } from "../support/client.ts";
import { ExecuteTalk, fromJson, NodeTalk, ObjectTalk, toJson } from "../support/conversations.ts";
import { startTestServer } from "../support/server.ts";

const SOURCE = `
import asyncio

class Account:
    def __init__(self, owner="nobody"):
        self.owner, self.balance, self.events = owner, 0, []

    async def initialize(self):
        self.events.append("initialize")

    def deposit(self, amount):
        self.balance += amount
        return self.balance

    async def report(self):
        await asyncio.sleep(0.01)
        return {"owner": self.owner, "balance": self.balance, "events": self.events}

    async def items(self):
        yield "first"
        yield "second"

    def fails(self):
        raise KeyError("nothing there")

    def process(self, item):
        self.balance += item
        return self.balance if item > 0 else None

    def flush(self):
        return ["flushed", self.balance]

    def cleanup(self):
        print("goodbye")

    def _private(self):
        return 1

async def doubled(inputs):
    async for item in inputs:
        yield item
        yield item * 2
    yield "end"
`;

const codePackage = packageFiles(new Map([["main.py", new TextEncoder().encode(SOURCE)]]), { runtime: "python" });

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

Deno.test("Python's objects, generators and nodes live as long as their streams", async (test) => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "python.maxSandboxes": 2 },
  });
  using client = new TestClient(server.address);

  await test.step("an object keeps its state from call to call", async () => {
    const first = await call(client, {
      objectSpecifier: { $case: "codePackage", value: codePackage },
      config: { owner: "'Ada'", entry_point: "main:Account" },
      methodName: "deposit",
    }, [10]);
    assert.equal(first.status, ExecutionStatus.SUCCESS, first.errorMessage);
    const objectSpecifier = { $case: "sessionId", value: first.sessionId } as const;
    const ask = (methodName: string, args: readonly unknown[] = []) =>
      call(client, { objectSpecifier, methodName }, args);
    assert.equal(fromJson((await ask("deposit", [5])).resultData), 15);
    const report = await ask("report");
    assert.deepEqual(fromJson(report.resultData), { owner: "Ada", balance: 15, events: ["initialize"] });
    assert.equal(fromJson((await ask("items")).resultData), "first");
    const failed = await ask("fails");
    assert.equal(failed.status, ExecutionStatus.ERROR);
    assert.equal(failed.errorMessage, "KeyError: 'nothing there'");
    assert.match(
      failed.errorTraceback,
      /^Traceback \(most recent call last\):\n {2}File "main\.py", line \d+, in fails/,
    );
    for (const method of ["_private", "__init__", "balance"]) {
      assert.match((await ask(method)).errorMessage, /it has no such public method; it has .*deposit/);
    }
    assert.equal((await ask("cleanup")).status, ExecutionStatus.SUCCESS);
  });

  await test.step("StreamExecute gives the outputs of a class, in order, and what it flushes", async () => {
    using talk = new ExecuteTalk(client);
    const opened = await talk.init({ nodeType: "custom", codePackage, entryPoint: "main:Account" });
    assert.equal("errorMessage" in opened && opened.errorMessage, "");
    for (const item of [1, 0, 2]) talk.give(item);
    assert.deepEqual([await talk.output(), await talk.output()], [1, 3]);
    talk.close();
    assert.deepEqual(await talk.output(), ["flushed", 3]);
    const end = await talk.output() as { $case: string };
    assert.equal(end.$case, "close");
  });

  await test.step("StreamExecute runs an async generator over its inputs", async () => {
    using talk = new ExecuteTalk(client);
    await talk.init({ nodeType: "custom", codePackage, entryPoint: "main:doubled" });
    talk.give(2);
    assert.deepEqual([await talk.output(), await talk.output()], [2, 4]);
    talk.give("ab");
    assert.deepEqual([await talk.output(), await talk.output()], ["ab", "abab"]);
    talk.close();
    assert.equal(await talk.output(), "end");
  });

  await test.step("StreamObject gives what an object makes of its inputs", async () => {
    using talk = new ObjectTalk(client);
    talk.init({
      objectSpecifier: { $case: "codePackage", value: codePackage },
      config: { entry_point: "main:Account" },
    });
    for (const item of [3, 4]) talk.give(item);
    assert.deepEqual([await talk.output(), await talk.output()], [3, 7]);
    talk.halfClose();
    assert.deepEqual(await talk.output(), ["flushed", 7]);
    assert.equal(await talk.output(), undefined);
  });

  await test.step("StreamNode runs the code of each input", async () => {
    using talk = new NodeTalk(client);
    talk.init("CodeExecutorNode");
    talk.give({ code: "result = input_data + 1", input: 1 });
    talk.give({ code: "pass" });
    const first = await talk.output() as Record<string, unknown>;
    assert.equal(first["result"], 2);
    assert.equal(first["processed_by"], "CodeExecutorNode[remote_CodeExecutorNode]");
    const second = await talk.output() as Record<string, unknown>;
    assert.equal(second["result"], "No result variable set");
    talk.halfClose();
    assert.equal(await talk.output(), undefined);
  });
});
