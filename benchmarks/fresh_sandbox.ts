/**
 * What a sandbox of its own costs user code: when one is ready, when none is, and one after the other without a pause;
 * beside a bare `deno run` of the same module, without and with the jail.
 *
 * @module
 */

import { basename, dirname } from "node:path/posix";
import { RemoteExecutionClient } from "../src/client/mod.ts";
import { jailTypes, TestJail } from "../tests/support/jails.ts";
import { createToken, writeTokenFile } from "../src/rpc/token_file.ts";
import type { HostPaths } from "../src/sandbox/host_paths.ts";
import type { Jail, JailedCommand } from "../src/sandbox/jails/mod.ts";
import {
  isNoneThere,
  isOneReady,
  measureCalls,
  type SandboxCalls,
  type SandboxCounts,
  warmService,
} from "./sandbox_calls.ts";
import { type ServerProcess, startService } from "./server_process.ts";
import { median, percentile, printTable } from "./table.ts";
import { TaskClient } from "./task_client.ts";

const CALLS = 40;
const BARE_RUNS = 20;
const SUSTAINED_CALLS = 150;
const CALLERS = [2, 4];
const HOSTS = 4;
/** Room for any module; what a host has of its own, and the default of memory. */
const DATA_LIMIT_BYTES = 2 * 1024 ** 3;

/** A package whose sources are looked into at its first task, and one of which each task has another. */
const PACKAGES: readonly TaskPackage[] = [
  { name: "known package", isNew: false },
  { name: "new package", isNew: true },
];
const CODE = "export default (n: number): number[] => [n, n * 2];";

interface TaskPackage {
  readonly name: string;
  readonly isNew: boolean;
}

/** Latencies in milliseconds, and what they are held against. */
interface Reference {
  readonly name: string;
  readonly latencyMs: number;
  /** Sandboxes in a second, two at a time. */
  readonly perSecond: number;
}

/** Prints one table for each jail that works here. */
export async function benchFreshSandbox(): Promise<void> {
  for (const type of await jailTypes()) {
    await using made = await TestJail.make(type);
    const { jail, folder: { path: folder } } = made;
    const path = `${folder}/mod.ts`;
    Deno.writeTextFileSync(path, "export default (n: number): number[] => [n, n * 2];\n");
    const bare = await measureBare("deno run", { program: Deno.execPath(), args: bareArgs(path), env: {} });
    const jailed = await measureBare(`deno run in ${jail.type}`, encloseBare(jail, path));
    const references = [bare, jailed];
    const rows: string[][] = [];
    for (const task of PACKAGES) rows.push(...await readyRows(jail, references, task));
    for (const task of PACKAGES) rows.push(...await coldRows(jail, references, task));
    for (const task of PACKAGES) rows.push(...await sustainedRows(jail, references, task));
    rows.push(...await reuseRows(jail, folder, references));
    printTable(
      `A sandbox of its own for user code, jail ${jail.type}; load average ${Deno.loadavg()[0]?.toFixed(1)}`,
      ["what", "figure", "p99", "reference", "its figure", "ratio", "bar"],
      rows,
    );
  }
}

/** A task finds a sandbox ready: between two calls the one that was used is replaced. */
async function readyRows(jail: Jail, references: readonly Reference[], task: TaskPackage): Promise<string[][]> {
  await using service = await start(jail, { "pool.readyTaskHosts": 1 });
  const durations = await measureTasks(service, task, isOneReady);
  const rows = latencyRows(`a ready one, ${task.name}`, durations, references, "5 ms");
  if (task.isNew) return rows;
  using client = new RemoteExecutionClient(`127.0.0.1:${service.port}`);
  const call = async (input: number) => {
    const startedAt = performance.now();
    await client.executeCustomTask(codeOf(task, input), { input, format: "json" });
    return performance.now() - startedAt;
  };
  const byLibrary = await measureCalls(service, { kind: "task", calls: CALLS, isTime: isOneReady, call });
  return [...rows, ...latencyRows("the same, called by grpc-js", byLibrary, references, "")];
}

/** A task waits for its sandbox to start. */
async function coldRows(jail: Jail, references: readonly Reference[], task: TaskPackage): Promise<string[][]> {
  // Where there is one at most, none can be started ahead of its task.
  await using service = await start(jail, { "pool.readyTaskHosts": 0, "pool.maxTaskHosts": 1 });
  const durations = await measureTasks(service, task, isNoneThere);
  return latencyRows(`none ready, ${task.name}`, durations, references, "100 ms");
}

/** Callers that send one task after the other. */
async function sustainedRows(jail: Jail, references: readonly Reference[], task: TaskPackage): Promise<string[][]> {
  const rows: string[][] = [];
  for (const callers of CALLERS) {
    await using service = await start(jail, { "pool.readyTaskHosts": 2 });
    using client = await TaskClient.connect(service.port);
    await callOnce(client, task, 0);
    let next = 1;
    const durations: number[] = [];
    const send = async () => {
      while (next <= SUSTAINED_CALLS) durations.push(await callOnce(client, task, next++));
    };
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: callers }, send));
    const rate = SUSTAINED_CALLS / ((performance.now() - startedAt) / 1_000);
    rows.push(...references.map(({ name, perSecond }) => [
      `sustained, ${callers} callers, ${task.name}`,
      `${rate.toFixed(1)} /s`,
      `${percentile(durations, 99).toFixed(1)} ms`,
      name,
      `${perSecond.toFixed(1)} /s`,
      (rate / perSecond).toFixed(2),
      "30 /s",
    ]));
  }
  return rows;
}

/** The same caller's package again, where the policy lets it keep its sandbox. */
async function reuseRows(jail: Jail, folder: string, references: readonly Reference[]): Promise<string[][]> {
  const { token, record } = createToken("same", { now: Date.now(), expiresAt: undefined });
  const tokensFile = `${folder}/tokens.yaml`;
  writeTokenFile(tokensFile, [record]);
  await using service = await start(jail, {
    "pool.readyTaskHosts": 0,
    "pool.maxTaskHosts": 1,
    "policy.reuse": "same-caller",
    "auth.tokensFile": tokensFile,
  });
  const isTime = ({ starting, busy }: SandboxCounts) => starting + busy === 0;
  const durations = await measureTasks(service, PACKAGES[0]!, isTime, { authorization: `Bearer ${token}` });
  return latencyRows("kept for the same caller", durations, references, "");
}

function latencyRows(
  what: string,
  durations: readonly number[],
  references: readonly Reference[],
  bar: string,
): string[][] {
  return references.map(({ name, latencyMs }) => [
    what,
    `${median(durations).toFixed(1)} ms`,
    `${percentile(durations, 99).toFixed(1)} ms`,
    name,
    `${latencyMs.toFixed(1)} ms`,
    (median(durations) / latencyMs).toFixed(2),
    bar,
  ]);
}

async function measureTasks(
  service: ServerProcess,
  task: TaskPackage,
  isTime: SandboxCalls["isTime"],
  headers: Readonly<Record<string, string>> = {},
): Promise<number[]> {
  using client = await TaskClient.connect(service.port, headers);
  await warmService(client);
  const call = (number: number) => callOnce(client, task, number);
  return await measureCalls(service, { kind: "task", calls: CALLS, isTime, call });
}

async function callOnce(client: TaskClient, task: TaskPackage, number: number): Promise<number> {
  return await client.measure({ code: codeOf(task, number), entryPoint: "", input: number }, [number, number * 2]);
}

function codeOf({ isNew }: TaskPackage, number: number): Uint8Array {
  return new TextEncoder().encode(isNew ? `${CODE} // ${number}` : CODE);
}

function start(jail: Jail, settings: Readonly<Record<string, unknown>>): Promise<ServerProcess> {
  return startService({
    "sandbox.type": jail.type,
    "pool.maxWorkers": 1,
    "pool.maxTaskHosts": HOSTS,
    "execution.queueTimeoutMs": 0,
    ...settings,
  });
}

function bareArgs(path: string): string[] {
  return ["run", "--no-check", "--no-config", "--no-lock", "--quiet", path];
}

/** The jail around a bare `deno run`, as it is around a host. */
function encloseBare(jail: Jail, path: string): JailedCommand {
  const bundle = dirname(path);
  const paths: HostPaths = {
    bundle,
    socket: "",
    cache: `${bundle}/cache`,
    code: null,
    scratch: null,
    audit: null,
    egress: null,
    snapshot: null,
  };
  const inside = jail.inside(paths);
  return jail.enclose({
    command: {
      program: Deno.execPath(),
      args: bareArgs(`${inside.bundle}/${basename(path)}`),
      env: { DENO_DIR: inside.cache, NO_COLOR: "1" },
    },
    paths,
    cache: { kind: "copy", from: null },
    dataLimitBytes: DATA_LIMIT_BYTES,
    fileLimitBytes: 2 ** 24,
    openFileLimit: 64,
    codeBytes: 0,
    scratchBytes: 0,
    controlGroupFiles: [],
  });
}

/** From spawn to exit: one at a time for the latency, two for the rate. */
async function measureBare(name: string, command: JailedCommand): Promise<Reference> {
  const durations: number[] = [];
  for (let run = 0; run <= BARE_RUNS; run++) {
    const durationMs = await spawnBare(command);
    if (run > 0) durations.push(durationMs); // the first one fills caches
  }
  let left = 2 * BARE_RUNS;
  const startedAt = performance.now();
  await Promise.all([0, 1].map(async () => {
    while (left-- > 0) await spawnBare(command);
  }));
  const perSecond = 2 * BARE_RUNS / ((performance.now() - startedAt) / 1_000);
  return { name, latencyMs: median(durations), perSecond };
}

async function spawnBare({ program, args, env }: JailedCommand): Promise<number> {
  const startedAt = performance.now();
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
    env: { ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`Cannot run ${program}: ${new TextDecoder().decode(stderr)}`);
  return performance.now() - startedAt;
}
