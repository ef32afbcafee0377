/**
 * The two versions of control groups differ in names of files and in units; the rest of this folder does not.
 * Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel.
 * @module
 */

/** What can be limited. */
export type Controller = "cpu" | "memory" | "pids";
/** All of them. */
export const CONTROLLERS: readonly Controller[] = ["cpu", "memory", "pids"];
/** A hierarchy of version 1 that is used; in version 2 all are one. `cpuacct` only counts. */
export type Hierarchy = Controller | "cpuacct";

/** A value for a file of a group. */
export interface Setting {
  readonly file: string;
  readonly value: string;
  /** Whether kernels exist that lack the file, which then changes nothing: there is no swap to limit. */
  readonly optional?: true;
}

/** Where a number is to be read. */
export interface Reading {
  readonly hierarchy: Hierarchy;
  readonly file: string;
  /** The line's key in a file of many; a file without holds the number alone. */
  readonly key?: string;
}

/** One version. */
export interface Dialect {
  readonly version: 1 | 2;
  /** CPU time per wall time, in percent of one core. */
  limitCpu(percent: number): readonly Setting[];
  /** Memory and swap together. @param raised whether the limit was lower before */
  limitMemory(bytes: number, raised: boolean): readonly Setting[];
  /** Processes and threads. */
  limitProcesses(count: number): readonly Setting[];
  readonly oomKills: Reading;
  readonly memoryPeakBytes: Reading;
  readonly pidsRefused: Reading;
  readonly cpuThrottled: Reading;
  readonly cpuTime: Reading;
  /** What one unit of `cpuTime` is, in milliseconds. */
  readonly cpuTimeUnitMs: number;
}

/** Length of the span that a quota of CPU time is for: the kernel's default. */
const CPU_PERIOD_US = 100_000;
/** The kernel takes no quota below a millisecond. */
const MIN_CPU_QUOTA_US = 1_000;

const quotaUs = (percent: number): number => Math.max(MIN_CPU_QUOTA_US, Math.round(percent * CPU_PERIOD_US / 100));

const COMMON = {
  limitProcesses: (count: number): readonly Setting[] => [{ file: "pids.max", value: String(count) }],
  pidsRefused: { hierarchy: "pids", file: "pids.events", key: "max" },
  cpuThrottled: { hierarchy: "cpu", file: "cpu.stat", key: "nr_throttled" },
} as const;

/** Version 1: a hierarchy for each controller, or for a few together. */
export const DIALECT_V1: Dialect = {
  ...COMMON,
  version: 1,
  limitCpu: (percent) => [
    { file: "cpu.cfs_period_us", value: String(CPU_PERIOD_US) },
    { file: "cpu.cfs_quota_us", value: String(quotaUs(percent)) },
  ],
  limitMemory(bytes, raised) {
    const memory: Setting = { file: "memory.limit_in_bytes", value: String(bytes) };
    const memoryAndSwap: Setting = { file: "memory.memsw.limit_in_bytes", value: String(bytes), optional: true };
    // The second may at no time be below the first.
    return raised ? [memoryAndSwap, memory] : [memory, memoryAndSwap];
  },
  oomKills: { hierarchy: "memory", file: "memory.oom_control", key: "oom_kill" },
  memoryPeakBytes: { hierarchy: "memory", file: "memory.max_usage_in_bytes" },
  cpuTime: { hierarchy: "cpuacct", file: "cpuacct.usage" },
  cpuTimeUnitMs: 1e-6,
};

/** Version 2: one hierarchy for all. */
export const DIALECT_V2: Dialect = {
  ...COMMON,
  version: 2,
  limitCpu: (percent) => [{ file: "cpu.max", value: `${quotaUs(percent)} ${CPU_PERIOD_US}` }],
  limitMemory: (bytes) => [
    { file: "memory.swap.max", value: "0", optional: true },
    { file: "memory.max", value: String(bytes) },
  ],
  oomKills: { hierarchy: "memory", file: "memory.events", key: "oom_kill" },
  memoryPeakBytes: { hierarchy: "memory", file: "memory.peak" },
  cpuTime: { hierarchy: "cpuacct", file: "cpu.stat", key: "usage_usec" },
  cpuTimeUnitMs: 1e-3,
};
