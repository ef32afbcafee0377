/**
 * What came of a load, for people.
 * @module
 */

import type { LoadResult, PartResult } from "./load_run.ts";
import { printTable } from "./table.ts";

const MEGABYTE = 1024 * 1024;

/** 50, 90, 99 percent and all, in milliseconds. */
export function latencyCells({ latency }: Pick<PartResult, "latency">): string[] {
  return [...[50, 90, 99].map((percent) => latency.percentile(percent)), latency.maxMs].map((ms) => ms.toFixed(1));
}

/** Prints latencies and counts of the parts, the errors, and what generator and server used. */
export function printLoad(title: string, { parts, lag, clientCpu, server }: LoadResult): void {
  printTable(
    `${title}; latency from when a message was due to its answer, in ms`,
    ["part", "p50", "p90", "p99", "max", "answers/s", "sent", "not sent in time", "never answered", "errors"],
    [...parts].map(([name, part]) => [
      name,
      ...latencyCells(part),
      part.answersPerSecond.toFixed(0),
      String(part.sent),
      String(part.unsent),
      String(part.unanswered),
      String([...part.errors.values()].reduce((sum, count) => sum + count, 0)),
    ]),
  );
  for (const [name, { errors }] of parts) {
    for (const [kind, count] of errors) console.log(`${name}: ${count} × ${kind}`);
  }
  const percent = (value: number) => value.toFixed(0);
  const rows = [
    [
      "generator late, p50 / p99 / max, ms",
      [lag.percentile(50), lag.percentile(99), lag.maxMs].map((ms) => ms.toFixed(1)).join(" / "),
    ],
    ["generator CPU, % of a core", percent(clientCpu)],
  ];
  if (server !== undefined) {
    const { cpu, memoryBytes, frontMemoryBytes, hosts } = server;
    const all = Object.values(cpu).reduce((sum, value) => sum + value, 0);
    rows.push(
      ["server CPU, % of a core", percent(all)],
      ["  of it front: event loop", percent(cpu.frontLoop)],
      ["  of it front: collector and others", percent(cpu.frontOthers)],
      ["  of it hosts: relay", percent(cpu.hostRelays)],
      ["  of it hosts: worker", percent(cpu.hostWorkers)],
      ["  of it hosts: collector and others", percent(cpu.hostOthers)],
      [`server memory, MB, ${hosts} hosts among it`, percent(memoryBytes / MEGABYTE)],
      ["  of it front", percent(frontMemoryBytes / MEGABYTE)],
    );
  }
  rows.push(["load average of the machine", (Deno.loadavg()[0] ?? NaN).toFixed(1)]);
  printTable("What it took", ["", "value"], rows);
}
