/**
 * What processes use, from proc(5). Linux only.
 * @module
 */

/** CPU time so far of a process' main thread, of its workers' threads, and of all others, in microseconds. */
export interface ThreadTimes {
  readonly main: number;
  readonly workers: number;
  readonly others: number;
}

/** Nanoseconds on the CPU are the first field of `schedstat`; nothing more is counted of a process that has ended. */
export function threadTimes(pid: number): ThreadTimes {
  const times = { main: 0, workers: 0, others: 0 };
  try {
    for (const { name: tid } of Deno.readDirSync(`/proc/${pid}/task`)) {
      const folder = `/proc/${pid}/task/${tid}`;
      const micros = Number(Deno.readTextFileSync(`${folder}/schedstat`).split(" ")[0]) / 1_000;
      const name = Deno.readTextFileSync(`${folder}/comm`).trim();
      if (tid === String(pid)) times.main += micros;
      else if (name.startsWith("worker")) times.workers += micros;
      else times.others += micros;
    }
  } catch (error) {
    // A host that was probed ends while others are looked at.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return times;
}

/** A process and all that descend from it and have not ended meanwhile. */
export function processTree(pid: number): number[] {
  let children: string;
  try {
    children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  return [pid, ...children.split(" ").filter((text) => text !== "").flatMap((text) => processTree(Number(text)))];
}

/** Proportional set size in bytes: pages that processes share are divided among them. */
export function proportionalBytes(pid: number): number {
  const rollup = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024;
}
