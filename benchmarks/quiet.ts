/**
 * Waiting until processes have nothing to do.
 * @module
 */

import { tryCpuMs } from "../src/sandbox/proc.ts";
import { until } from "../tests/support/processes.ts";

/** A process that uses no CPU time for so long has nothing to do, in milliseconds. */
const QUIET_MS = 150;

/** Waits until none of the processes uses the CPU any more: sandboxes that have become ready still warm up. */
export async function untilQuiet(pids: () => readonly number[]): Promise<void> {
  const used = () => pids().map((pid) => `${pid}:${tryCpuMs(pid)}`).join();
  let before = "";
  await until("the processes have nothing to do", async () => {
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    const now = used();
    const isQuiet = now === before;
    before = now;
    return isQuiet;
  });
}
