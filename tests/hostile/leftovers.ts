/**
 * What a server has of everything that a task or a call could leave behind.
 * @module
 */

import { TestClient } from "../support/client.ts";
import { isAlive, openFiles, residentBytes, until } from "../support/processes.ts";
import type { TestServer } from "../support/server.ts";

const KINDS = ["processes", "files", "descriptors", "threads"] as const;

/** How much there is of each kind. */
export type Usage = Readonly<Record<typeof KINDS[number] | "residentBytes", number>>;

/**
 * Counts.
 * @param folder the server's temporary folder, which is in the command lines of its sandboxes
 */
function usageOf(pid: number, folder: string): Usage {
  return {
    processes: processesOf(folder),
    files: [...Deno.readDirSync(folder)].reduce((count, { name }) => count + filesBelow(`${folder}/${name}`), 0),
    descriptors: openFiles(pid),
    threads: [...Deno.readDirSync(`/proc/${pid}/task`)].length,
    residentBytes: residentBytes(pid),
  };
}

/** Counts once no host is busy or being started, so that nothing that comes and goes by itself is missed. */
export async function usageAtRest(server: TestServer, folder: string): Promise<Usage> {
  await until("the hosts are at rest", async () => {
    const metrics = await server.metrics();
    return !/^rexec_hosts\{state="\w*(?:busy|starting)"\} [1-9]/m.test(metrics);
  });
  return usageOf(server.pid, folder);
}

/**
 * Waits until the server has no more of anything than it had at rest.
 * @throws {Error} with both counts when it keeps more
 */
export async function untilNothingIsLeft({ pid }: TestServer, folder: string, atRest: Usage): Promise<void> {
  let now = usageOf(pid, folder);
  try {
    await until("nothing is left", () => {
      now = usageOf(pid, folder);
      return KINDS.every((kind) => now[kind] <= atRest[kind]);
    });
  } catch (cause) {
    throw new Error(`More than at rest: ${JSON.stringify({ atRest, now })}`, { cause });
  }
}

/**
 * Waits until the server's memory has not grown by so many megabytes: what was used is given back when the collector has
 * run, for which a server needs something to do.
 * @throws {Error} with what it has grown by when it stays
 */
export async function untilMemoryIsBack(server: TestServer, atRest: Usage, megabytes: number): Promise<void> {
  using client = new TestClient(server.address);
  const grown = () => (residentBytes(server.pid) - atRest.residentBytes) / (1024 * 1024);
  try {
    await until("the memory is given back", async () => {
      if (grown() < megabytes) return true;
      await client.run({ nodeType: "PassThroughNode", input: "x".repeat(100_000) });
      return false;
    });
  } catch (cause) {
    throw new Error(`Its memory grew by ${Math.round(grown())} MB, and stays so`, { cause });
  }
}

/** Processes that were started with a path below a folder, wherever they are by now. */
function processesOf(folder: string): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (Deno.readTextFileSync(`/proc/${name}/cmdline`).includes(folder) && isAlive(Number(name))) count++;
    } catch {
      // It has ended.
    }
  }
  return count;
}

function filesBelow(path: string): number {
  let count = 1;
  try {
    for (const { name } of Deno.readDirSync(path)) count += filesBelow(`${path}/${name}`);
  } catch {
    // No folder, or gone.
  }
  return count;
}

/** Takes connections that nobody should make, and counts them. */
export class SilentListener implements Disposable {
  connections = 0;
  readonly port: number;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });

  constructor() {
    this.port = this.#listener.addr.port;
    void this.#take();
  }

  async #take(): Promise<void> {
    try {
      for await (const connection of this.#listener) {
        this.connections++;
        connection.close();
      }
    } catch {
      // Disposed.
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}
