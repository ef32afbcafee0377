import assert from "node:assert/strict";
import type { HostTask, TaskEnd } from "../../src/sandbox/task.ts";
import type { Jail } from "../../src/sandbox/jails/mod.ts";
import { probeSandbox } from "../../src/sandbox/probe.ts";
import { RuntimeDirectory, startHost } from "../support/hosts.ts";

/** Starts hosts as a compiled program does: with every right, which they then give up by themselves. */
const allRights: Jail = {
  type: "none",
  description: "no jail and all rights",
  inside: (paths) => paths,
  enclose: ({ command }) => ({
    ...command,
    args: ["run", "-A", ...command.args.slice(1).filter((arg) => !/^--(allow|deny)-|^--no-prompt/.test(arg))],
  }),
};

Deno.test("a host of user code that was started with all rights gives them up, and runs its task", async () => {
  await using directory = new RuntimeDirectory();
  await using probed = await startHost(directory, { id: "probed", role: "task", jail: allRights });
  assert((await probeSandbox(probed, directory.path)).every(({ leaked }) => !leaked));

  await using host = await startHost(directory, { id: "runner", role: "task", jail: allRights });
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
      input: new TextEncoder().encode("20"),
      layers: [],
      codePackage: new TextEncoder().encode("export default (x: number): number => x + 1;"),
    },
    limits: { timeoutMs: 60_000, cpuMs: 60_000, cpuPercent: 100, memoryBytes: 2 ** 28, threads: 64 },
    onEnd: resolve,
    onLog() {},
  };
  host.run(task, performance.now());
  const end = await promise;
  assert(end.kind === "result", JSON.stringify(end));
  assert.equal(new TextDecoder().decode(end.result.output), "21", end.result.message);
});
