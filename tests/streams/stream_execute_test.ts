import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { ExecutionOptions, ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { TestClient } from "../support/client.ts";
import { ExecuteTalk, fromJson, packageOf } from "../support/conversations.ts";
import { startTestServer } from "../support/server.ts";

const CLASS = `
export default class Summer {
  constructor(config) { this.sum = config.start ?? 0; }
  async initialize() { console.log("initialized"); }
  process(item) {
    console.log("got", item);
    this.sum += item;
    return item < 0 ? null : this.sum;
  }
  *flush() { yield "sum"; yield this.sum; }
  cleanup() { console.error("cleaned up"); }
}
export async function* pairs(items, { signal }) {
  let last;
  for await (const item of items) {
    if (last !== undefined) { yield [last, item]; last = undefined; } else last = item;
  }
  if (last !== undefined) yield [last];
}
export const double = (item) => 2 * item;
export function fail(item) { throw new RangeError("no " + item); }
export function* many(count) { for (let i = 0; i < count; i++) yield i; }
export class Spin { process() { for (;;); } }
export class Idle { process(item) { setTimeout(() => { for (;;); }, 5); return item; } }
export class Rejects { process(item) { Promise.reject(new Error("nobody awaits this")); return new Promise(() => {}); } }
`;
const codePackage = packageOf(CLASS);

Deno.test("StreamExecute", async (test) => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 2, "pool.maxTaskHosts": 3, "pool.readyTaskHosts": 1 },
  });
  using client = new TestClient(server.address);

  await test.step("opens a node, answers each input with its outputs and metrics, closes with totals", async () => {
    using talk = new ExecuteTalk(client);
    const init = await talk.init({ nodeType: "StatefulCounter" });
    assert.deepEqual(init, { sessionId: talk.sessionId, status: ExecutionStatus.SUCCESS, errorMessage: "" });
    assert.notEqual(talk.sessionId, "");
    for (let count = 0; count < 3; count++) {
      talk.give("x");
      const type = (await talk.next())?.responseType;
      assert(type?.$case === "data");
      assert.equal(type.value.sessionId, talk.sessionId);
      assert.deepEqual(fromJson(type.value.outputData), [count]);
      const { metrics } = type.value;
      assert.equal(metrics?.outputSizeBytes, type.value.outputData.length);
      assert.equal(metrics?.inputSizeBytes, 3);
      assert.match(metrics?.sandboxId ?? "", /^node-/);
    }
    talk.close();
    const type = (await talk.next())?.responseType;
    assert(type?.$case === "close");
    assert.equal(type.value.totalMetrics?.inputSizeBytes, 9);
    assert.equal(type.value.totalMetrics?.outputSizeBytes, 9);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("closes with totals after a half-close, too", async () => {
    using talk = new ExecuteTalk(client);
    await talk.init({ nodeType: "PassThroughNode" });
    talk.give(1);
    talk.halfClose();
    const cases = (await talk.rest()).map(({ responseType }) => responseType?.$case);
    assert.deepEqual(cases, ["data", "close"]);
  });

  await test.step("says in its answer to init what is wrong with it, and ends", async () => {
    using talk = new ExecuteTalk(client);
    const init = await talk.init({ nodeType: "NoSuchNode" });
    assert("status" in init);
    assert.equal(init.status, ExecutionStatus.ERROR);
    assert.match(init.errorMessage, /^Unknown node type: NoSuchNode/);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("refuses what the policy does not grant with PERMISSION_DENIED", async () => {
    using talk = new ExecuteTalk(client);
    const options = ExecutionOptions.fromPartial({ timeoutSeconds: 100_000 });
    await assert.rejects(talk.init({ nodeType: "PassThroughNode", options }));
    assert.equal((await talk.ended).code, status.PERMISSION_DENIED);
  });

  await test.step("refuses data of another session with INVALID_ARGUMENT", async () => {
    using talk = new ExecuteTalk(client);
    await talk.init({ nodeType: "PassThroughNode" });
    talk.sessionId = "another";
    talk.give(1);
    assert.equal((await talk.ended).code, status.INVALID_ARGUMENT);
  });

  await test.step("runs a class: config, initialize, process, flush, cleanup, console", async () => {
    using talk = new ExecuteTalk(client);
    await talk.init({ nodeType: "custom", codePackage, config: { start: "10" } });
    for (const item of [1, -5, 2]) talk.give(item);
    talk.close();
    const messages = await talk.rest();
    const outputs = messages.flatMap(({ responseType: type }) =>
      type?.$case === "data" ? [fromJson(type.value.outputData)] : []
    );
    assert.deepEqual(outputs, [11, 8, "sum", 8]);
    const consoles = messages.map(({ responseType: type }) =>
      type?.$case === "data" || type?.$case === "close" ? type.value : { stdout: "", stderr: "" }
    );
    assert.equal(consoles.map(({ stdout }) => stdout).join(""), "initialized\ngot 1\ngot -5\ngot 2\n");
    assert.equal(consoles.map(({ stderr }) => stderr).join(""), "cleaned up\n");
    assert.equal(messages.at(-1)?.responseType?.$case, "close");
    assert.equal((await talk.ended).code, status.OK);
  });

  for (
    const [entryPoint, inputs, expected] of [
      ["main.ts:pairs", [1, 2, 3], [[1, 2], [3]]],
      ["main.ts:double", [1, 2], [2, 4]],
      ["main.ts:many", [0, 2], [0, 1]],
    ] as const
  ) {
    await test.step(`runs ${entryPoint}`, async () => {
      using talk = new ExecuteTalk(client);
      // In either place.
      const where = entryPoint === "main.ts:double" ? { config: { entry_point: entryPoint } } : { entryPoint };
      const init = await talk.init({ nodeType: "custom", codePackage, ...where });
      assert("status" in init && init.status === ExecutionStatus.SUCCESS, JSON.stringify(init));
      for (const input of inputs) talk.give(input);
      talk.close();
      const outputs = (await talk.rest()).flatMap(({ responseType: type }) =>
        type?.$case === "data" ? [fromJson(type.value.outputData)] : []
      );
      assert.deepEqual(outputs, expected);
    });
  }

  await test.step("ends with what user code throws, and where", async () => {
    using talk = new ExecuteTalk(client);
    await talk.init({ nodeType: "custom", codePackage, entryPoint: "main.ts:fail" });
    talk.give(7);
    const type = (await talk.next())?.responseType;
    assert(type?.$case === "error", JSON.stringify(type));
    assert.match(type.value.errorMessage, /no 7/);
    assert.match(type.value.errorTraceback, /main\.ts:\d+/);
    assert.equal(type.value.failureReason, FailureReason.EXCEPTION);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("ends with what user code throws where nobody awaits it", async () => {
    using talk = new ExecuteTalk(client);
    await talk.init({ nodeType: "custom", codePackage, entryPoint: "main.ts:Rejects" });
    talk.give(7);
    const type = (await talk.next())?.responseType;
    assert(type?.$case === "error", JSON.stringify(type));
    assert.match(type.value.errorMessage, /nobody awaits this/);
  });

  await test.step("ends an input that takes longer than it may", async () => {
    using talk = new ExecuteTalk(client);
    const options = ExecutionOptions.fromPartial({ timeoutSeconds: 1 });
    await talk.init({ nodeType: "custom", codePackage, entryPoint: "main.ts:Spin", options });
    talk.give(7);
    const type = (await talk.next())?.responseType;
    assert(type?.$case === "error", JSON.stringify(type));
    assert.equal(type.value.failureReason, FailureReason.TIME_LIMIT);
    assert.equal((await talk.ended).code, status.OK);
  });

  await test.step("ends user code that uses too much CPU time between its inputs", async () => {
    using talk = new ExecuteTalk(client);
    const options = ExecutionOptions.fromPartial({ cpuTimeSeconds: 1 });
    await talk.init({ nodeType: "custom", codePackage, entryPoint: "main.ts:Idle", options });
    talk.give(7);
    assert.equal(await talk.output(), 7);
    const type = (await talk.next())?.responseType;
    assert(type?.$case === "error", JSON.stringify(type));
    assert.equal(type.value.failureReason, FailureReason.CPU_LIMIT);
  });

  for (
    const [what, request, pattern] of [
      ["an export that is not there", { entryPoint: "main.ts:nothing" }, /no export "nothing"/],
      ["a package that is none", { codePackage: new Uint8Array([1, 2, 3]) }, /main\.ts:1:1: Unexpected character/],
      ["no package", { codePackage: new Uint8Array() }, /package/i],
    ] as const
  ) {
    await test.step(`says what is wrong with ${what}`, async () => {
      using talk = new ExecuteTalk(client);
      const init = await talk.init({ nodeType: "custom", codePackage, ...request });
      assert("status" in init);
      assert.notEqual(init.status, ExecutionStatus.SUCCESS);
      assert.match(init.errorMessage, pattern);
      assert.equal((await talk.ended).code, status.OK);
    });
  }
});
