/**
 * Who counts executions, and the sums of all of them.
 * @module
 */

import { ExecutionStatus } from "../../protos/generated/types.ts";
import type { AuditEventName } from "./audit.ts";
import type { SessionEnd } from "./sessions/session.ts";
import type { TaskRun } from "./task_run.ts";

/** Who counts executions. */
export interface ExecutionObserver {
  /**
   * @param nodeType one that exists, or `unknown`
   * @param caller whose it was
   */
  executionEnded(
    nodeType: string,
    status: ExecutionStatus,
    durationMs: number,
    queueMs: number,
    caller: string,
  ): void;
  /**
   * A stream or a session of an object ended.
   * @param inputs that it processed
   */
  sessionEnded(nodeType: string, end: SessionEnd["kind"], inputs: number): void;
  /** Something was refused, denied or ended by force. */
  audited(event: AuditEventName): void;
}

/** Sums over all executions since the start. */
export interface ExecutionTotals {
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly averageDurationMs: number;
  readonly peakMemoryBytes: number;
}

/** Adds executions up. */
export class TotalsMeter {
  #total = 0;
  #succeeded = 0;
  #durationMs = 0;
  #peakMemoryBytes = 0;

  add(status: ExecutionStatus, { durationMs, usage }: Pick<TaskRun, "durationMs" | "usage">): void {
    this.#total++;
    if (status === ExecutionStatus.SUCCESS) this.#succeeded++;
    this.#durationMs += durationMs;
    this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, usage?.memoryPeakBytes ?? 0);
  }

  get totals(): ExecutionTotals {
    const total = this.#total;
    return {
      total,
      succeeded: this.#succeeded,
      failed: total - this.#succeeded,
      averageDurationMs: total === 0 ? 0 : this.#durationMs / total,
      peakMemoryBytes: this.#peakMemoryBytes,
    };
  }
}
