/**
 * Honest tasks and nodes of one caller: alone, beside a caller with a quota who sends hostile programs, and beside one
 * without a quota. The reference is the first.
 *
 * @module
 */

import { TestClient } from "../tests/support/client.ts";
import { openFiles, residentBytes, until } from "../tests/support/processes.ts";
import { type CallRecord, honestAlone, makeTokens, mix } from "../tests/hostile/mix.ts";
import { type ServerProcess, startService } from "./server_process.ts";
import { percentile, printTable } from "./table.ts";
import { processTree } from "./usage.ts";

const MEGABYTE = 1024 * 1024;
/** Hosts for user code. */
const HOSTS = 4;
/** What the quota leaves to the others. */
const QUOTA = HOSTS - 1;
/** How many a caller without a quota sends at once. */
const FLOOD = 4 * HOSTS;
/** A part of the tasks is enough to see what the lack of a quota does, and each then takes long. */
const FLOOD_PART = 20;

interface Phase {
  readonly name: string;
  readonly records: readonly CallRecord[];
  readonly seconds: number;
}

/** Prints latencies, throughput, faults, and what the service kept. */
export async function benchMixedTasks(tasks: number): Promise<void> {
  if (!Number.isInteger(tasks) || tasks < 2) throw new RangeError(`--tasks must be a whole number from 2 on`);
  const folder = Deno.makeTempDirSync({ prefix: "rexec-bench-" });
  try {
    const headers = makeTokens(`${folder}/tokens.yaml`, ["honest", "limited", "unlimited"]);
    await using service = await startService({
      "auth.tokensFile": `${folder}/tokens.yaml`,
      "policy.callers": { limited: { maxActiveTasks: QUOTA } },
      "pool.maxTaskHosts": HOSTS,
      "execution.queueTimeoutMs": 0,
    });
    const address = `127.0.0.1:${service.port}`;
    using honest = new TestClient(address, headers.honest);
    using limited = new TestClient(address, headers.limited);
    using unlimited = new TestClient(address, headers.unlimited);
    await Promise.all([honest, limited, unlimited].map((client) => honestAlone(client, 2)));
    const before = keptBy(service);

    const half = Math.floor(tasks / 2);
    const phases = [
      await timed("alone", () => honestAlone(honest, half)),
      await timed(
        `beside ${QUOTA} hostile, quota ${QUOTA}`,
        () => mix({ honest, hostile: limited, callsOfEach: half, hostileAtOnce: QUOTA }),
      ),
      await timed(`beside ${FLOOD} hostile, no quota`, () => {
        const callsOfEach = Math.max(FLOOD, Math.floor(half / FLOOD_PART));
        return mix({ honest, hostile: unlimited, callsOfEach, hostileAtOnce: FLOOD });
      }),
    ];
    await until("as few processes as before", () => processTree(service.pid).length <= before.processes);
    printLatencies(phases);
    printOutcomes(phases);
    printKept(before, keptBy(service));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function timed(name: string, run: () => Promise<readonly CallRecord[]>): Promise<Phase> {
  const startedAt = performance.now();
  const records = await run();
  return { name, records, seconds: (performance.now() - startedAt) / 1_000 };
}

function printLatencies(phases: readonly Phase[]): void {
  const rows = (["task", "node"] as const).flatMap((kind) => {
    const references = percentilesOf(phases[0]?.records ?? [], kind);
    return phases.map(({ name, records }) => {
      const found = percentilesOf(records, kind);
      const ratios = found.slice(0, 3).map((value, index) => `${(value / (references[index] ?? NaN)).toFixed(1)} ×`);
      return [`honest ${kind}, ${name}`, ...found.map((value) => value.toFixed(1)), ...ratios];
    });
  });
  printTable(
    `Honest calls of a caller who sends one after the other, ms; load average ${Deno.loadavg()[0]?.toFixed(1)}`,
    ["calls", "p50", "p90", "p99", "max", "p50 to alone", "p90 to alone", "p99 to alone"],
    rows,
  );
}

/** 50 %, 90 %, 99 % and all, in milliseconds. */
function percentilesOf(records: readonly CallRecord[], kind: CallRecord["kind"]): number[] {
  const durations = records.filter((record) => record.kind === kind).map(({ durationMs }) => durationMs);
  return [50, 90, 99, 100].map((percent) => percentile(durations, percent));
}

function printOutcomes(phases: readonly Phase[]): void {
  printTable(
    "What came of them; every call was answered once",
    ["phase", "honest", "of them right", "hostile", "of them as expected", "seconds", "calls/s"],
    phases.map(({ name, records, seconds }) => {
      const honest = records.filter(({ kind }) => kind !== "hostile");
      const hostile = records.filter(({ kind }) => kind === "hostile");
      return [
        name,
        ...[honest, hostile].flatMap((calls) => [calls.length, calls.filter(({ fault }) => fault === undefined).length])
          .map(String),
        seconds.toFixed(1),
        (records.length / seconds).toFixed(1),
      ];
    }),
  );
  const faults = phases.flatMap(({ records }) => records).flatMap(({ fault }) => fault ?? []);
  for (const [fault, count] of counted(faults)) console.log(`${count} × ${fault}`);
}

function counted(values: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

interface Kept {
  readonly processes: number;
  readonly descriptors: number;
  readonly residentMb: number;
}

function keptBy({ pid }: ServerProcess): Kept {
  return {
    processes: processTree(pid).length,
    descriptors: openFiles(pid),
    residentMb: residentBytes(pid) / MEGABYTE,
  };
}

function printKept(before: Kept, after: Kept): void {
  const row = (moment: string, { processes, descriptors, residentMb }: Kept) => [
    moment,
    residentMb.toFixed(0),
    String(descriptors),
    String(processes),
  ];
  printTable(
    "What the service has",
    ["moment", "memory of the server, MB", "its descriptors", "processes"],
    [row("before", before), row("after", after)],
  );
}
