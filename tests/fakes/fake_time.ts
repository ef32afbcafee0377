/**
 * A clock that the test drives.
 * @module
 */

interface Timer {
  readonly id: number;
  readonly due: number;
  readonly run: () => void;
  /** Of an interval. */
  readonly everyMs?: number;
}

/** Takes the place of `performance.now`, of timeouts and intervals until it is disposed of. */
export class FakeTime implements Disposable {
  #now = 0;
  #nextId = 1;
  #timers: Timer[] = [];
  readonly #real = {
    now: performance.now,
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
  };

  constructor() {
    performance.now = () => this.#now;
    const start = (run: () => void, delayMs = 0) => {
      const id = this.#nextId++;
      this.#timers.push({ id, due: this.#now + delayMs, run });
      return id;
    };
    const stop = (id: unknown) => {
      this.#timers = this.#timers.filter((timer) => timer.id !== id);
    };
    const repeat = (run: () => void, everyMs: number) => {
      const id = this.#nextId++;
      this.#timers.push({ id, due: this.#now + everyMs, run, everyMs });
      return id;
    };
    Object.assign(globalThis, { setTimeout: start, clearTimeout: stop, setInterval: repeat, clearInterval: stop });
  }

  /** Timers that have not run. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Lets time pass; timers run when they are due. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (true) {
      const next = this.#timers.filter(({ due }) => due <= end).sort((left, right) => left.due - right.due)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      if (next.everyMs !== undefined) this.#timers.push({ ...next, due: next.due + next.everyMs });
      this.#now = Math.max(this.#now, next.due);
      next.run();
    }
    this.#now = end;
  }

  [Symbol.dispose](): void {
    const { now, ...timers } = this.#real;
    performance.now = now;
    Object.assign(globalThis, timers);
  }
}
