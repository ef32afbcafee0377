import assert from "node:assert/strict";
import { type ControlGroup, ControlGroups, type Controller } from "../../../src/sandbox/cgroups/mod.ts";
import { until } from "../../support/processes.ts";

const MEGABYTE = 1024 * 1024;

/** What this machine gives, or why it does not. */
const available = await (async (): Promise<{ controllers: ReadonlySet<Controller>; description: string }> => {
  const { groups, description } = ControlGroups.detect();
  await groups?.[Symbol.asyncDispose]();
  return { controllers: groups?.controllers ?? new Set(), description };
})();

/** A test of the real kernel with a group, which says why where there is none to be had. */
function groupTest(controller: Controller, name: string, fn: (group: ControlGroup) => Promise<void>): void {
  const ignore = !available.controllers.has(controller);
  Deno.test({
    name: ignore ? `${name} (skipped: ${available.description})` : name,
    ignore,
    async fn() {
      await using groups = ControlGroups.detect().groups!;
      using group = groups.create("test");
      await fn(group);
    },
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** A shell script that is in the group from its first command on. */
function inGroup(group: ControlGroup, script: string): Deno.Command {
  const joining = `for file in ${group.procsFiles.map((path) => `"${path}"`).join(" ")}; do echo $$ >"$file"; done`;
  return new Deno.Command("sh", {
    args: ["-c", `${joining}; ${script}`, "sh", Deno.execPath()],
    env: { NO_COLOR: "1" },
    stdin: "null",
  });
}

groupTest("memory", "ControlGroup kills what takes more memory than its limit, and counts it", async (group) => {
  group.setLimits({ memoryBytes: 200 * MEGABYTE });
  const program = "const kept = []; while (true) kept.push(new Uint8Array(1e7).fill(1))";
  const { code, signal } = await inGroup(group, `exec "$1" eval --no-config '${program}'`).output();
  assert.deepEqual([code, signal], [137, "SIGKILL"]);
  assert.equal(group.oomKills, 1);
  const peak = group.memoryPeakBytes;
  assert(peak === undefined || (peak > 100 * MEGABYTE && peak <= 200 * MEGABYTE), `${peak}`);
});

groupTest("memory", "ControlGroup limits a process that has run before", async (group) => {
  const program = `
    for await (const _ of Deno.stdin.readable) break;
    const kept = [];
    while (true) kept.push(new Uint8Array(1e7).fill(1));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", program],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  group.add(child.pid);
  group.setLimits({ memoryBytes: 200 * MEGABYTE });
  const stdin = child.stdin.getWriter();
  await stdin.write(new Uint8Array(1));
  await stdin.close();
  assert.equal((await child.status).signal, "SIGKILL");
  assert.equal(group.oomKills, 1);
});

groupTest("pids", "ControlGroup lets no process start above its limit, and counts it", async (group) => {
  group.setLimits({ maxProcesses: 1 });
  const { success, stderr } = await inGroup(group, `"$1" --version; exit $?`).output();
  assert.equal(success, false);
  assert.match(new TextDecoder().decode(stderr), /fork/i);
  assert(group.pidsRefused > 0);
});

groupTest("cpu", "ControlGroup makes what has used its CPU time wait", async (group) => {
  group.setLimits({ cpuPercent: 20 });
  const child = inGroup(group, `while :; do :; done`).spawn();
  try {
    await until("the group has had to wait", () => group.cpuThrottled > 0);
    const cpuMs = group.cpuMs;
    assert(cpuMs === undefined || cpuMs > 0);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

Deno.test({
  name: "ControlGroup that something still runs in is removed when that has ended",
  ignore: available.controllers.size === 0,
  async fn() {
    await using groups = ControlGroups.detect().groups!;
    const group = groups.create("held");
    const { procsFiles } = group;
    const directories = procsFiles.map((path) => path.slice(0, path.lastIndexOf("/")));
    const child = inGroup(group, "exec sleep 1000").spawn();
    try {
      await until("it is in", () => procsFiles.every((path) => Deno.readTextFileSync(path) === `${child.pid}\n`));
      group[Symbol.dispose]();
      assert(directories.every(exists));
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
    await until("it is gone", () => directories.every((directory) => !exists(directory)));
  },
});

Deno.test("ControlGroups.detect() leaves no group behind on this machine", async () => {
  const { groups } = ControlGroups.detect();
  const group = groups?.create("gone");
  const directories = group?.procsFiles.map((path) => path.slice(0, path.lastIndexOf("/"))) ?? [];
  // What a killed service leaves: nobody disposes of it but the next start.
  await groups?.[Symbol.asyncDispose]();
  await ControlGroups.detect().groups?.[Symbol.asyncDispose]();
  assert(!directories.some(exists));
});
