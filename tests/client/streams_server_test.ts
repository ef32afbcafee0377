import assert from "node:assert/strict";
import { ExecutionError, FailureReason, fromValue, RemoteExecutionClient } from "../../src/client/mod.ts";
import { startTestServer } from "../support/server.ts";

const CODE = new TextEncoder().encode(`export default class Counter {
  #count: number;
  constructor({ start = 0 }: { start?: number }) {
    this.#count = start;
  }
  add(n: number): number {
    console.log("adding", n);
    return this.#count += n;
  }
  fail(): never {
    throw new Error("boom");
  }
  process(n: number): number {
    return this.add(n);
  }
}
`);

Deno.test("RemoteExecutionClient's streams and objects against the service", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1 } });
  using client = new RemoteExecutionClient(server.address);

  await test.step("streamExecute() has outputs with metrics, and totals", async () => {
    const stream = client.streamExecute({ nodeType: "StatefulCounter", config: { initial_value: 5 } }, ["a", "b", "c"]);
    const outputs = await Array.fromAsync(stream, ({ value, metrics }) => [fromValue(value), metrics !== undefined]);
    assert.deepEqual(outputs, [[[5], true], [[6], true], [[7], true]]);
    assert.ok(stream.sessionId !== undefined && stream.totals !== undefined);
    assert.ok(stream.totals.inputSizeBytes > 0);
  });

  await test.step("an object keeps its state from call to call, and in a stream", async () => {
    await using counter = client.openObject(CODE, { config: { start: 5 }, format: "json" });
    const { value, stdout } = await counter.call("add", 1);
    assert.deepEqual([value, stdout], [6n, "adding 1\n"]);
    await assert.rejects(counter.call("fail"), (error: ExecutionError) => {
      return error instanceof ExecutionError && error.failureReason === FailureReason.EXCEPTION;
    });
    assert.deepEqual(await Array.fromAsync(counter.stream([2, 3]), ({ value }) => value), [8n, 11n]);
    assert.equal((await counter.call("add", 0)).value, 11n);
    await counter.close();
    assert.equal(counter.sessionId, undefined);
    assert.equal((await client.getStatus({ includeSessions: true })).activeSessions.length, 0);
  });

  await test.step("an object whose first call fails is there for the next", async () => {
    await using counter = client.openObject(CODE);
    await assert.rejects(counter.call("fail"), { message: /boom/ });
    const { sessionId } = counter;
    assert.equal((await counter.call("add", 2)).value, 2n);
    assert.equal(counter.sessionId, sessionId);
  });

  await test.step("streamObject() streams through an object of its own", async () => {
    const init = { codePackage: CODE, format: "json" } as const;
    assert.deepEqual(await Array.fromAsync(client.streamObject(init, [1, 2]), ({ value }) => value), [1n, 3n]);
  });

  await test.step("a stream that is left ends its session", async () => {
    const endless = (function* () {
      for (;;) yield 1;
    })();
    for await (const _ of client.streamExecute({ codePackage: CODE, format: "json" }, endless)) break;
    // The cancellation is on its way; a status that still has the session is asked for again.
    while ((await client.getStatus({ includeSessions: true })).activeSessions.length > 0);
  });
});
