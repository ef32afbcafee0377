/**
 * What a whole session costs.
 * @module
 */

import type { ExecutionMetrics } from "../../../protos/generated/types.ts";
import type { TaskUsage } from "../../sandbox/usage_meter.ts";
import { megabytes } from "../verdict.ts";

/** Sums over the steps of a session. */
export class SessionTotals {
  /** Inputs and calls that were processed. */
  items = 0;
  runMs = 0;
  cpuMs = 0;
  memoryPeakBytes = 0;
  queueMs = 0;
  #memorySum = 0;
  #steps = 0;
  #inputBytes = 0;
  #outputBytes = 0;
  readonly #startTimestamp = Date.now();

  /** @param isItem whether the step had an input of the caller's */
  addStep(usage: TaskUsage, isItem: boolean, inputBytes: number): void {
    if (isItem) this.items++;
    this.runMs += usage.wallMs;
    this.cpuMs += usage.cpuMs;
    this.memoryPeakBytes = Math.max(this.memoryPeakBytes, usage.memoryPeakBytes);
    this.#memorySum += usage.memoryAverageBytes;
    this.#steps++;
    this.#inputBytes += inputBytes;
  }

  addOutput(bytes: number): void {
    this.#outputBytes += bytes;
  }

  /** CPU time of user code between its steps. */
  addBackground(cpuMs: number): void {
    this.cpuMs += cpuMs;
  }

  /** As the last message of a session has them. @param sandboxId where it lived */
  metrics(sandboxId: string, exitCode: number): ExecutionMetrics {
    return {
      startTimestamp: this.#startTimestamp,
      endTimestamp: Date.now(),
      durationMs: Math.round(this.runMs),
      cpuTimeMs: Math.round(this.cpuMs),
      memoryPeakMb: megabytes(this.memoryPeakBytes),
      memoryAverageMb: megabytes(this.#steps === 0 ? 0 : this.#memorySum / this.#steps),
      inputSizeBytes: this.#inputBytes,
      outputSizeBytes: this.#outputBytes,
      exitCode,
      sandboxId,
      queueTimeMs: Math.round(this.queueMs),
    };
  }
}
