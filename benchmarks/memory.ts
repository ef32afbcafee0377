/**
 * Memory of the service: idle with its workers ready, and after many calls.
 * @module
 */

import { EXECUTE_NODE, nodeRequest } from "./execute_node.ts";
import { measureUnary } from "./load.ts";
import { startEcho, startService } from "./server_process.ts";
import { printTable } from "./table.ts";
import { processTree, proportionalBytes } from "./usage.ts";

const CALLS_PER_ROUND = 100_000;
const ROUNDS = 3;
const MEGABYTE = 1024 * 1024;

/** Prints proportional set sizes of server and hosts, beside a bare grpc-js server under the same load. */
export async function benchMemory(): Promise<void> {
  await using echo = await startEcho();
  await using service = await startService();
  const message = nodeRequest("CalculatorNode", "json", new TextEncoder().encode('{"operation":"add","args":[1,2]}'));
  const rows: string[][] = [];
  const addRow = (moment: string) => {
    const all = processTree(service.pid).map((pid) => proportionalBytes(pid) / MEGABYTE);
    const total = all.reduce((sum, bytes) => sum + bytes, 0);
    const reference = proportionalBytes(echo.pid) / MEGABYTE;
    rows.push([
      moment,
      total.toFixed(0),
      (all[0] ?? NaN).toFixed(0),
      reference.toFixed(0),
      (total / reference).toFixed(1),
      moment === "idle" ? "300" : "",
    ]);
  };
  addRow("idle");
  for (let round = 1; round <= ROUNDS; round++) {
    const load = { message, calls: CALLS_PER_ROUND, connections: 4, streamsPerConnection: 8 };
    await measureUnary({ ...load, port: service.port, path: EXECUTE_NODE });
    await measureUnary({ ...load, port: echo.port, path: "/benchmark.Echo/Echo" });
    addRow(`after ${round * CALLS_PER_ROUND} calls`);
  }
  printTable("Memory with four workers, proportional set size in MB", [
    "moment",
    "service",
    "of it server",
    "bare echo",
    "ratio",
    "bar",
  ], rows);
}
