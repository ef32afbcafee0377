/**
 * A pool of sandboxes of Python that starts no process.
 * @module
 */

import type { PythonPool, PythonPoolStart } from "../../src/sandbox/python_pools.ts";
import type { HostTask } from "../../src/sandbox/task.ts";

/** Has hosts as a test says, and writes down what is asked of it. */
export class FakePythonPool implements PythonPool {
  readonly hosts = [];
  readonly tasks: HostTask[] = [];
  readonly start: PythonPoolStart;
  /** Hosts that wait, and how many are to. */
  available = 1;
  ready: number | undefined;
  refills = 0;
  isDisposed = false;

  constructor(start: PythonPoolStart) {
    this.start = start;
  }

  get load() {
    return { busy: this.tasks.length, available: this.available, starting: 0 };
  }

  get alive(): number {
    return this.tasks.length + this.available;
  }

  tryRun(task: HostTask): (() => void) | undefined {
    if (this.available === 0) {
      if (!this.start.sharing.hasRoom() && !this.start.sharing.takeRoom()) return undefined;
      this.available++;
    }
    this.available--;
    this.tasks.push(task);
    return () => {};
  }

  /** The oldest task's host ends. */
  endOne(): void {
    this.tasks.shift();
    this.start.sharing.onRoom();
  }

  keepReady(count: number): void {
    this.ready = count;
  }

  refill(): void {
    this.refills++;
  }

  yieldIdle(): boolean {
    if (this.available === 0) return false;
    this.available--;
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true;
    await Promise.resolve();
  }
}
