import assert from "node:assert/strict";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { TestClient } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";
import { resultOf, type Run, run } from "./run.ts";

Deno.test("ExecuteCustomTask runs TypeScript and JavaScript in a sandbox of its own", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1, "pool.readyTaskHosts": 1 } });
  using client = new TestClient(server.address);

  const results: readonly (readonly [name: string, code: string, expected: unknown, input?: unknown])[] = [
    ["a default function", "export default (x: number): number => x + 1;", 2, 1],
    ["an async function", "export default async (x: number) => await Promise.resolve([x, 2.5]);", [1, 2.5], 1],
    ["a generator", "export default function* () { yield 1; yield { a: true }; }", [1, { a: true }]],
    ["an async generator", "export default async function* () { yield 'a'; yield 'b'; }", ["a", "b"]],
    ["no result", "export default () => {};", null],
    ["toJSON and dates", "export default () => ({ at: new Date(0), b: { toJSON: () => 7 } });", {
      at: "1970-01-01T00:00:00.000Z",
      b: 7,
    }],
    ["sets as lists", "export default () => new Set([1, 2]);", [1, 2]],
    [
      "Web APIs",
      "export default () => [new URL('http://a/b?c=1').searchParams.get('c'), atob('eA=='), structuredClone({ a: 1 })];",
      ["1", "x", { a: 1 }],
    ],
    ["timers", "export default () => new Promise((done) => setTimeout(() => done('late'), 5));", "late"],
    [
      "a patched Promise",
      "Promise.prototype.then = () => { throw 0 }; export default () => 'still here';",
      "still here",
    ],
  ];
  for (const [name, code, expected, input] of results) {
    await test.step(`gives the result of ${name}`, async () => {
      assert.deepEqual(resultOf(await run(client, code, { input })), expected);
    });
  }

  await test.step("finds a named export", async () => {
    assert.equal(
      resultOf(await run(client, "export const twice = (x: number) => 2 * x;", { entryPoint: "twice", input: 4 })),
      8,
    );
  });

  await test.step("returns what the console wrote, by stream, and cuts it off", async () => {
    const { stdout, stderr } = await run(
      client,
      "export default () => { console.log('a %d', 1, { b: 2 }); console.error('c'); };",
    );
    assert.deepEqual([stdout, stderr], ["a 1 { b: 2 }\n", "c\n"]);
    const flood = await run(
      client,
      "export default () => { for (let i = 0; i < 1e5; i++) console.log('x'.repeat(100)); };",
    );
    assert.equal(flood.status, ExecutionStatus.SUCCESS);
    assert(flood.stdout.length < 1_100_000 && flood.stdout.endsWith("the limit is reached]\n"));
  });

  await test.step("says where the code failed, and nothing of the host's paths", async () => {
    const answer = await run(
      client,
      "export default () => {\n  const name: string = 'x';\n  throw new Error(`boom ${name}`);\n};",
    );
    assert.deepEqual([answer.status, answer.failureReason], [ExecutionStatus.ERROR, FailureReason.EXCEPTION]);
    assert.equal(answer.errorMessage, "boom x");
    assert.match(answer.errorTraceback, /^Error: boom x\n\s+at default \(main\.ts:3:9\)/);
    assert.doesNotMatch(answer.errorTraceback, /file:|\/tmp|task_worker/);
  });

  await test.step("tells a soft limit first, by a signal", async () => {
    const code = `export default (_: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise((done) => signal.addEventListener("abort", () => done(signal.reason.name)));`;
    assert.equal(resultOf(await run(client, code, { timeoutSeconds: 1 })), "TimeoutError");
  });

  await test.step("measures from outside, whatever the code makes of its own clock", async () => {
    const busy = `const { now } = Date;
      Math.max = () => 0;
      performance.now = () => 0;
      export default () => { for (const start = now(); now() - start < 200;); };`;
    const { metrics } = await run(client, busy);
    assert(metrics !== undefined && metrics.durationMs >= 200 && metrics.cpuTimeMs > 0, JSON.stringify(metrics));
    const crash = await run(
      client,
      "export default async () => { await import('data:text/javascript,' + '('.repeat(100_000)); };",
    );
    assert.deepEqual([crash.status, crash.failureReason], [ExecutionStatus.ERROR, FailureReason.CRASH]);
    assert(crash.metrics!.durationMs > 0);
  });

  const failures: readonly (readonly [
    name: string,
    code: string,
    status: ExecutionStatus,
    reason: FailureReason,
    options?: Run,
  ])[] = [
    ["a missing export", "export const a = 1;", ExecutionStatus.ERROR, FailureReason.INVALID_TASK],
    ["an export that is no function", "export default 5;", ExecutionStatus.ERROR, FailureReason.INVALID_TASK],
    ["a syntax error", "export default ( =>", ExecutionStatus.ERROR, FailureReason.INVALID_TASK],
    [
      "a promise that nobody awaits",
      "export default () => { Promise.reject(new Error('x')); return new Promise(() => {}); };",
      ExecutionStatus.ERROR,
      FailureReason.EXCEPTION,
    ],
    [
      "an exception in a timer",
      "export default () => new Promise(() => setTimeout(() => { throw 1 }));",
      ExecutionStatus.ERROR,
      FailureReason.EXCEPTION,
    ],
    ["a result that is a function", "export default () => () => 1;", ExecutionStatus.ERROR, FailureReason.EXCEPTION],
    [
      "an error that poses as a limit",
      "export default () => { throw Object.assign(new Error('x'), { name: 'TaskError', code: 'RESOURCE_LIMIT' }) };",
      ExecutionStatus.ERROR,
      FailureReason.EXCEPTION,
    ],
    [
      "an import that leaves the package",
      "import x from 'file:///etc/passwd'; export default () => x;",
      ExecutionStatus.SECURITY_VIOLATION,
      FailureReason.SECURITY_VIOLATION,
    ],
    [
      "a builtin of Node",
      "import fs from 'node:fs'; export default () => fs;",
      ExecutionStatus.SECURITY_VIOLATION,
      FailureReason.SECURITY_VIOLATION,
    ],
    ["a busy loop", "export default () => { while (true); };", ExecutionStatus.TIMEOUT, FailureReason.TIME_LIMIT, {
      timeoutSeconds: 1,
    }],
    [
      "a wait without end",
      "export default () => new Promise(() => {});",
      ExecutionStatus.TIMEOUT,
      FailureReason.TIME_LIMIT,
      { timeoutSeconds: 1 },
    ],
    [
      "a greedy task, off the heap",
      "export default () => { const a = []; for (;;) a.push(new Uint8Array(1e7).fill(1)); };",
      ExecutionStatus.RESOURCE_LIMIT,
      FailureReason.MEMORY_LIMIT,
      { memoryLimitMb: 128 },
    ],
    [
      "an output above its limit",
      "export default () => 'x'.repeat(2e6);",
      ExecutionStatus.RESOURCE_LIMIT,
      FailureReason.RESULT_LIMIT,
      { maxOutputSizeMb: 1 },
    ],
    [
      "an object that fans out",
      "export default () => { let o: unknown = ['x']; for (let i = 0; i < 40; i++) o = [o, o]; return o; };",
      ExecutionStatus.RESOURCE_LIMIT,
      FailureReason.RESULT_LIMIT,
      { maxOutputSizeMb: 1 },
    ],
    [
      "an array that claims a length",
      "export default () => { const a: number[] = []; a.length = 2 ** 32 - 1; return a; };",
      ExecutionStatus.RESOURCE_LIMIT,
      FailureReason.RESULT_LIMIT,
    ],
  ];
  for (const [name, code, status, reason, options] of failures) {
    await test.step(`fails with its reason, and serves on: ${name}`, async () => {
      const answer = await run(client, code, options);
      assert.deepEqual(
        [ExecutionStatus[answer.status], FailureReason[answer.failureReason]],
        [ExecutionStatus[status], FailureReason[reason]],
        answer.errorMessage,
      );
      assert.notEqual(answer.errorMessage, "");
      assert.equal(resultOf(await run(client, "export default () => 1;")), 1);
    });
  }

  await test.step("reaches nothing, and leaves nothing to the next task", async () => {
    const leave =
      "globalThis.left = 1; Object.prototype.left = 1; export default () => [typeof Deno, typeof process, typeof fetch, typeof Worker, typeof postMessage];";
    assert.deepEqual(resultOf(await run(client, leave)), new Array(5).fill("undefined"));
    assert.deepEqual(resultOf(await run(client, "export default () => [typeof left, typeof {}.left];")), [
      "undefined",
      "undefined",
    ]);
    const dynamic =
      "export default async () => { try { await import(['file://', 'etc', 'passwd'].join('/')); return 'LEAK' } catch { return 'refused' } };";
    assert.equal(resultOf(await run(client, dynamic)), "refused");
  });
});
