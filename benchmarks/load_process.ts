/**
 * A process of the load generator. Argument: a plan, as JSON. Prints `ready` when all streams are open, starts when a line
 * comes on standard input, and prints a report as a line of JSON at the end.
 * @module
 */

import { GrpcConnection } from "./grpc_connection.ts";
import { Histogram } from "./histogram.ts";
import type { LoadPlan, LoadReport } from "./load_plan.ts";
import { LoadStream, Tally, UnaryCaller } from "./load_sources.ts";
import { pace, type PacedSource } from "./pacer.ts";

if (import.meta.main) {
  // The coordinator made it.
  const plan = JSON.parse(Deno.args[0] ?? "{}") as LoadPlan;
  console.log(JSON.stringify(await run(plan)));
}

async function run({ address, connections, seconds, warmUpSeconds, parts }: LoadPlan): Promise<LoadReport> {
  using owned = new DisposableStack();
  const opened = await Promise.all(Array.from({ length: connections }, () => GrpcConnection.connect(address)));
  for (const connection of opened) owned.use(connection);
  const tallies = new Map(Object.keys(parts).map((name) => [name, new Tally()]));
  const paced: PacedSource[] = [];
  const fast: LoadStream[] = [];
  const all: (LoadStream | UnaryCaller)[] = [];
  for (const [name, part] of Object.entries(parts)) {
    const tally = tallies.get(name)!;
    for (let index = 0; index < part.count; index++) {
      const connection = opened[all.length % opened.length]!;
      const source = part.kind === "unary"
        ? new UnaryCaller(connection, part, tally)
        : new LoadStream(connection, part, tally);
      all.push(source);
      if (part.kind === "fast") fast.push(source as LoadStream); // Just made as one.
      else paced.push(source);
    }
  }
  await Promise.all(all.map((source) => source instanceof LoadStream ? source.open() : undefined));
  console.log("ready");
  await Deno.stdin.read(new Uint8Array(1));

  const lag = new Histogram();
  const measuredFrom = performance.now() + warmUpSeconds * 1_000;
  for (const tally of tallies.values()) tally.measuredFrom = measuredFrom;
  for (const stream of fast) stream.sendWindow();
  await pace(paced, { seconds, onLag: (ms) => lag.add(ms) });
  console.log("paced");
  await Promise.all(all.map((source) => source.finish()));
  return {
    lag: lag.toRecord(),
    parts: Object.fromEntries(
      Object.entries(parts).map(([name, part]) => {
        return [name, tallies.get(name)!.toReport(part.kind === "paced" ? part.inputsPerOutput : 1)];
      }),
    ),
  };
}
