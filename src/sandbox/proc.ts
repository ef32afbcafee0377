/**
 * What the kernel says about a process, from proc(5). On systems without `/proc` every answer is `undefined`.
 * @module
 */

/** Linux's page size on the architectures that Deno runs on is 4 KiB, but for some arm64 kernels. */
const PAGE_BYTES = 4096;

/** Resident memory of a process in bytes, `undefined` when it is gone or the system has no `/proc`. */
export function tryResidentBytes(pid: number): number | undefined {
  try {
    const pages = Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ", 2)[1];
    return pages === undefined ? undefined : Number(pages) * PAGE_BYTES;
  } catch {
    return undefined;
  }
}

/** Ticks a second of the times in `/proc/<pid>/stat`; `USER_HZ` is 100 for programs on all of Linux. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process so far in milliseconds, `undefined` when it is gone or the system has no `/proc`. */
export function tryCpuMs(pid: number): number | undefined {
  const fields = tryStat(pid);
  return fields && cpuMsOf(fields);
}

/** Fields of `/proc/<pid>/stat` from the third, the state, on. */
function tryStat(pid: number): readonly string[] | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The name in parentheses may hold spaces.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/** utime and stime are fields 14 and 15, counted from the pid. */
function cpuMsOf(fields: readonly string[]): number {
  return (Number(fields[11]) + Number(fields[12])) * 1_000 / TICKS_PER_SECOND;
}

/** What a process uses. */
export interface ProcessUsage {
  /** CPU time so far, in milliseconds. */
  readonly cpuMs: number;
  /** Resident memory, in bytes. */
  readonly residentBytes: number;
  readonly threads: number;
}

/** What a process uses now, in one read of `/proc/<pid>/stat`; `undefined` as for {@linkcode tryCpuMs}. */
export function tryUsage(pid: number): ProcessUsage | undefined {
  const fields = tryStat(pid);
  return fields && {
    cpuMs: cpuMsOf(fields),
    threads: Number(fields[17]),
    residentBytes: Number(fields[21]) * PAGE_BYTES,
  };
}

/** Names of a process's threads, `undefined` where they cannot be read. */
export function tryThreadNames(pid: number): string[] | undefined {
  try {
    const threads = [...Deno.readDirSync(`/proc/${pid}/task`)];
    return threads.map(({ name }) => Deno.readTextFileSync(`/proc/${pid}/task/${name}/comm`).trim());
  } catch {
    return undefined;
  }
}

/** File descriptors that a process holds, `undefined` where that cannot be read. */
export function tryOpenFiles(pid: number): number | undefined {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
  } catch {
    return undefined;
  }
}

/**
 * The process at the end of a chain of only children, which is the host itself under a jail that starts it in turn.
 * Gives `pid` where the chain cannot be read.
 */
export function leafProcess(pid: number): number {
  for (let current = pid;;) {
    let children: string;
    try {
      children = Deno.readTextFileSync(`/proc/${current}/task/${current}/children`).trim();
    } catch {
      return current;
    }
    if (!/^\d+$/.test(children)) return current;
    current = Number(children);
  }
}
