/**
 * Streams: many in real time, and few as fast as they go, beside a bare grpc-js server that echoes streams under the very
 * same load in the same run.
 * @module
 */

import type { LoadPart, Payload } from "./load_plan.ts";
import { type LoadResult, type PartResult, runLoad } from "./load_run.ts";
import { latencyCells } from "./load_table.ts";
import { type ServerProcess, startEcho, startService } from "./server_process.ts";
import { median, printTable } from "./table.ts";

const FRAME_MS = 20;
const FRAME: Payload = { kind: "audio", frameMs: FRAME_MS, sampleRate: 48_000, format: "pickle" };
const SMALL: Payload = { kind: "json", text: '{"n": 1, "text": "abc"}' };
/** The bar: so many streams, and their 99th percentile. */
const REAL_TIME_STREAMS = 200;
const BAR_MS = 20;
const REAL_TIME = { seconds: 12, warmUpSeconds: 2, processes: 2, connections: 2 };

const FAST_STREAMS = 8;
const WINDOW = 16;
const FAST = { seconds: 4, warmUpSeconds: 1, processes: 2, connections: 1 };
const FAST_ROUNDS = 3;

const NODES = [
  { nodeType: "VoiceActivityDetector", config: { frame_duration_ms: "10" } },
  { nodeType: "AudioBuffer", config: { buffer_size_samples: String(48 * FRAME_MS) } },
];

/** Prints latencies of streams in real time, then rates of streams at full speed. */
export async function benchStreams(): Promise<void> {
  await using echo = await startEcho();
  await using service = await startService();
  await benchRealTime(echo, service);
  await benchFullSpeed(echo, service);
}

const ECHO = { method: "Echo", nodeType: "", config: {} } as const;

async function benchRealTime(echo: ServerProcess, service: ServerProcess): Promise<void> {
  const paced = {
    kind: "paced",
    count: REAL_TIME_STREAMS,
    intervalMs: FRAME_MS,
    inputsPerOutput: 1,
    payload: FRAME,
  } as const;
  const results: [name: string, result: LoadResult][] = [
    ["bare echo", await loadOf(echo, { ...ECHO, ...paced }, REAL_TIME)],
  ];
  for (const node of NODES) {
    results.push([node.nodeType, await loadOf(service, { ...node, ...paced, method: "StreamNode" }, REAL_TIME)]);
  }
  const reference = onlyPart(results[0]![1]);
  printTable(
    `${REAL_TIME_STREAMS} streams in real time, frames of ${FRAME_MS} ms, ${
      REAL_TIME.seconds - REAL_TIME.warmUpSeconds
    } s; ` +
      `from when a frame was due to its answer, ms; load average ${Deno.loadavg()[0]?.toFixed(1)}`,
    [
      "node",
      "p50",
      "p90",
      "p99",
      "max",
      "p50 to echo",
      "p99 to echo",
      "bar for p99",
      "frames",
      "dropped",
      "errors",
      "generator late p99",
    ],
    results.map(([name, result]) => {
      const part = onlyPart(result);
      const ratio = (percent: number) =>
        `${(part.latency.percentile(percent) / reference.latency.percentile(percent)).toFixed(1)} ×`;
      return [
        name,
        ...latencyCells(part),
        ratio(50),
        ratio(99),
        String(BAR_MS),
        String(part.sent),
        String(part.unsent + part.unanswered),
        [...part.errors].map(([kind, count]) => `${count} × ${kind}`).join("; "),
        result.lag.percentile(99).toFixed(1),
      ];
    }),
  );
  printTable(
    "What they take, microseconds of CPU for each frame",
    [
      "node",
      "front: event loop",
      "front: others",
      "hosts: relay",
      "hosts: worker",
      "hosts: others",
      "all",
      "generator",
      "memory, MB",
    ],
    results.map(([name, result]) => {
      const { server, clientCpu } = result;
      const cpu = Object.values(server?.cpu ?? {});
      // A percent of a core is 10 ms in each second.
      const perFrame = (percent: number) => (percent * 10_000 / onlyPart(result).answersPerSecond).toFixed(0);
      return [
        name,
        ...[...cpu, cpu.reduce((sum, percent) => sum + percent, 0), clientCpu].map(perFrame),
        ((server?.memoryBytes ?? NaN) / 1024 / 1024).toFixed(0),
      ];
    }),
  );
}

async function benchFullSpeed(echo: ServerProcess, service: ServerProcess): Promise<void> {
  const rows: string[][] = [];
  for (
    const [name, payload, node] of [
      ["small, PassThroughNode, json", SMALL, { nodeType: "PassThroughNode", config: {} }],
      ["20 ms frames, PassThroughNode", FRAME, { nodeType: "PassThroughNode", config: {} }],
      ["20 ms frames, VoiceActivityDetector", FRAME, NODES[0]!],
    ] as const
  ) {
    const fast = { kind: "fast", count: FAST_STREAMS, window: WINDOW, payload } as const;
    const rates: Record<"echo" | "StreamNode" | "StreamExecute", number[]> = {
      echo: [],
      StreamNode: [],
      StreamExecute: [],
    };
    for (let round = 0; round < FAST_ROUNDS; round++) {
      rates.echo.push(rateOf(await loadOf(echo, { ...ECHO, ...fast }, FAST)));
      for (const method of ["StreamNode", "StreamExecute"] as const) {
        rates[method].push(rateOf(await loadOf(service, { ...node, ...fast, method }, FAST)));
      }
    }
    for (const method of ["StreamNode", "StreamExecute"] as const) {
      const ratio = median(rates[method].map((rate, round) => rate / (rates.echo[round] ?? NaN)));
      rows.push([
        `${name}, ${method}`,
        median(rates[method]).toFixed(0),
        median(rates.echo).toFixed(0),
        `${(ratio * 100).toFixed(0)} %`,
      ]);
    }
  }
  printTable(
    `Streams at full speed, messages/s each way: ${FAST_STREAMS} streams, ${WINDOW} messages under way in each; ` +
      `median of ${FAST_ROUNDS} rounds`,
    ["messages", "service", "bare echo", "ratio"],
    rows,
  );
}

async function loadOf(
  { port, pid }: ServerProcess,
  part: LoadPart,
  options: Pick<Parameters<typeof runLoad>[0], "seconds" | "warmUpSeconds" | "processes" | "connections">,
): Promise<LoadResult> {
  return await runLoad({ address: `127.0.0.1:${port}`, serverPid: pid, parts: { part }, ...options });
}

function onlyPart({ parts }: LoadResult): PartResult {
  const [part] = parts.values();
  if (part === undefined) throw new TypeError("A load without parts");
  return part;
}

/** @throws {Error} when a stream failed: a rate of failures is no rate */
function rateOf(result: LoadResult): number {
  const { errors, answersPerSecond } = onlyPart(result);
  for (const [kind] of errors) throw new Error(`Cannot measure streams at full speed: ${kind}`);
  return answersPerSecond;
}
