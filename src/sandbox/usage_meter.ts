/**
 * What the running task of a host uses, by the kernel's accounting of the host's process.
 * @module
 */

import { type ProcessUsage, tryUsage } from "./proc.ts";

/**
 * Tasks of at least this length are measured by the kernel's accounting, whose clock ticks every 10 ms; a shorter one
 * runs alone on its thread, so that its run time is its CPU time.
 */
const SAMPLE_TASKS_MS = 20;
/** The kernel is asked at least this often while tasks end, so that no task answers for another's memory. */
const SAMPLE_AGE_MS = 50;
/** Threads of V8 that may work for one task: itself, the compiler and the collector's helpers. */
const MAX_PARALLELISM = 8;

/** What one task used. */
export interface TaskUsage {
  /** Time that it ran, in milliseconds. */
  readonly wallMs: number;
  readonly cpuMs: number;
  /** Memory above what its host takes without it. */
  readonly memoryPeakBytes: number;
  /** Mean over the samples of its run; as the peak, 0 for a task too short to be sampled. */
  readonly memoryAverageBytes: number;
  /** Threads above what its host has without it, at most. */
  readonly threads: number;
}

/** Measures the tasks of one host, one after the other. */
export class UsageMeter {
  readonly #pid: number;
  #since = 0;
  /** What the host has without its running task. */
  #restingBytes: number;
  readonly #restingThreads: number;
  /** CPU time that is accounted for: the start and the tasks that have ended, in milliseconds. */
  #accountedCpuMs: number;
  #sampledAt = 0;
  #cpuMs = 0;
  #peakBytes = 0;
  #sumBytes = 0;
  #samples = 0;
  #threads = 0;

  /** @param pid the host, before its first task */
  constructor(pid: number) {
    this.#pid = pid;
    const usage = tryUsage(pid);
    this.#restingBytes = usage?.residentBytes ?? 0;
    this.#restingThreads = usage?.threads ?? 0;
    this.#accountedCpuMs = usage?.cpuMs ?? 0;
  }

  /** Resident memory of the host after its last task, in bytes. */
  get restingBytes(): number {
    return this.#restingBytes;
  }

  /**
   * A task begins.
   * @param foreignCpuMs CPU time since the last one ended that is not the task's doing
   */
  begin(nowMs: number, foreignCpuMs = 0): void {
    this.#accountedCpuMs += foreignCpuMs;
    this.#since = nowMs;
    this.#cpuMs = 0;
    this.#peakBytes = 0;
    this.#sumBytes = 0;
    this.#samples = 0;
    this.#threads = 0;
  }

  /** Time since the running task began, in milliseconds. */
  runMs(nowMs: number): number {
    return nowMs - this.#since;
  }

  /**
   * Looks at the running task.
   * @param foreignBytes memory of the host that is none of the task's doing
   */
  observe(foreignBytes: number): void {
    const usage = tryUsage(this.#pid);
    if (usage !== undefined) this.#take(usage, foreignBytes);
  }

  /** What the running task has used so far, as last observed. */
  usage(nowMs: number): TaskUsage {
    return {
      wallMs: this.runMs(nowMs),
      cpuMs: this.#cpuMs,
      memoryPeakBytes: this.#peakBytes,
      memoryAverageBytes: this.#samples === 0 ? 0 : this.#sumBytes / this.#samples,
      threads: this.#threads,
    };
  }

  /**
   * The running task has ended; what it leaves behind is the next one's starting point.
   *
   * @param runMs how long it ran, where somebody knows better than this clock
   * @param always whether it is measured even if it was short
   * @param stays whether what it leaves behind in memory is counted with the next task's: both are of one stream of user
   * code
   */
  end(nowMs: number, { runMs, always, stays, foreignBytes }: {
    readonly runMs: number;
    readonly always: boolean;
    readonly stays: boolean;
    readonly foreignBytes: number;
  }): TaskUsage {
    const isLong = this.runMs(nowMs) >= SAMPLE_TASKS_MS;
    if (!always && !isLong && nowMs - this.#sampledAt < SAMPLE_AGE_MS) {
      this.#accountedCpuMs += runMs;
      return { wallMs: runMs, cpuMs: runMs, memoryPeakBytes: 0, memoryAverageBytes: 0, threads: 0 };
    }
    this.#sampledAt = nowMs;
    const usage = tryUsage(this.#pid);
    if (usage !== undefined) {
      this.#take(usage, foreignBytes);
      this.#accountedCpuMs = usage.cpuMs;
      if (!stays) this.#restingBytes = usage.residentBytes;
    }
    return { ...this.usage(nowMs), wallMs: runMs, cpuMs: Math.min(this.#cpuMs, runMs * MAX_PARALLELISM) };
  }

  #take({ cpuMs, residentBytes, threads }: ProcessUsage, foreignBytes: number): void {
    const used = Math.max(0, residentBytes - this.#restingBytes - foreignBytes);
    this.#cpuMs = Math.max(0, cpuMs - this.#accountedCpuMs);
    this.#peakBytes = Math.max(this.#peakBytes, used);
    this.#sumBytes += used;
    this.#samples++;
    this.#threads = Math.max(this.#threads, threads - this.#restingThreads, 0);
  }
}
