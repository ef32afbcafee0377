/**
 * Pools of sandboxes, each with the queue in front of it.
 * @module
 */

import type { ExecutionSectionOptions } from "../config/schema.ts";
import type { HostPool } from "../sandbox/host_pool.ts";
import type { HostProcess } from "../sandbox/host_process.ts";
import type { TaskHostPool } from "../sandbox/task_host_pool.ts";
import { AdmissionQueue } from "./admission.ts";

/** A pool and the queue in front of it. */
export interface Lane<Pool> {
  readonly queue: AdmissionQueue;
  readonly pool: Pool;
}

/** The queue in front of a pool of user code, as the pool sees it. */
export interface TaskQueue {
  readonly length: () => number;
  readonly onCapacity: () => void;
}

/** Who starts pools. What they start is the lanes'. */
export interface PoolStarters {
  /** Starts the pool of built-in nodes. */
  readonly startPool: (onCapacity: () => void) => Promise<HostPool>;
  /** Starts the pool of user code. */
  readonly startTaskPool: (queue: TaskQueue) => Promise<TaskHostPool>;
}

/** All lanes: built-in nodes and user code wait apart, so that neither holds up the other. */
export class Lanes implements AsyncDisposable {
  readonly nodes: Lane<HostPool>;
  readonly tasks: Lane<TaskHostPool>;

  private constructor(nodes: Lane<HostPool>, tasks: Lane<TaskHostPool>) {
    this.nodes = nodes;
    this.tasks = tasks;
  }

  /** Starts the pools and waits until they are warm. @throws {ServiceError} when a sandbox cannot start */
  static async start(options: ExecutionSectionOptions, { startPool, startTaskPool }: PoolStarters): Promise<Lanes> {
    const nodeQueue = new AdmissionQueue(options);
    const taskQueue = new AdmissionQueue(options);
    const starting = [startPool(() => nodeQueue.pump()), startTaskPool(seenByPool(taskQueue))] as const;
    try {
      const [nodePool, taskPool] = await Promise.all(starting);
      return new Lanes({ queue: nodeQueue, pool: nodePool }, { queue: taskQueue, pool: taskPool });
    } catch (error) {
      for (const pool of await Promise.allSettled(starting)) {
        if (pool.status === "fulfilled") await pool.value[Symbol.asyncDispose]();
      }
      throw error;
    }
  }

  /** Executions that wait for a sandbox. */
  get queueLength(): number {
    return this.nodes.queue.length + this.tasks.queue.length;
  }

  /** Processes of the sandboxes. */
  get hosts(): readonly HostProcess[] {
    return [...this.nodes.pool.hosts, ...this.tasks.pool.hosts];
  }

  /** Ends everything at once; what runs is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { queue, pool } of [this.nodes, this.tasks]) {
      queue[Symbol.dispose]();
      await pool[Symbol.asyncDispose]();
    }
  }
}

/** What a pool may know of the queue in front of it. */
function seenByPool(queue: AdmissionQueue): TaskQueue {
  return { length: () => queue.length, onCapacity: () => queue.pump() };
}
