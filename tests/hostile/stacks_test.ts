import assert from "node:assert/strict";
import { ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { TestClient, unary } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";

const TASKS: readonly (readonly [name: string, code: string, expected: unknown])[] = [
  [
    "are relative to the package, and hold its frames only",
    `export default () => new Error("x").stack.split("\\n");`,
    ["Error: x", "    at default (main.ts:1:22)"],
  ],
  ["hold no file URL", `export default () => /file:|\\/tmp|dist/.test(new Error("x").stack);`, false],
  [
    "name the awaiting functions of the user's code",
    `async function inner() { await null; throw new Error("x"); }
     export default async function outer() {
       try { await inner(); } catch (error) { return [...error.stack.matchAll(/at (?:async )?(\\w+)/g)].map(([, name]) => name).slice(0, 2); }
     }`,
    ["inner", "outer"],
  ],
  [
    "are prepared by the user's own function, without frames of the service",
    `Error.prepareStackTrace = (_, frames) => frames;
     export default () => new Error("x").stack.map((frame) => frame.getFileName().split("/").at(-1));`,
    ["main.ts"],
  ],
  [
    "are as before where that function is taken away again",
    `const before = Error.prepareStackTrace;
     Error.prepareStackTrace = () => 5;
     Error.prepareStackTrace = before;
     export default () => typeof new Error("x").stack;`,
    "string",
  ],
];

Deno.test("Stacks tell user code nothing of where the service is installed", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1 } });
  using client = new TestClient(server.address);
  for (const [name, code, expected] of TASKS) {
    await test.step(`they ${name}`, async () => {
      const answer = await unary(client.stub, client.stub.executeCustomTask, {
        codePackage: new TextEncoder().encode(code),
        entryPoint: "main.ts",
        inputData: new TextEncoder().encode("null"),
        serializationFormat: "json",
        dependencies: [],
        options: ExecutionOptions.create(),
      }).answer;
      assert(answer.ok);
      assert.equal(answer.response.status, ExecutionStatus.SUCCESS, answer.response.errorMessage);
      assert.deepEqual(JSON.parse(new TextDecoder().decode(answer.response.outputData)), expected);
    });
  }
});
