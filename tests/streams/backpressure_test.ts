import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { StatusRequest } from "../../protos/generated/execution.ts";
import { TestClient, unary } from "../support/client.ts";
import { ExecuteTalk, NodeTalk, packageOf } from "../support/conversations.ts";
import { residentBytes, until } from "../support/processes.ts";
import { startTestServer } from "../support/server.ts";

const ITEM_BYTES = 256 * 1024;
/** What is given in all: many times what may be unread. */
const ITEMS = 800;
/** The budget, what clients and kernels hold by themselves, and what the collector has not looked at yet. */
const MAX_GROWTH_BYTES = 120 * 1024 * 1024;

async function processedItems(client: TestClient): Promise<number> {
  const request = StatusRequest.fromPartial({ includeSessions: true });
  const answer = await unary(client.stub, client.stub.getStatus, request).answer;
  assert(answer.ok);
  return answer.response.activeSessions.reduce((sum, session) => sum + session.processedItems, 0);
}

/** Waits until a count has stayed the same for so many looks in a row: nothing tells that something stands still. */
async function untilItStands(count: () => Promise<number>): Promise<number> {
  let last = -1;
  let same = 0;
  await until("it stands still", async () => {
    const now = await count();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 30 && now > 0;
  });
  return last;
}

Deno.test("A reader that stops reading stops its own stream, and no other", async (test) => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 2, "pool.maxTaskHosts": 2, "sessions.unreadKb": 512 },
  });
  using client = new TestClient(server.address);
  using observer = new TestClient(server.address);
  const item = new Uint8Array(ITEM_BYTES).fill(7);

  await test.step("whose caller sends as fast as it can", async () => {
    using talk = new NodeTalk(client);
    talk.init("PassThroughNode", {}, "raw");
    talk.giveBytes(item);
    assert.notEqual(await talk.next(), undefined);
    const atStart = residentBytes(server.pid);
    talk.call.pause();
    for (let count = 0; count < ITEMS; count++) talk.giveBytes(item);
    talk.halfClose();
    const stood = await untilItStands(() => processedItems(observer));
    assert(stood < ITEMS / 4, `${stood} items were processed for a reader that reads nothing`);
    const grown = residentBytes(server.pid) - atStart;
    assert(grown < MAX_GROWTH_BYTES, `the server grew by ${Math.round(grown / 1024 / 1024)} MB`);

    // On the very same connection.
    using other = new NodeTalk(client);
    other.init("StatefulCounter");
    for (let count = 0; count < 100; count++) {
      other.give(count);
      assert.deepEqual(await other.output(), [count]);
    }
    assert.equal((await client.run({ nodeType: "PassThroughNode", input: "beside" })).output, "beside");

    talk.call.resume();
    let received = 0;
    for (let message = await talk.next(); message !== undefined; message = await talk.next()) {
      assert(message.payload?.$case === "data" && message.payload.value.length === ITEM_BYTES);
      received++;
    }
    assert.equal(received, ITEMS);

    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("whose user code gives without end", async () => {
    using talk = new ExecuteTalk(client);
    const code = `export default async function* (items) {
      for (let i = 0; ; i++) yield new Uint8Array(${ITEM_BYTES}).fill(i);
    }`;
    await talk.init({ nodeType: "custom", codePackage: packageOf(code) });
    talk.call.pause();
    const atStart = residentBytes(server.pid);
    const sent = async () => {
      const match = /^rexec_bytes_out_total (\d+)$/m.exec(await server.metrics());
      return Number(match?.[1] ?? 0);
    };
    talk.send({
      requestType: {
        $case: "data",
        value: { sessionId: talk.sessionId, inputData: new Uint8Array(1), serializationFormat: "raw" },
      },
    });
    const before = await sent();
    await untilItStands(async () => await sent() - before);
    const grown = residentBytes(server.pid) - atStart;
    assert(grown < MAX_GROWTH_BYTES, `the server grew by ${Math.round(grown / 1024 / 1024)} MB`);
    talk.call.resume();
    for (let count = 0; count < 100; count++) {
      const type = (await talk.next())?.responseType;
      assert(type?.$case === "data");
      assert.equal(type.value.outputData[0], count % 256);
      assert.equal(type.value.outputData.length, ITEM_BYTES);
    }
  });
});
