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
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The name in parentheses may hold spaces; utime and stime are fields 14 and 15, counted from the pid.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 1_000 / TICKS_PER_SECOND;
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
