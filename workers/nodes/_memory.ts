/**
 * Refusing work that would not fit into the task's memory, before it is begun.
 * @module
 */

import { TaskError } from "../task_error.ts";
import type { NodeContext } from "./node.ts";

const MEBIBYTE = 2 ** 20;

/** What needs memory, for the error's text. */
export interface MemoryNeed {
  /** Bytes that are about to be allocated. */
  readonly bytes: number;
  /** What cannot be done without them: `resample audio` say. */
  readonly action: string;
}

/**
 * Checks that an allocation fits into the task's memory.
 * @throws {TaskError} `RESOURCE_LIMIT`, naming what is needed and the limit.
 */
export function requireMemory(context: NodeContext, need: MemoryNeed): void {
  if (need.bytes <= context.memoryLimitBytes) return;
  throw new TaskError(
    "RESOURCE_LIMIT",
    `Cannot ${need.action}: ${toMebibytes(need.bytes)} MiB are needed, the task may use ` +
      `${toMebibytes(context.memoryLimitBytes)} MiB`,
  );
}

function toMebibytes(bytes: number): string {
  return (bytes / MEBIBYTE).toFixed(bytes < 10 * MEBIBYTE ? 2 : 0);
}
