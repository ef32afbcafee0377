/**
 * A supervised service and what the kernel knows of its processes.
 * @module
 */

import { descendantsOf, isAlive } from "../support/processes.ts";
import { listNodes } from "../support/secure.ts";
import { startTestServer, type TestServer, type TestServerOptions } from "../support/server.ts";

/** Starts a service with two fronts of two hosts each. Its timeouts are so long that who waits for one waits for ever. */
export async function startFronts({ settings, ...options }: TestServerOptions = {}): Promise<TestServer> {
  return await startTestServer({
    settings: {
      "server.processes": 2,
      "pool.maxWorkers": 4,
      "server.drainTimeoutMs": 3_600_000,
      "pool.startTimeoutMs": 600_000,
      "sandbox.probe": false,
      ...settings,
    },
    ...options,
  });
}

/** Pids of the fronts that are there, the ones that drain included. */
export function frontsOf({ pid }: TestServer): number[] {
  return descendantsOf(pid).filter((child) => commandLine(child).includes("supervisor/front.ts")).filter(isAlive);
}

function commandLine(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}

/** Inodes of the sockets that a process has open. */
export function socketsOf(pid: number): string[] {
  const sockets: string[] = [];
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      const target = Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
      if (target.startsWith("socket:")) sockets.push(target);
    }
  } catch {
    // It has ended.
  }
  return sockets;
}

/** The values of a metric by its labels, as they stand in the text. */
export async function metric(server: TestServer, name: string): Promise<Map<string, number>> {
  const values = new Map<string, number>();
  for (const line of (await server.metrics()).split("\n")) {
    const sample = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (sample?.[1] === name) values.set(sample[2] ?? "", Number(sample[3]));
  }
  return values;
}

/** Calls over new connections, one after the other, until it is stopped. */
export class NewConnections {
  readonly failures: string[] = [];
  #calls = 0;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(address: string) {
    this.#running = this.#run(address);
  }

  /** Stops. @returns how many calls there were */
  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#running;
    return this.#calls;
  }

  async #run(address: string): Promise<void> {
    while (!this.#stopped) {
      const answer = await listNodes(address);
      this.#calls++;
      if (!answer.ok) this.failures.push(`${answer.code} ${answer.details}`);
    }
  }
}
