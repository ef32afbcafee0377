import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { type NodeCall, TestClient, unary } from "../support/client.ts";
import { longText } from "../support/hosts.ts";
import { until } from "../support/processes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const MEGABYTE = 1024 * 1024;
/** Computes for minutes unless it is stopped. */
const ENDLESS: NodeCall = { nodeType: "TextProcessorNode", input: longText(5_000), options: { timeoutSeconds: 300 } };
const ECHO: NodeCall = { nodeType: "PassThroughNode", input: { a: [1, "ü", null] } };

async function start(settings: Record<string, unknown> = {}): Promise<TestServer> {
  return await startTestServer({ settings: { "pool.maxWorkers": 1, "sandbox.probe": false, ...settings } });
}

async function assertWorks(client: TestClient): Promise<void> {
  const answer = await client.run(ECHO);
  assert.deepEqual([answer.status, answer.output], [ExecutionStatus.SUCCESS, ECHO.input]);
}

/** Resolves when a host waits for work: one that was killed has been replaced. */
async function available(client: TestClient): Promise<void> {
  await until("a host is available", async () => (await load(client)).availableWorkers > 0);
}

/** Resolves when that many hosts run something. */
async function busy(client: TestClient, count: number): Promise<void> {
  await until(`${count} hosts are busy`, async () => (await load(client)).busyWorkers === count);
}

async function load(client: TestClient) {
  const request = { includeMetrics: true, includeSessions: false };
  const answer = await unary(client.stub, client.stub.getStatus, request).answer;
  assert(answer.ok && answer.response.metrics !== undefined);
  return answer.response.metrics;
}

Deno.test("ExecuteNode answers with the output and what it took", async () => {
  await using server = await start();
  using client = new TestClient(server.address);
  const answer = await client.run(ECHO);
  assert.deepEqual([answer.status, answer.errorMessage, answer.errorTraceback], [ExecutionStatus.SUCCESS, "", ""]);
  assert.deepEqual(answer.output, ECHO.input);
  const metrics = answer.metrics!;
  const bytes = new TextEncoder().encode(JSON.stringify(ECHO.input)).length;
  assert.deepEqual([metrics.inputSizeBytes, metrics.outputSizeBytes, metrics.exitCode], [bytes, bytes, 0]);
  assert(metrics.endTimestamp >= metrics.startTimestamp && metrics.startTimestamp > Date.UTC(2024));
  assert.notEqual(metrics.sandboxId, "");
});

Deno.test("ExecuteNode carries megabytes there and back, whatever came before", async () => {
  await using server = await start();
  using client = new TestClient(server.address);
  for (const size of [0, 1, 131_063, 131_072, 1_000_000, 40 * MEGABYTE, 2]) {
    const input = new Uint8Array(size).fill(size % 251);
    const answer = await client.run({ nodeType: "PassThroughNode", format: "raw", input });
    assert.equal(answer.status, ExecutionStatus.SUCCESS, answer.errorMessage);
    assert.deepEqual(new Uint8Array(answer.outputData), input);
  }
});

const FAILURES: readonly [name: string, call: NodeCall, status: ExecutionStatus, message: RegExp][] = [
  ["an unknown node", { nodeType: "Nope" }, ExecutionStatus.ERROR, /^Unknown node type: Nope\b.*PassThroughNode/],
  ["an unknown format", { ...ECHO, format: "xml" }, ExecutionStatus.ERROR, /xml/],
  ["input that is not in its format", { ...ECHO, input: Uint8Array.of(0x7b) }, ExecutionStatus.ERROR, /JSON/],
  ["a missing parameter", { nodeType: "AudioBuffer" }, ExecutionStatus.ERROR, /buffer_size_samples/],
  [
    "a pickle that would run code",
    { nodeType: "PassThroughNode", format: "pickle", input: new TextEncoder().encode("cos\nsystem\n(S'true'\ntR.") },
    ExecutionStatus.SECURITY_VIOLATION,
    /os\.system/,
  ],
  [
    "an output above its limit",
    {
      nodeType: "PassThroughNode",
      format: "raw",
      input: new Uint8Array(MEGABYTE + 1),
      options: { maxOutputSizeMb: 1 },
    },
    ExecutionStatus.RESOURCE_LIMIT,
    /output/i,
  ],
  [
    "an input above its limit",
    { nodeType: "PassThroughNode", format: "raw", input: new Uint8Array(2 * MEGABYTE + 1) },
    ExecutionStatus.RESOURCE_LIMIT,
    /2097153 bytes, execution.maxInputMb allows 2097152/,
  ],
  [
    "a config that fits into no frame",
    { ...ECHO, config: { a: "x".repeat(2 * MEGABYTE) } },
    ExecutionStatus.RESOURCE_LIMIT,
    /config/,
  ],
  [
    "a node type that fits into no frame",
    { ...ECHO, nodeType: "x".repeat(2 * MEGABYTE) },
    ExecutionStatus.RESOURCE_LIMIT,
    /node type/,
  ],
  [
    "more memory than it may use",
    {
      nodeType: "VideoResizer",
      config: { target_resolution: "(8000, 8000)" },
      input: { dtype: "uint8", shape: [2, 2, 3], data: btoa("\0".repeat(12)) },
      options: { memoryLimitMb: 64 },
    },
    ExecutionStatus.RESOURCE_LIMIT,
    /64 MiB/,
  ],
];

Deno.test("ExecuteNode says what is wrong with an execution, and goes on", async (test) => {
  await using server = await start({ "execution.maxInputMb": 2 });
  using client = new TestClient(server.address);
  for (const [name, call, expected, message] of FAILURES) {
    await test.step(name, async () => {
      const answer = await client.run(call);
      assert.equal(ExecutionStatus[answer.status], ExecutionStatus[expected], answer.errorMessage);
      assert.match(answer.errorMessage, message);
      assert.equal(answer.outputData.length, 0);
      await assertWorks(client);
    });
  }
  assert.doesNotMatch(await server.metrics(), /^rexec_host_restarts_total\{/m);
});

const REFUSALS: readonly [name: string, call: NodeCall, code: number, details: RegExp][] = [
  [
    "a time limit above the ceiling",
    { ...ECHO, options: { timeoutSeconds: 301 } },
    7,
    /ceilings.timeoutSeconds of 300/,
  ],
  ["a negative limit", { ...ECHO, options: { memoryLimitMb: -1 } }, 3, /options.memory_limit_mb is "-1"/],
  ["network access", { ...ECHO, options: { enableNetworking: true } }, 7, /network.allowed/],
  ["a message above the limit", { ...ECHO, format: "raw", input: new Uint8Array(3 * MEGABYTE) }, 8, /larger|size|max/i],
];

Deno.test("ExecuteNode refuses a call with a status that says why, and goes on", async (test) => {
  await using server = await start({ "server.maxMessageBytes": 2 * MEGABYTE });
  using client = new TestClient(server.address);
  for (const [name, call, code, details] of REFUSALS) {
    await test.step(name, async () => {
      const answer = await client.start(call).answer;
      assert(!answer.ok);
      assert.equal(status[answer.code], status[code], answer.details);
      assert.match(answer.details, details);
      await assertWorks(client);
    });
  }
});

Deno.test("ExecuteNode stops a task at its time limit, while all that wait behind it succeed", async () => {
  await using server = await start();
  using client = new TestClient(server.address);
  const late = client.start({ ...ENDLESS, options: { timeoutSeconds: 1 } });
  await busy(client, 1);
  const others = Array.from({ length: 30 }, () => client.run(ECHO));
  const answer = await late.answer;
  assert(answer.ok);
  assert.equal(answer.response.status, ExecutionStatus.TIMEOUT);
  assert.match(
    answer.response.errorMessage,
    /^Node execution timed out: it ran 1(\.\d+)? s, the limit is 1 s \(options\.timeout_seconds\)$/,
  );
  assert(answer.response.metrics!.cpuTimeMs > 0);
  assert.equal(answer.response.metrics!.exitCode, 137);
  for (const other of await Promise.all(others)) assert.equal(other.status, ExecutionStatus.SUCCESS);
  assert.match(await server.metrics(), /^rexec_host_restarts_total\{reason="killed"\} 1$/m);
});

Deno.test("ExecuteNode ends with DEADLINE_EXCEEDED, and the worker is free again", async () => {
  await using server = await start();
  using client = new TestClient(server.address);
  const answer = await client.start(ENDLESS, { deadline: Date.now() + 300 }).answer;
  assert(!answer.ok);
  assert.equal(answer.code, status.DEADLINE_EXCEEDED);
  await assertWorks(client);
  await busy(client, 0);
});

Deno.test("ExecuteNode frees the worker of a call that was cancelled", async () => {
  await using server = await start();
  using client = new TestClient(server.address);
  const call = client.start(ENDLESS);
  await busy(client, 1);
  call.cancel();
  const answer = await call.answer;
  assert(!answer.ok);
  assert.equal(answer.code, status.CANCELLED);
  await assertWorks(client);
  await busy(client, 0);
  const metrics = await server.metrics();
  assert.match(metrics, /^rexec_executions_total\{node_type="TextProcessorNode",status="cancelled"\} 1$/m);
  assert.match(metrics, /^rexec_requests_total\{method="ExecuteNode",status="CANCELLED"\} 1$/m);
});

Deno.test("ExecuteNode frees the worker of a caller whose connection goes away", async () => {
  await using server = await start();
  using watcher = new TestClient(server.address);
  {
    using client = new TestClient(server.address);
    const call = client.start(ENDLESS);
    await busy(watcher, 1);
    client[Symbol.dispose]();
    call.cancel();
    await call.answer;
  }
  await busy(watcher, 0);
  await assertWorks(watcher);
});

for (const queueLimit of [0, 1]) {
  Deno.test(`ExecuteNode refuses with RESOURCE_EXHAUSTED what a queue of ${queueLimit} cannot hold`, async () => {
    await using server = await start({ "execution.queueLimit": queueLimit });
    using client = new TestClient(server.address);
    const running = client.start(ENDLESS);
    await busy(client, 1);
    const waiting = Array.from({ length: 40 }, () => client.start(ECHO));
    // The first refusal says that the host and the queue are full; those that were taken have no answer yet.
    const refused = await Promise.race(waiting.map(({ answer }) => answer));
    assert(!refused.ok);
    assert.equal(refused.code, status.RESOURCE_EXHAUSTED);
    assert.match(refused.details, new RegExp(`execution\\.queueLimit is ${queueLimit}$`));
    running.cancel();
    const answers = await Promise.all(waiting.map(({ answer }) => answer));
    const taken = answers.filter(({ ok }) => ok).length;
    assert.equal(taken, queueLimit);
    assert(answers.every((answer) => answer.ok || answer.code === status.RESOURCE_EXHAUSTED));
    await available(client);
    await assertWorks(client);
  });
}

Deno.test("ExecuteNode forgets calls that were cancelled while they waited", async () => {
  await using server = await start();
  using client = new TestClient(server.address);
  const running = client.start(ENDLESS);
  await busy(client, 1);
  const waiting = Array.from({ length: 40 }, () => client.start(ECHO));
  await until("some wait in the queue", async () => /^rexec_queue_length [1-9]/m.test(await server.metrics()));
  for (const call of waiting) call.cancel();
  await until("the queue is empty", async () => /^rexec_queue_length 0$/m.test(await server.metrics()));
  assert((await Promise.all(waiting.map(({ answer }) => answer))).every((answer) => !answer.ok));
  running.cancel();
  await running.answer;
  await assertWorks(client);
  await until("nothing is active", async () => /^rexec_tasks_active 0$/m.test(await server.metrics()));
});

Deno.test("ExecuteNode sheds what waits for too long", async () => {
  await using server = await start({ "execution.queueTimeoutMs": 200 });
  using client = new TestClient(server.address);
  const running = client.start(ENDLESS);
  await busy(client, 1);
  const waiting = Array.from({ length: 40 }, () => client.start(ECHO));
  const shed = await Promise.race(waiting.map(({ answer }) => answer));
  assert(!shed.ok);
  assert.equal(shed.code, status.RESOURCE_EXHAUSTED);
  assert.match(shed.details, /it waited \d+ ms, execution\.queueTimeoutMs is 200$/);
  running.cancel();
  await Promise.all(waiting.map(({ answer }) => answer));
  await available(client);
  await assertWorks(client);
});
