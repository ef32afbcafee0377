/**
 * Calls of user code one by one, each sent when the service's sandboxes are as it wants them and have nothing to do.
 * @module
 */

import { tryCpuMs } from "../src/sandbox/proc.ts";
import { until } from "../tests/support/processes.ts";
import type { ServerProcess } from "./server_process.ts";
import type { TaskClient } from "./task_client.ts";
import { processTree } from "./usage.ts";

/** A process whose CPU time stands still for so long has nothing to do. The kernel counts in hundredths of a second. */
const QUIET_MS = 150;

/** Sandboxes for user code by what they do. */
export interface SandboxCounts {
  readonly available: number;
  readonly starting: number;
  readonly busy: number;
}

/** One is ready, and no other on its way. */
export function isOneReady({ available, starting, busy }: SandboxCounts): boolean {
  return available > 0 && starting + busy === 0;
}

/** There is none, ready or not. */
export function isNoneThere({ available, starting, busy }: SandboxCounts): boolean {
  return available + starting + busy === 0;
}

/** What to call, and when. */
export interface SandboxCalls {
  /** Of the sandboxes that are looked at, as metrics name them. */
  readonly kind: "task" | "python";
  /** How many calls are measured; one more goes before them. */
  readonly calls: number;
  readonly isTime: (sandboxes: SandboxCounts) => boolean;
  /** Gives its own duration in milliseconds. */
  readonly call: (number: number) => Promise<number>;
}

/** Calls of a node before sandboxes are measured: a service that has just been started compiles what each call runs. */
const NODE_CALLS = 2_000;

/** Has the service answer calls as one does that has run for a while. */
export async function warmService(client: TaskClient): Promise<void> {
  for (let call = 0; call < NODE_CALLS; call++) await client.callNode();
}

/** Durations of the calls in milliseconds, without the first, which starts and connects what all others find. */
export async function measureCalls(
  service: ServerProcess,
  { kind, calls, isTime, call }: SandboxCalls,
): Promise<number[]> {
  const durations: number[] = [];
  for (let number = 0; number <= calls; number++) {
    await until("the sandboxes are as they should be", async () => isTime(await sandboxCounts(service, kind)));
    await untilQuiet(() => processTree(service.pid).slice(1));
    const durationMs = await call(number);
    if (number > 0) durations.push(durationMs);
  }
  return durations;
}

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

async function sandboxCounts({ metricsPort }: ServerProcess, kind: SandboxCalls["kind"]): Promise<SandboxCounts> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const count = (state: string) =>
    Number(new RegExp(`^rexec_hosts\\{state="${kind}_${state}"\\} (\\d+)$`, "m").exec(text)?.[1]);
  return { available: count("available"), starting: count("starting"), busy: count("busy") };
}
