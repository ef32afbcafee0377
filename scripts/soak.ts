/**
 * Soaks the service: streams, calls, sessions, cancels and connections of every kind at once, while its sandbox hosts are
 * killed at random. Whatever no kill touched must succeed; otherwise the exit code is 1.
 *
 * ```sh
 * deno task soak                          # ten minutes
 * deno task soak --minutes 60 --seed 4
 * ```
 *
 * @module
 */

import { Command, InvalidArgumentError } from "commander";
import { printTable } from "../benchmarks/table.ts";
import { soak, type SoakMemory, type SoakReport } from "../tests/soak/soak.ts";
import { startTestServer } from "../tests/support/server.ts";

const MEGABYTE = 1024 * 1024;
/** Memory at the end is compared with that after the first minute. */
const FIRST_MEMORY_SECONDS = 60;

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly killEvery: number;
  readonly settings: string;
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const { minutes, seed, killEvery, settings } = new Command("soak")
    .description("Uses the service in every way at once while its sandbox hosts are killed.")
    .option("--minutes <count>", "how long", positiveNumber, 10)
    .option("--seed <number>", "of what is random", Number, 1)
    .option("--kill-every <seconds>", "time between kills, at the mean", positiveNumber, 10)
    .option("--settings <json>", "of the service, by key", "{}")
    .parse(Deno.args, { from: "user" })
    .opts<Options>();
  const seconds = minutes * 60;
  // The service goes on otherwise when this ends.
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.abort());
  await using server = await startTestServer({
    settings: { "logging.level": "WARNING", "pool.maxWorkers": 4, ...JSON.parse(settings) },
  });
  const report = await soak(server, {
    seconds,
    seed,
    killEveryMs: killEvery * 1_000,
    minKills: 1,
    signal: stop.signal,
    firstMemorySeconds: Math.min(FIRST_MEMORY_SECONDS, seconds / 2),
    onProgress: (progress) => console.log(describeProgress(progress)),
    onFailure: (failure, sinceKillMs) => console.log(`FAILED, ${sinceKillMs.toFixed(0)} ms after a kill: ${failure}`),
  });
  const exit = await server.stop();
  print(report);
  printLog(exit.stderr);
  if (exit.code !== 0) console.log(`The service ended with exit code ${exit.code}`);
  if (report.failures.size > 0 || exit.code !== 0) Deno.exit(1);
}

function describeProgress({ activities, failures, kills, seconds, memory }: SoakReport): string {
  const done = [...activities.values()].reduce((sum, counts) => sum + counts.done, 0);
  const failed = [...failures.values()].reduce((sum, count) => sum + count, 0);
  return `${seconds.toFixed(0)} s: ${done} done, ${failed} failed, ${kills} kills, server ${
    megabytes(memory.front)
  } MB, ` +
    `with hosts ${megabytes(memory.all)} MB`;
}

function print({ activities, failures, kills, seconds, memoryAtFirst, memory }: SoakReport): void {
  printTable(
    `${seconds.toFixed(0)} s, ${kills} hosts killed`,
    ["activity", "done", "ended by a kill", "failed"],
    [...activities].map(([name, { done, touched, failed }]) => [name, ...[done, touched, failed].map(String)]),
  );
  const row = (moment: string, { front, all }: SoakMemory) => [moment, megabytes(front), megabytes(all)];
  printTable("Memory, MB", ["moment", "server", "with its hosts"], [
    ...memoryAtFirst === undefined ? [] : [row("after the first minute", memoryAtFirst)],
    row("at the end", memory),
  ]);
  for (const [failure, count] of failures) console.log(`${count} × ${failure}`);
}

/** What the service logged, by message. */
function printLog(stderr: string): void {
  const counts = new Map<string, number>();
  for (const line of stderr.split("\n")) {
    if (line === "") continue;
    const message = messageIn(line);
    counts.set(message, (counts.get(message) ?? 0) + 1);
  }
  if (counts.size > 0) console.log("\nWhat the service logged, numbers replaced");
  for (const [message, count] of counts) console.log(`${count} × ${message}`);
}

function messageIn(line: string): string {
  try {
    // One of our own lines.
    const { level, message } = JSON.parse(line) as { level: string; message: string };
    return `${level} ${message}`.replaceAll(/[0-9a-f-]{8,}|\d+/g, "#");
  } catch {
    return line;
  }
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(0);
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("It must be a number above 0.");
  return value;
}
