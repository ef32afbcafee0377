/**
 * ExecuteNode against a bare echo: how much of what grpc-js on this Deno can do is left after the whole way through
 * validation, placement, sandbox and back.
 *
 * @module
 */

import { ExecuteNodeRequest } from "../protos/generated/execution.ts";
import { codecFor } from "../workers/codecs/mod.ts";
import { median, printTable } from "./table.ts";
import { measureUnary } from "./load.ts";
import { startEcho, startService } from "./server_process.ts";
import { processTree, type ThreadTimes, threadTimes } from "./usage.ts";

const CALLS = 20_000;
const ROUNDS = 5;
const CONNECTIONS = 4;
const STREAMS = 8;
/** Path of the method under measurement. */
export const EXECUTE_NODE = "/remotemedia.execution.RemoteExecutionService/ExecuteNode";

/** A serialized request without config and options. */
export function nodeRequest(nodeType: string, serializationFormat: string, inputData: Uint8Array): Uint8Array {
  return ExecuteNodeRequest.encode({ nodeType, serializationFormat, inputData, config: {}, options: undefined })
    .finish();
}

/** Requests by name. */
function requests(): ReadonlyMap<string, Uint8Array> {
  const limits = { memoryLimitBytes: 64 * 1024 * 1024, maxOutputBytes: 1024 * 1024 };
  const calculation = new TextEncoder().encode('{"operation": "add", "args": [1, 2.5]}');
  const bytes = codecFor("pickle").encode(crypto.getRandomValues(new Uint8Array(4096)), limits);
  return new Map([
    ["CalculatorNode, json", nodeRequest("CalculatorNode", "json", calculation)],
    ["PassThroughNode, 4 KB pickle", nodeRequest("PassThroughNode", "pickle", bytes)],
  ]);
}

/** Measures in turns, so that a slow moment of the machine hits all alike, and prints the medians. */
export async function benchExecuteNode(): Promise<void> {
  await using echo = await startEcho();
  await using service = await startService();
  const rows: string[][] = [];
  const profile: string[][] = [];
  for (const [name, message] of requests()) {
    const rates: Record<"echo" | "service", number[]> = { echo: [], service: [] };
    let client = "";
    const before = [echo, service].map(({ pid }) => timesOf(pid));
    for (let round = 0; round <= ROUNDS; round++) {
      const common = { message, calls: CALLS, connections: CONNECTIONS, streamsPerConnection: STREAMS };
      const reference = await measureUnary({ ...common, port: echo.port, path: "/benchmark.Echo/Echo" });
      const measured = await measureUnary({ ...common, port: service.port, path: EXECUTE_NODE });
      client = measured.client;
      if (round === 0) { // warms both up
        before.splice(0, 2, timesOf(echo.pid), timesOf(service.pid));
        continue;
      }
      rates.echo.push(reference.callsPerSecond);
      rates.service.push(measured.callsPerSecond);
    }
    for (const [index, { pid }] of [echo, service].entries()) {
      profile.push([`${name}: ${index === 0 ? "bare echo" : "service"}`, ...perCall(timesOf(pid), before[index])]);
    }
    const ratio = median(rates.service.map((rate, round) => rate / (rates.echo[round] ?? NaN)));
    rows.push([
      name,
      median(rates.service).toFixed(0),
      median(rates.echo).toFixed(0),
      `${(ratio * 100).toFixed(0)} %`,
      "70 %",
      client,
    ]);
  }
  printTable("ExecuteNode, calls/s, median of rounds", [
    "request",
    "service",
    "bare echo",
    "ratio",
    "bar",
    "client",
  ], rows);
  printTable("Where the time goes, microseconds of CPU per call", [
    "request",
    "front: event loop",
    "front: collector",
    "host: relay",
    "host: worker",
    "host: collector",
  ], profile);
}

/** CPU time of a server's threads and of its hosts', in microseconds. */
function timesOf(pid: number): number[] {
  const [front, ...hosts] = processTree(pid).map(threadTimes);
  const sum = (key: keyof ThreadTimes) => hosts.reduce((total, times) => total + times[key], 0);
  return [front?.main ?? 0, front?.others ?? 0, sum("main"), sum("workers"), sum("others")];
}

function perCall(after: readonly number[], before: readonly number[] = []): string[] {
  return after.map((micros, index) => ((micros - (before[index] ?? 0)) / (CALLS * ROUNDS)).toFixed(1));
}
