/**
 * Holds a process to its share of the CPU by stopping and continuing it, where no control group does.
 * @module
 */

/** CPU time that a task may run ahead of its share, in milliseconds; what short tasks take costs no stop. */
const BURST_MS = 100;

/** Stops a process with SIGSTOP while it is ahead of its share. */
export class CpuGovernor implements Disposable {
  readonly #pid: number;
  #stopped = false;

  constructor(pid: number) {
    this.#pid = pid;
  }

  /**
   * Stops or continues the process.
   * @param percent CPU time per wall time, in percent of one core
   */
  govern(
    { wallMs, cpuMs, percent }: { readonly wallMs: number; readonly cpuMs: number; readonly percent: number },
  ): void {
    const ahead = cpuMs > BURST_MS + wallMs * percent / 100;
    if (ahead !== this.#stopped) this.#signal(ahead);
  }

  /** Lets the process go on. */
  [Symbol.dispose](): void {
    if (this.#stopped) this.#signal(false);
  }

  #signal(stop: boolean): void {
    this.#stopped = stop;
    try {
      Deno.kill(this.#pid, stop ? "SIGSTOP" : "SIGCONT");
    } catch {
      // It has ended.
    }
  }
}
