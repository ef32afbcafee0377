/**
 * Pools of sandboxes, each with the queue in front of it.
 * @module
 */

import { PYTHON_VERSIONS, type PythonVersion } from "../../workers/protocol.ts";
import type { ExecutionSectionOptions, PythonOptions } from "../config/schema.ts";
import type { HostLoad, HostPool } from "../sandbox/host_pool.ts";
import type { HostProcess } from "../sandbox/host_process.ts";
import { PythonPools, type PythonPoolsOptions } from "../sandbox/python_pools.ts";
import type { HostTask } from "../sandbox/task.ts";
import type { TaskHostNeed, TaskHostPool } from "../sandbox/task_host_pool.ts";
import { AdmissionQueue } from "./admission.ts";

/** A pool and the queue in front of it. */
export interface Lane<Pool> {
  readonly queue: AdmissionQueue;
  readonly pool: Pool;
}

/** Where user code of one kind waits and runs. */
export interface UserCodeLane {
  readonly queue: AdmissionQueue;
  /** As {@linkcode TaskHostPool.tryRun}. @throws {ServiceError} when there is no sandbox of this kind */
  tryRun(task: HostTask, need: TaskHostNeed): (() => void) | undefined;
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
  /** Starts the pool of user code in TypeScript. */
  readonly startTaskPool: (queue: TaskQueue) => Promise<TaskHostPool>;
  /** Starts the pool of a version of Python, when that is wanted. */
  readonly startPythonPool: (
    version: PythonVersion,
    queue: TaskQueue,
    start: Parameters<PythonPoolsOptions["startPool"]>[1],
  ) => ReturnType<PythonPoolsOptions["startPool"]>;
}

/** Sections of the configuration that lanes are made by. */
export interface LaneOptions extends PoolStarters {
  readonly execution: ExecutionSectionOptions;
  readonly python: PythonOptions;
}

/** All lanes: built-in nodes and user code wait apart, so that neither holds up the other, and so do runtimes. */
export class Lanes implements AsyncDisposable {
  readonly nodes: Lane<HostPool>;
  readonly tasks: UserCodeLane & Lane<TaskHostPool>;
  /** `undefined` where Python is not run. */
  readonly python: PythonLanes | undefined;

  private constructor(nodes: Lane<HostPool>, tasks: Lane<TaskHostPool>, python: PythonLanes | undefined) {
    this.nodes = nodes;
    this.tasks = { ...tasks, tryRun: (task, need) => tasks.pool.tryRun(task, need) };
    this.python = python;
  }

  /** Starts the pools and waits until they are warm, but for Python's. @throws {ServiceError} when a sandbox cannot start */
  static async start(options: LaneOptions): Promise<Lanes> {
    const { execution, python, startPool, startTaskPool } = options;
    const nodeQueue = new AdmissionQueue(execution);
    const taskQueue = new AdmissionQueue(execution);
    const starting = [startPool(() => nodeQueue.pump()), startTaskPool(seenByPool(taskQueue))] as const;
    try {
      const [nodePool, taskPool] = await Promise.all(starting);
      return new Lanes(
        { queue: nodeQueue, pool: nodePool },
        { queue: taskQueue, pool: taskPool },
        python.enabled ? new PythonLanes(options) : undefined,
      );
    } catch (error) {
      for (const pool of await Promise.allSettled(starting)) {
        if (pool.status === "fulfilled") await pool.value[Symbol.asyncDispose]();
      }
      throw error;
    }
  }

  /** Executions that wait for a sandbox. */
  get queueLength(): number {
    return this.nodes.queue.length + this.tasks.queue.length + (this.python?.queueLength ?? 0);
  }

  /** Processes of the sandboxes. */
  get hosts(): readonly HostProcess[] {
    return [...this.nodes.pool.hosts, ...this.tasks.pool.hosts, ...this.python?.hosts ?? []];
  }

  /** Ends everything at once; what runs is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.python?.[Symbol.asyncDispose]();
    for (const { queue, pool } of [this.nodes, this.tasks]) {
      queue[Symbol.dispose]();
      await pool[Symbol.asyncDispose]();
    }
  }
}

/** A lane for each version of Python; their hosts are from one allowance. */
export class PythonLanes implements AsyncDisposable {
  readonly #queues: ReadonlyMap<PythonVersion, AdmissionQueue>;
  readonly #pools: PythonPools;

  constructor({ execution, python, startPythonPool }: Pick<LaneOptions, "execution" | "python" | "startPythonPool">) {
    this.#queues = new Map(PYTHON_VERSIONS.map((version) => [version, new AdmissionQueue(execution)]));
    this.#pools = new PythonPools({
      defaultVersion: python.version,
      maxSandboxes: python.maxSandboxes,
      readySandboxes: python.readySandboxes,
      readyIdleMs: python.readyIdleMs,
      startPool: (version, start) => startPythonPool(version, seenByPool(this.#queue(version)), start),
      queueLength: (version) => this.#queue(version).length,
      onCapacity: (version) => this.#queue(version).pump(),
    });
  }

  /** Where tasks of a version wait and run. */
  lane(version: PythonVersion): UserCodeLane {
    return {
      queue: this.#queue(version),
      tryRun: (task, need) => this.#pools.tryRun(version, task, need),
    };
  }

  /** Has hosts wait ready, where they are to; in the background. */
  warmUp(): void {
    this.#pools.warmUp();
  }

  /** Executions that wait, over all versions. */
  get queueLength(): number {
    return this.#queues.values().reduce((sum, queue) => sum + queue.length, 0);
  }

  /** Hosts by what they do, over all versions. */
  get load(): HostLoad {
    return this.#pools.load;
  }

  /** Processes of the sandboxes. */
  get hosts(): readonly HostProcess[] {
    return this.#pools.hosts;
  }

  /** Ends everything at once; what runs is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const queue of this.#queues.values()) queue[Symbol.dispose]();
    await this.#pools[Symbol.asyncDispose]();
  }

  #queue(version: PythonVersion): AdmissionQueue {
    const queue = this.#queues.get(version);
    if (queue === undefined) throw new TypeError(`Cannot find queue: there is no Python "${version}"`);
    return queue;
  }
}

/** What a pool may know of the queue in front of it. */
function seenByPool(queue: AdmissionQueue): TaskQueue {
  return { length: () => queue.length, onCapacity: () => queue.pump() };
}
