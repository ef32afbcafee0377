import assert from "node:assert/strict";
import type { HostProcess } from "../../src/sandbox/host_process.ts";
import { tryCpuMs } from "../../src/sandbox/proc.ts";
import type { HostTask, TaskEnd } from "../../src/sandbox/task.ts";
import { RuntimeDirectory, startHost } from "../support/hosts.ts";
import { until } from "../support/processes.ts";

/** Runs a module on a host for user code. */
async function runCode(host: HostProcess, code: string): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<TaskEnd>();
  const task: HostTask = {
    message: {
      format: "json",
      memoryLimitBytes: 2 ** 28,
      maxOutputBytes: 1_000,
      maxConsoleBytes: 1_000,
      options: {
        entryPoint: "",
        dependencies: [],
        maxPackageBytes: 2 ** 20,
        maxUnpackedBytes: 2 ** 20,
        maxFiles: 10,
        blockedImports: [],
        validated: false,
        environment: {},
      },
      input: new TextEncoder().encode("null"),
      layers: [],
      codePackage: new TextEncoder().encode(code),
    },
    limits: { timeoutMs: 60_000, cpuMs: 60_000, cpuPercent: 100, memoryBytes: 2 ** 28, threads: 64 },
    onEnd: resolve,
    onLog() {},
  };
  host.run(task, performance.now());
  const end = await promise;
  assert(end.kind === "result" && end.result.outcome === "OK", JSON.stringify(end));
  return JSON.parse(new TextDecoder().decode(end.result.output));
}

const renew = (host: HostProcess) => host.renew({ signal: AbortSignal.timeout(30_000) });

Deno.test("HostProcess.renew() gives the next task a fresh worker, and the host is back at its baseline", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { role: "task" });
  const stain = `export default () => [Reflect.get(globalThis, "stain") ?? null, Reflect.set(globalThis, "stain", 1)];`;
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await runCode(host, stain), [null, true]);
    assert(await renew(host));
    await until("the baseline", () => host.isAtBaseline);
  }
});

Deno.test("HostProcess.isAtBaseline says so when a task goes on behind its answer", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { role: "task" });
  await runCode(host, `export default () => { setTimeout(() => { for (;;); }, 0); return 1; };`);
  const before = tryCpuMs(host.pid)!;
  await until("a task that goes on", () => tryCpuMs(host.pid)! > before + 100);
  assert(await renew(host));
  assert(!host.isAtBaseline);
});

Deno.test("HostProcess.renew() says no when the host ends under it", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { role: "task" });
  const renewed = renew(host);
  host.kill();
  assert.equal(await renewed, false);
});
