import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { TestClient } from "../support/client.ts";
import { NodeTalk } from "../support/conversations.ts";
import { startTestServer } from "../support/server.ts";

Deno.test("StreamNode", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 2, "execution.maxInputMb": 1 } });
  using client = new TestClient(server.address);

  await test.step("runs a plain node on each item, in order, and null gives no output", async () => {
    using talk = new NodeTalk(client);
    talk.init("PassThroughNode");
    for (const value of [1, null, "two", [3]]) talk.give(value);
    talk.halfClose();
    assert.deepEqual(await Promise.all([talk.output(), talk.output(), talk.output()]), [1, "two", [3]]);
    assert.equal(await talk.next(), undefined);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("keeps a streaming node's state over the stream", async () => {
    using talk = new NodeTalk(client);
    talk.init("StatefulCounter", { initial_value: "5" });
    const outputs = [];
    for (let count = 0; count < 3; count++) {
      talk.give("x");
      outputs.push(await talk.output());
    }
    assert.deepEqual(outputs, [[5], [6], [7]]);
  });

  await test.step("flushes what the node still holds when the client half-closes", async () => {
    using talk = new NodeTalk(client);
    talk.init("AudioBuffer", { buffer_size_samples: "3" });
    talk.give([[0.5, 0.25, 0.125, 1], 8000]);
    talk.halfClose();
    const outputs = [await talk.output(), await talk.output()];
    assert.deepEqual(outputs, [[[[0.5, 0.25, 0.125]], 8000], [[[1]], 8000]]);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("says what is wrong with a node that does not exist, and ends", async () => {
    using talk = new NodeTalk(client);
    talk.init("NoSuchNode");
    const { error } = await talk.output() as { error: string };
    assert.match(error, /^Unknown node type: NoSuchNode/);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("says what is wrong with a config, and ends", async () => {
    using talk = new NodeTalk(client);
    talk.init("AudioBuffer");
    const { error } = await talk.output() as { error: string };
    assert.match(error, /buffer_size_samples/);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("ends with the cause when an input cannot be decoded; what came before is answered", async () => {
    using talk = new NodeTalk(client);
    talk.init("PassThroughNode");
    talk.give(1);
    talk.giveBytes(new TextEncoder().encode("{"));
    assert.equal(await talk.output(), 1);
    const { error } = await talk.output() as { error: string };
    assert.match(error, /JSON/i);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("ends with the cause when an input is too long", async () => {
    using talk = new NodeTalk(client);
    talk.init("PassThroughNode");
    talk.give("x".repeat(2 * 1024 * 1024));
    const { error } = await talk.output() as { error: string };
    assert.match(error, /execution\.maxInputMb/);
    assert.equal((await talk.ended).code, status.OK);
  });

  for (
    const [what, send] of [
      ["data first", (talk: NodeTalk) => talk.give(1)],
      ["nothing", (talk: NodeTalk) => talk.halfClose()],
      ["a second init", (talk: NodeTalk) => {
        talk.init("PassThroughNode");
        talk.init("PassThroughNode");
      }],
      ["a message that carries nothing", (talk: NodeTalk) => talk.send({ payload: undefined, errorMessage: "" })],
    ] as const
  ) {
    await test.step(`refuses ${what} with INVALID_ARGUMENT`, async () => {
      using talk = new NodeTalk(client);
      send(talk);
      const { code, details } = await talk.ended;
      assert.equal(code, status.INVALID_ARGUMENT, details);
      assert.match(details, /StreamNode/);
    });
  }

  await test.step("runs many streams at once, beside calls, each with its own state", async () => {
    const talks = Array.from({ length: 50 }, () => new NodeTalk(client));
    talks.forEach((talk, index) => talk.init("StatefulCounter", { initial_value: String(index * 1000) }));
    for (let count = 0; count < 10; count++) talks.forEach((talk) => talk.give(count));
    talks.forEach((talk) => talk.halfClose());
    const answers = await Promise.all(talks.map((talk) => talk.rest()));
    const call = await client.run({ nodeType: "PassThroughNode", input: "beside" });
    assert.equal(call.output, "beside");
    answers.forEach((messages, index) => {
      const values = messages.map(({ payload }) =>
        payload?.$case === "data" ? JSON.parse(new TextDecoder().decode(payload.value))[0] : undefined
      );
      assert.deepEqual(values, Array.from({ length: 10 }, (_, count) => index * 1000 + count));
    });
  });
});
