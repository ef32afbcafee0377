/**
 * A stream on a host that does what a test says.
 * @module
 */

import type { PlacedStream, StreamTask, TaskEnd } from "../../src/sandbox/task.ts";
import type { TaskUsage } from "../../src/sandbox/usage_meter.ts";
import type { TaskOutcome } from "../../workers/protocol.ts";

/** What each step of a fake uses. */
export const STEP_USAGE: TaskUsage = {
  wallMs: 2,
  cpuMs: 3,
  memoryPeakBytes: 4 * 2 ** 20,
  memoryAverageBytes: 2 ** 20,
  threads: 1,
};

/** A step that a session has handed over. */
export interface FakeStep extends StreamTask {
  isGivenUp: boolean;
}

/** Records what a session asks of it; steps end, and it closes, when the test says so. */
export class FakePlacedStream implements PlacedStream {
  readonly sandboxId = "fake";
  backgroundCpuMs = 0;
  /** Steps under way, the oldest first. */
  readonly steps: FakeStep[] = [];
  readonly grants: number[] = [];
  closes = 0;
  readonly #closed = Promise.withResolvers<void>();

  run(step: StreamTask): () => void {
    const fake: FakeStep = { ...step, isGivenUp: false };
    this.steps.push(fake);
    return () => fake.isGivenUp = true;
  }

  grant(bytes: number): void {
    this.grants.push(bytes);
  }

  close(): Promise<void> {
    this.closes++;
    return this.#closed.promise;
  }

  /** The host has nothing of it any more. */
  letGo(): void {
    this.#closed.resolve();
  }

  /** What is under way by its inputs, as text. */
  get inputs(): string[] {
    return this.steps.map(({ input }) => new TextDecoder().decode(input));
  }

  /** Ends the oldest step. */
  end(end: TaskEnd): void {
    const step = this.steps.shift();
    if (step === undefined) throw new Error("No step is under way");
    step.onEnd(end);
  }

  /** The oldest step has an answer. */
  answer(outcome: TaskOutcome = "OK", message = "", output: Uint8Array = new Uint8Array()): void {
    const result = { outcome, runMicros: 1_000, message, traceback: "", output };
    this.end({ kind: "result", result, usage: STEP_USAGE, denials: [] });
  }
}
