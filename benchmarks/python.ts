/**
 * What Python costs, for each version: its interpreter's start, with and without what an earlier one has left (its
 * memory, or bytecode where a version cannot give its memory), tasks that find one ready and that find none, calls of an
 * object that lives in one, arithmetic, and memory.
 *
 * The references are the machine's own CPython, started for the same function and running the same loop; a node of the
 * same service; and a ready sandbox of TypeScript.
 *
 * @module
 */

import { PYTHON_VERSIONS, type PythonVersion } from "../workers/protocol.ts";
import { packageFiles, RemoteExecutionClient } from "../src/client/mod.ts";
import { NO_GRANTS } from "../src/sandbox/grants.ts";
import { HostProcess } from "../src/sandbox/host_process.ts";
import type { Jail } from "../src/sandbox/jails/mod.ts";
import type { HostOptions } from "../src/sandbox/launch.ts";
import { tryResidentBytes } from "../src/sandbox/proc.ts";
import { fillCache } from "../src/sandbox/warm_cache.ts";
import { MEGABYTE } from "../src/units.ts";
import { jailTypes, TestJail } from "../tests/support/jails.ts";
import { isNoneThere, isOneReady, measureCalls, type SandboxCalls, untilQuiet, warmService } from "./sandbox_calls.ts";
import { type ServerProcess, startService } from "./server_process.ts";
import { median, percentile, printTable } from "./table.ts";
import { TaskClient } from "./task_client.ts";
import { proportionalBytes } from "./usage.ts";

const STARTS = 8;
const READY_TASKS = 40;
const COLD_TASKS = 8;
const SESSION_CALLS = 500;
const LOOPS = 7;
const NATIVE_STARTS = 20;
/** Of hosts that are started here: the default policy's memory ceiling, and room for any task. */
const HOST_LIMITS = {
  startTimeoutMs: 60_000,
  memoryMb: 512,
  maxInputBytes: 100 * MEGABYTE,
  maxUnpackedBytes: 100 * MEGABYTE,
};

const LOOP = "sum(i * i for i in range(10**6))";
const SOURCE = `import time

def main(n):
    return [n, n * 2]

class Account:
    def __init__(self):
        self.balance = 0

    def deposit(self, amount):
        self.balance += amount
        return self.balance

    def loop(self):
        started = time.perf_counter()
        ${LOOP}
        return (time.perf_counter() - started) * 1000
`;
/** The loop as often as a session runs it, in milliseconds each. */
const NATIVE_LOOP = `import time
for _ in range(${LOOPS}):
    started = time.perf_counter()
    ${LOOP}
    print((time.perf_counter() - started) * 1000)
`;
const NATIVE_TASK = "def main(n):\n    return [n, n * 2]\nprint(main(1))\n";

/** What figures are held against; a figure that is missing is told of in words. */
interface Reference {
  readonly name: string;
  readonly figure: number | undefined;
}

/** The machine's own CPython. */
interface NativePython {
  /** From spawn to exit, with the function of the tasks. In milliseconds. */
  readonly start: Reference;
  /** The loop, in milliseconds. */
  readonly loop: Reference;
}

/** Prints a table for each version, in the strongest jail that works here. */
export async function benchPython(): Promise<void> {
  const [type = "process"] = await jailTypes();
  const native = await measureNative();
  for (const version of PYTHON_VERSIONS) {
    await using made = await TestJail.make(type);
    const hosts = { jail: made.jail, folder: made.folder.path, version };
    const rows = [
      ...await startRows(hosts, native),
      ...await coldRows(hosts, native),
      ...await readyRows(hosts, native),
      ...await sessionRows(hosts, native),
    ];
    printTable(
      `Python ${version}, jail ${type}; load average ${Deno.loadavg()[0]?.toFixed(1)}`,
      ["what", "figure", "p99", "reference", "its figure", "ratio", "bar"],
      rows,
    );
  }
}

/** Where hosts of a version are started. */
interface Hosts {
  readonly jail: Jail;
  /** Of the benchmark's own. */
  readonly folder: string;
  readonly version: PythonVersion;
}

/** Hosts alone, from spawn to ready, and what a ready one takes of memory. */
async function startRows({ jail, folder, version }: Hosts, { start }: NativePython): Promise<string[][]> {
  const pythonHosts = { ...HOST_LIMITS, jail, runtimeDirectory: folder, python: { version, sharesMemory: true } };
  const cache = await fillCache("task", pythonHosts);
  const options = { ...pythonHosts, role: "task", grants: NO_GRANTS, cache: { kind: "copy", from: cache } } as const;
  // As src/sandbox/launch.ts lays it.
  const snapshot = `${cache}/python/snapshot`;
  const rows: string[][] = [];
  const from = await sizeOf(snapshot);
  if (from === undefined) {
    rows.push(["start from what another left", "none"]);
  } else {
    const size = `${(from / MEGABYTE).toFixed(0)} MB`;
    rows.push(latencyRow(`start from what another left, ${size}`, await measureStarts(options), start));
  }
  rows.push(...await memoryRows(options));
  if (from !== undefined) await Deno.remove(snapshot);
  rows.push(latencyRow("start from nothing", await measureStarts(options), start));
  return rows;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Milliseconds from spawn to ready. */
async function measureStarts(options: Omit<HostOptions, "id">): Promise<number[]> {
  const durations: number[] = [];
  for (let number = 0; number <= STARTS; number++) {
    const startedAt = performance.now();
    await using _host = await startHost({ ...options, id: `start-${number}` });
    if (number > 0) durations.push(performance.now() - startedAt); // the first one reads the disk
  }
  return durations;
}

/** What a host that has warmed up holds, beside one for TypeScript. */
async function memoryRows(options: Omit<HostOptions, "id">): Promise<string[][]> {
  const { python: _, ...deno } = options;
  await using reference = await startHost({ ...deno, id: "typescript", cache: { kind: "copy", from: null } });
  await using host = await startHost({ ...options, id: "memory" });
  for (const each of [reference, host]) {
    each.warmUp();
    await untilQuiet(() => [each.pid]);
  }
  const row = (what: string, bytesOf: (pid: number) => number, bar: string) => {
    const [figure, its] = [bytesOf(host.pid) / MEGABYTE, bytesOf(reference.pid) / MEGABYTE];
    return [
      what,
      `${figure.toFixed(0)} MB`,
      "",
      "ready sandbox of TypeScript",
      `${its.toFixed(0)} MB`,
      ratio(figure, its),
      bar,
    ];
  };
  return [
    row("memory of a ready sandbox, resident", (pid) => tryResidentBytes(pid) ?? NaN, "250 MB"),
    row("the same, shared pages divided", proportionalBytes, ""),
  ];
}

/** The caller ends it. */
function startHost(options: HostOptions): Promise<HostProcess> {
  return HostProcess.start(options, { signal: new AbortController().signal });
}

/** A task waits for its sandbox to start: from a snapshot, where the version can make one. */
async function coldRows({ jail, version }: Hosts, { start }: NativePython): Promise<string[][]> {
  await using service = await startPython(jail, version, 0);
  const durations = await measureTasks(service, COLD_TASKS, isNoneThere);
  return [latencyRow("task that finds none ready", durations, start, "300 ms")];
}

/** A task finds a sandbox ready: between two calls the one that was used is replaced. */
async function readyRows({ jail, version }: Hosts, { start }: NativePython): Promise<string[][]> {
  await using service = await startPython(jail, version, 1);
  const durations = await measureTasks(service, READY_TASKS, isOneReady);
  return [latencyRow("task in a ready sandbox", durations, start, "10 ms")];
}

/** An object in a session: calls of it, one after the other, and the loop. */
async function sessionRows({ jail, version }: Hosts, { loop }: NativePython): Promise<string[][]> {
  await using service = await startPython(jail, version, 1);
  using client = connect(service);
  await using account = client.openObject(codePackage(), { config: { entry_point: "main:Account" }, format: "json" });
  const calls: number[] = [];
  const nodes: number[] = [];
  for (let number = 0; number <= SESSION_CALLS; number++) {
    // In turns, so that a slow moment of the machine hits both.
    const call = await timed(() => account.call("deposit", 1));
    const node = await timed(() => client.executeNode("StatefulCounter", null, { format: "json" }));
    if (number > 0) { // the first ones open session and connection
      calls.push(call);
      nodes.push(node);
    }
  }
  const loops: number[] = [];
  for (let number = 0; number < LOOPS; number++) loops.push(Number((await account.call("loop")).value));
  return [
    latencyRow("call of an object in a session", calls, { name: "ExecuteNode of a node", figure: median(nodes) }),
    latencyRow(LOOP, loops, loop),
  ];
}

async function measureTasks(
  service: ServerProcess,
  calls: number,
  isTime: SandboxCalls["isTime"],
): Promise<number[]> {
  using client = await TaskClient.connect(service.port);
  await warmService(client);
  const code = codePackage();
  const call = (number: number) =>
    client.measure({ code, entryPoint: "main:main", input: number }, [number, number * 2]);
  return await measureCalls(service, { kind: "python", calls, isTime, call });
}

async function timed(operation: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await operation();
  return performance.now() - startedAt;
}

function startPython(jail: Jail, version: PythonVersion, readySandboxes: number): Promise<ServerProcess> {
  return startService({
    "sandbox.type": jail.type,
    "pool.maxWorkers": 1,
    "pool.maxTaskHosts": 1,
    "pool.readyTaskHosts": 0,
    "python.version": version,
    "python.maxSandboxes": 1,
    "python.readySandboxes": readySandboxes,
    "python.startTimeoutMs": 60_000,
    "execution.queueTimeoutMs": 0,
  });
}

function connect({ port }: ServerProcess): RemoteExecutionClient {
  return new RemoteExecutionClient(`127.0.0.1:${port}`, { timeoutMs: 120_000 });
}

function codePackage(): Uint8Array {
  return packageFiles(new Map([["main.py", new TextEncoder().encode(SOURCE)]]), { runtime: "python" });
}

function latencyRow(what: string, durations: readonly number[], { name, figure }: Reference, bar = ""): string[] {
  return [
    what,
    `${median(durations).toFixed(1)} ms`,
    `${percentile(durations, 99).toFixed(1)} ms`,
    name,
    figure === undefined ? "" : `${figure.toFixed(1)} ms`,
    figure === undefined ? "" : ratio(median(durations), figure),
    bar,
  ];
}

function ratio(figure: number, reference: number): string {
  return (figure / reference).toFixed(2);
}

async function measureNative(): Promise<NativePython> {
  const version = await tryPython(["--version"]);
  if (version === undefined) {
    const missing = { name: "no python3 on this machine", figure: undefined };
    return { start: missing, loop: missing };
  }
  const starts: number[] = [];
  for (let run = 0; run <= NATIVE_STARTS; run++) {
    const durationMs = await timed(() => tryPython(["-c", NATIVE_TASK]));
    if (run > 0) starts.push(durationMs);
  }
  const loops = (await tryPython(["-c", NATIVE_LOOP]))?.split("\n").map(Number) ?? [];
  return {
    start: { name: `${version}, spawn to exit`, figure: median(starts) },
    loop: { name: version, figure: median(loops) },
  };
}

/** What the machine's CPython prints; `undefined` where there is none. */
async function tryPython(args: readonly string[]): Promise<string | undefined> {
  try {
    const { success, stdout, stderr } = await new Deno.Command("python3", { args: [...args], stdin: "null" }).output();
    if (success) return new TextDecoder().decode(stdout).trim();
    throw new Error(`Cannot measure python3: ${new TextDecoder().decode(stderr)}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
