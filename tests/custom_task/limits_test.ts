/**
 * Limits of user code that are enforced from outside: which one, its value, and what was used.
 * @module
 */

import assert from "node:assert/strict";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { TestClient } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";
import { resultOf, type Run, run } from "./run.ts";

const BUSY = "for (const start = Date.now(); Date.now() - start < 3_000;);";

const LIMITS: readonly (readonly [name: string, code: string, wishes: Run, reason: FailureReason, message: RegExp])[] =
  [
    [
      "CPU time",
      // Without an end: in three seconds, a busy machine may not give it one of CPU time.
      "export default () => { for (;;); };",
      { cpuTimeSeconds: 1 },
      FailureReason.CPU_LIMIT,
      /used 1(\.\d+)? s of CPU time, the limit is 1 s \(options\.cpu_time_seconds\)/,
    ],
    [
      "threads",
      `export default async () => {
      await Deno.writeTextFile("f", "x".repeat(100_000));
      await Promise.all(Array.from({ length: 500 }, () => Deno.readFile("f")));
      ${BUSY}
    };`,
      { enableFilesystem: true },
      FailureReason.THREAD_LIMIT,
      /it had \d+ threads, the limit is 4 \(the policy's ceilings\.threads\)/,
    ],
    [
      "memory outside the heap",
      `export default () => { const kept = []; for (;;) kept.push(new Uint8Array(4e6).fill(1)); };`,
      { memoryLimitMb: 100 },
      FailureReason.MEMORY_LIMIT,
      /used 1\d\d MB of memory, the limit is 100 MB \(options\.memory_limit_mb\)|ran out of memory, the limit is 100 MB/,
    ],
  ];

Deno.test("Limits of user code are enforced from outside", async (test) => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "policy.ceilings.threads": 4, "policy.filesystem.allowed": true },
  });
  using client = new TestClient(server.address);

  for (const [name, code, wishes, reason, message] of LIMITS) {
    await test.step(`${name}: the answer says which, how much, and what was used`, async () => {
      const answer = await run(client, code, wishes);
      assert.deepEqual([answer.status, answer.failureReason], [ExecutionStatus.RESOURCE_LIMIT, reason]);
      assert.match(answer.errorMessage, message);
      assert.equal(answer.metrics!.exitCode, 137);
      await server.logged(/"event":"task_killed"/);
    });
  }

  await test.step("a share of the CPU is kept by stopping, and costs nothing but time", async () => {
    const { metrics, ...answer } = await run(client, `export default () => { ${BUSY} return "done"; };`, {
      cpuLimitPercent: 20,
    });
    assert.equal(resultOf({ metrics, ...answer }), "done");
    // A fifth of three seconds, and what it may run ahead; far from all of them.
    assert(metrics!.durationMs >= 3_000 && metrics!.cpuTimeMs < 1_500, JSON.stringify(metrics));
  });

  for (
    const [name, wishes, code] of [
      ["time", { timeoutSeconds: 1 }, "await new Promise(() => {});"],
      [
        "CPU time",
        { cpuTimeSeconds: 1 },
        "while (true) { await pause(); for (const s = Date.now(); Date.now() - s < 20;); }",
      ],
      [
        "memory",
        { memoryLimitMb: 80 },
        "for (const kept = [];;) { kept.push(new Uint8Array(1e6).fill(1)); await pause(); }",
      ],
    ] as const
  ) {
    await test.step(`the task hears that the ${name} limit is near, in time to answer`, async () => {
      const told = `export default (_: unknown, { signal }: { signal: AbortSignal }) => new Promise((done) => {
        const pause = () => new Promise((go) => setTimeout(go, 4));
        signal.addEventListener("abort", () => done(String(signal.reason)));
        (async () => { ${code} })();
      });`;
      assert.match(
        String(resultOf(await run(client, told, wishes))),
        new RegExp(`^TimeoutError: The ${name} limit is near`),
      );
    });
  }

  await test.step("memory is told as a peak and as a mean", async () => {
    const { metrics } = await run(
      client,
      `export default async () => {
        let held: Uint8Array | undefined = new Uint8Array(2e8).fill(1);
        await new Promise((done) => setTimeout(done, 150));
        held = undefined;
        await new Promise((done) => setTimeout(done, 300));
      };`,
    );
    assert(metrics!.memoryPeakMb >= 190 && metrics!.memoryAverageMb > 0, JSON.stringify(metrics));
    assert(metrics!.memoryAverageMb <= metrics!.memoryPeakMb, JSON.stringify(metrics));
  });
});
