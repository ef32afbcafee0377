/**
 * CPU and memory of the service with all of its processes, sampled once a second.
 * @module
 */

/** What a process has used, as the kernel says; `undefined` when that is not known. */
export interface ProcessUsage {
  /** CPU time so far, in milliseconds. */
  readonly cpuMs: number | undefined;
  readonly residentBytes: number | undefined;
}

/** What the service uses. */
export interface Load {
  /** CPU of the last interval, in percent of one core. */
  readonly cpuPercent: number;
  /** Resident memory at the last sample; pages that processes share count once for each. */
  readonly residentBytes: number;
  /** Highest resident memory of any sample. */
  readonly peakResidentBytes: number;
  /** Resident memory in percent of the machine's. */
  readonly memoryPercent: number;
}

/** Usage by process id. */
export type UsageReader = () => ReadonlyMap<number, ProcessUsage>;

const SAMPLE_INTERVAL_MS = 1_000;

/** Samples until it is disposed of. */
export class LoadMeter implements Disposable {
  readonly #read: UsageReader;
  readonly #machineBytes: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #last: ReadonlyMap<number, ProcessUsage>;
  #lastAt = performance.now();
  #load: Load = { cpuPercent: 0, residentBytes: 0, peakResidentBytes: 0, memoryPercent: 0 };

  /** @param read gives the processes that count, this one included */
  constructor(read: UsageReader) {
    this.#read = read;
    this.#machineBytes = Deno.systemMemoryInfo().total;
    this.#last = read();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS);
    Deno.unrefTimer(Number(this.#timer));
    this.#take(this.#last, 0);
  }

  /** The last sample. */
  get load(): Load {
    return this.#load;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const now = performance.now();
    const current = this.#read();
    let cpuMs = 0;
    for (const [pid, usage] of current) {
      // A process that came since the last sample has spent all of its time since.
      cpuMs += Math.max(0, (usage.cpuMs ?? 0) - (this.#last.get(pid)?.cpuMs ?? 0));
    }
    this.#take(current, (cpuMs / (now - this.#lastAt)) * 100);
    this.#last = current;
    this.#lastAt = now;
  }

  #take(usages: ReadonlyMap<number, ProcessUsage>, cpuPercent: number): void {
    let residentBytes = 0;
    for (const usage of usages.values()) residentBytes += usage.residentBytes ?? 0;
    this.#load = {
      cpuPercent,
      residentBytes,
      peakResidentBytes: Math.max(this.#load.peakResidentBytes, residentBytes),
      memoryPercent: (residentBytes / this.#machineBytes) * 100,
    };
  }
}
