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
import { startServer } from "./server_process.ts";

const CALLS = 20_000;
const ROUNDS = 5;
const CONNECTIONS = 4;
const STREAMS = 8;
const EXECUTE_NODE = "/remotemedia.execution.RemoteExecutionService/ExecuteNode";

/** Requests by name. */
function requests(): ReadonlyMap<string, Uint8Array> {
  const limits = { memoryLimitBytes: 64 * 1024 * 1024, maxOutputBytes: 1024 * 1024 };
  const request = (nodeType: string, serializationFormat: string, inputData: Uint8Array) =>
    ExecuteNodeRequest.encode({ nodeType, serializationFormat, inputData, config: {}, options: undefined }).finish();
  const calculation = new TextEncoder().encode('{"operation": "add", "args": [1, 2.5]}');
  const bytes = codecFor("pickle").encode(crypto.getRandomValues(new Uint8Array(4096)), limits);
  return new Map([
    ["CalculatorNode, json", request("CalculatorNode", "json", calculation)],
    ["PassThroughNode, 4 KB pickle", request("PassThroughNode", "pickle", bytes)],
  ]);
}

/** Measures in turns, so that a slow moment of the machine hits all alike, and prints the medians. */
export async function benchExecuteNode(): Promise<void> {
  await using echo = await startServer("./echo_server.ts");
  await using service = await startServer("./service.ts");
  const rows: string[][] = [];
  for (const [name, message] of requests()) {
    const rates: Record<"echo" | "service", number[]> = { echo: [], service: [] };
    let client = "";
    for (let round = 0; round <= ROUNDS; round++) {
      const common = { message, calls: CALLS, connections: CONNECTIONS, streamsPerConnection: STREAMS };
      const reference = await measureUnary({ ...common, port: echo.port, path: "/benchmark.Echo/Echo" });
      const measured = await measureUnary({ ...common, port: service.port, path: EXECUTE_NODE });
      client = measured.client;
      if (round === 0) continue; // warms both up
      rates.echo.push(reference.callsPerSecond);
      rates.service.push(measured.callsPerSecond);
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
}
