/**
 * Sandbox hosts and pools for tests.
 * @module
 */

import type { NodeTask } from "../../workers/protocol.ts";
import { HostPool, type HostPoolOptions } from "../../src/sandbox/host_pool.ts";
import { NO_GRANTS } from "../../src/sandbox/grants.ts";
import { HostProcess } from "../../src/sandbox/host_process.ts";
import type { HostOptions } from "../../src/sandbox/launch.ts";
import type { HostExit, HostTask, TaskEnd, TaskLimits } from "../../src/sandbox/task.ts";
import { processJail } from "../../src/sandbox/jails/process.ts";
import type { TaskLog } from "../../workers/protocol.ts";

const MEGABYTE = 1024 * 1024;

/** A folder for sockets, removed on disposal. */
export class RuntimeDirectory implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "rexec-test-" });

  /** Names of what lies in it. */
  get entries(): string[] {
    return Array.from(Deno.readDirSync(this.path), ({ name }) => name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Options of a host, all but what a test gives. */
export function hostOptions(directory: RuntimeDirectory, options: Partial<HostOptions> = {}): HostOptions {
  return {
    id: "host",
    role: "node",
    cache: { kind: "copy", from: null },
    jail: processJail,
    runtimeDirectory: directory.path,
    startTimeoutMs: 30_000,
    memoryMb: 512,
    maxInputBytes: 100 * MEGABYTE,
    maxUnpackedBytes: 100 * MEGABYTE,
    grants: NO_GRANTS,
    ...options,
  };
}

/** Starts a host. */
export async function startHost(directory: RuntimeDirectory, options: Partial<HostOptions> = {}): Promise<HostProcess> {
  return await HostProcess.start(hostOptions(directory, options), { signal: new AbortController().signal });
}

/** Starts a pool, and tells of its events. */
export async function startPool(directory: RuntimeDirectory, options: Partial<HostPoolOptions> = {}) {
  const exits: HostExit[] = [];
  let wake = Promise.withResolvers<void>();
  const pool = await HostPool.start({
    ...hostOptions(directory),
    maxWorkers: 2,
    onCapacity() {
      wake.resolve();
      wake = Promise.withResolvers();
    },
    onHostExit: (exit) => void exits.push(exit),
    ...options,
  });
  return {
    pool,
    exits,
    /** Resolves at the next word of free capacity. */
    capacity: () => wake.promise,
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

/** A task whose end a test can wait for. */
export class TestTask implements HostTask {
  readonly message: NodeTask;
  readonly limits: TaskLimits;
  readonly ended: Promise<TaskEnd>;
  readonly logs: TaskLog[] = [];
  /** How often it was said to have ended; more than once is a defect. */
  ends = 0;
  /** The host that it ended on. */
  sandboxId = "";
  readonly #end = Promise.withResolvers<TaskEnd>();

  constructor(nodeType: string, parts: Partial<NodeTask> & Partial<TaskLimits> = {}) {
    const { timeoutMs, cpuMs, cpuPercent, threads, memoryBytes, ...message } = parts;
    this.message = {
      nodeType,
      format: "json",
      config: new Map(),
      memoryLimitBytes: 512 * MEGABYTE,
      maxOutputBytes: 1_000,
      input: new TextEncoder().encode("[1]"),
      ...message,
    };
    this.limits = {
      timeoutMs: timeoutMs ?? 60_000,
      cpuMs: cpuMs ?? 600_000,
      cpuPercent: cpuPercent ?? 100_000,
      threads: threads ?? 64,
      memoryBytes: memoryBytes ?? this.message.memoryLimitBytes,
    };
    this.ended = this.#end.promise;
  }

  readonly onEnd = (end: TaskEnd, sandboxId: string): void => {
    this.ends++;
    this.sandboxId = sandboxId;
    this.#end.resolve(end);
  };

  readonly onLog = (log: TaskLog): void => void this.logs.push(log);
}

/** Input of a TextProcessorNode that computes for about as long as is asked, without using much memory. */
export function longText(operations: number): { readonly text: string; readonly operations: readonly string[] } {
  return { text: "lorem ipsum ".repeat(20_000), operations: new Array(operations).fill("reverse") };
}
