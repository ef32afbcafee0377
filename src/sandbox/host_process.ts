/**
 * One sandbox host as the server sees it: a child process at the other end of a Unix socket.
 * @module
 */

import { z } from "zod";
import { abortable } from "../async/abortable.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import {
  type ConsoleText,
  decodeConsole,
  decodeJsonPayload,
  decodeLog,
  decodeResult,
  encodeFrame,
  encodeJsonFrame,
  encodePackageTask,
  encodeSoftLimit,
  encodeTask,
  type Frame,
  FrameKind,
  FrameReader,
  FrameWriter,
  MAX_LOG_LINES,
  MAX_TASK_TEXT_BYTES,
  type NodeTask,
  type PackageTask,
  type ProbeOutcome,
  type ProbeTargets,
  PROTOCOL_VERSION,
  ProtocolError,
  type TaskLog,
  type TaskResult,
} from "../../workers/protocol.ts";
import { copyCache } from "./cache_files.ts";
import { hostCommand, SANDBOX_CODE, sandboxDirectory } from "./code.ts";
import type { Jail } from "./jails/mod.ts";
import { leafProcess, tryCpuMs, tryResidentBytes } from "./proc.ts";

const logger = serviceLogger("sandbox");

/** Room in a frame for all but the output: the longest message and traceback, and the header. */
const RESULT_OVERHEAD_BYTES = 256 * 1024;
/** Longest frame that is not a result: the list of nodes, a probe's report. */
const CONTROL_FRAME_BYTES = 1024 * 1024;
const MAX_STDERR_LENGTH = 4_096;
/** A task that has run this long holds up nobody any more: those behind it go elsewhere. In milliseconds. */
const PATIENCE_MS = 20;
/** Share of the time limit after which user code hears of it. */
const SOFT_LIMIT_SHARE = 0.9;
/**
 * Tasks of at least this length are measured by the kernel's accounting, whose clock ticks every 10 ms; a shorter one
 * runs alone on its thread, so that its run time is its CPU time.
 */
const SAMPLE_TASKS_MS = 20;
/** The kernel is asked at least this often while tasks end, so that no task answers for another's memory. */
const SAMPLE_AGE_MS = 50;
/** Threads of V8 that may work for one task: itself, the compiler and the collector's helpers. */
const MAX_PARALLELISM = 8;

/** How a host ended. */
export interface HostExit {
  /** Why, for the log and as a metric's label. */
  readonly reason: "killed" | "crashed" | "out_of_memory" | "retired";
  /** Exit code as a shell gives it: 128 + signal when a signal ended it. */
  readonly exitCode: number;
  /** The end of what it wrote to standard error. Untrusted. */
  readonly stderr: string;
}

/** Why the server ended a task. */
export type StopReason = "timeout" | "cancelled" | "memory";

/** How a task ended, as the server sees it. */
export type TaskEnd =
  | {
    readonly kind: "result";
    readonly result: TaskResult;
    /** How long it ran, in milliseconds: measured by our own worker, or from outside where that runs user code. */
    readonly runMs: number;
    readonly cpuMs: number;
    readonly memoryPeakBytes: number;
  }
  | {
    readonly kind: "stopped";
    readonly reason: StopReason;
    readonly wallMs: number;
    readonly cpuMs: number;
    readonly memoryPeakBytes: number;
  }
  /** It waited behind a task that takes long, and may go elsewhere. */
  | { readonly kind: "returned" }
  /** The host died under it; `started` is false when the host had not begun it. */
  | { readonly kind: "lost"; readonly started: boolean; readonly exit: HostExit };

/** A task that a host is to run. */
export interface HostTask {
  readonly message: NodeTask | PackageTask;
  /** Wall time that it may run, in milliseconds, counted from when it is the host's turn. */
  readonly timeoutMs: number;
  /** Called once, when it has ended. */
  onEnd(end: TaskEnd, host: HostProcess): void;
  onLog(log: TaskLog): void;
  /** Called for what user code writes; built-in nodes write nothing. */
  onConsole?(text: ConsoleText): void;
}

/** A task on a host. */
interface Assignment {
  readonly id: number;
  readonly task: HostTask;
  /** When the caller gave up; the assignment stays until the host is done with it. */
  abandonedAt: number | undefined;
  logLines: number;
  /** Whether the task has been told that its time is nearly up. */
  warned: boolean;
  /** Whether its end has been told; it stays, like one that was given up, until the host has answered for it. */
  settled: boolean;
}

type HostState =
  | { readonly kind: "starting" }
  | { readonly kind: "serving"; readonly writer: FrameWriter }
  | { readonly kind: "dying" }
  | { readonly kind: "dead"; readonly exit: HostExit };

/** What a host is for: built-in nodes one after the other, or one task of user code. */
export type HostRole = "node" | "task";

/** What a host needs to start. */
export interface HostOptions {
  readonly id: string;
  readonly role: HostRole;
  readonly jail: Jail;
  /** Folder of the service's own for sockets and caches; removed with the service. */
  readonly runtimeDirectory: string;
  readonly startTimeoutMs: number;
  /** Memory ceiling of a task, in megabytes. */
  readonly memoryMb: number;
  /** Longest input of a task, in bytes. */
  readonly maxInputBytes: number;
  /** Deno's cache of compiled code: one that this host fills for others, or a copy of a filled one, if there is any. */
  readonly cache: { readonly kind: "fill"; readonly directory: string } | {
    readonly kind: "copy";
    readonly from: string | null;
  };
}

const NodeParameter = z.strictObject({
  name: z.string(),
  type: z.string(),
  description: z.string(),
  required: z.boolean(),
  defaultValue: z.string(),
});

/** What the worker tells of itself when it is ready. */
const ReadyMessage = z.strictObject({
  nodes: z.array(z.object({
    nodeType: z.string(),
    category: z.string(),
    description: z.string(),
    streaming: z.boolean(),
    parameters: z.array(NodeParameter),
  })),
});

/** A node that the worker has. */
export type NodeDescription = z.output<typeof ReadyMessage>["nodes"][number];

const ProbeReport = z.array(z.strictObject({
  place: z.enum(["host", "worker", "task"]),
  attempt: z.string().max(200),
  leaked: z.boolean(),
  detail: z.string().max(1_000),
}));

/** Address space that V8, Deno's threads and its code take before any task: the least that starts is 1,152 MB. */
const RUNTIME_DATA_MB = 1_152;
const OPEN_FILE_LIMIT = 64;

/** A running sandbox host. Owned by whoever started it; `kill` or disposal ends it. */
export class HostProcess implements AsyncDisposable {
  readonly id: string;
  readonly #options: HostOptions;
  readonly #child: Deno.ChildProcess;
  readonly #connection: Deno.Conn;
  readonly #reader: FrameReader;
  /** In the order in which the host runs them; the first is the one that runs. */
  readonly #assignments = new Map<number, Assignment>();
  readonly #exited = Promise.withResolvers<HostExit>();
  readonly #stderr: Promise<string>;
  #pid: number;
  #state: HostState = { kind: "starting" };
  #killReason: HostExit["reason"] | undefined;
  /** Why its worker ended, in its own words. */
  #fatal = "";
  #nextTaskId = 1;
  #headSince = 0;
  #headPeakBytes = 0;
  #maxOutputBytes = 0;
  #restingBytes = 0;
  /** CPU time that is accounted for: the start and the tasks that have ended, in milliseconds. */
  #accountedCpuMs = 0;
  #sampledAt = 0;
  #probeReports: ((outcomes: ProbeOutcome[]) => void)[] = [];
  #nodes: readonly NodeDescription[] = [];

  private constructor(
    options: HostOptions,
    child: Deno.ChildProcess,
    connection: Deno.Conn,
    stderr: Promise<string>,
  ) {
    this.id = options.id;
    this.#options = options;
    this.#child = child;
    this.#pid = child.pid;
    this.#connection = connection;
    this.#stderr = stderr;
    this.#reader = new FrameReader(() => Math.max(CONTROL_FRAME_BYTES, this.#maxOutputBytes + RESULT_OVERHEAD_BYTES));
  }

  /**
   * Starts a host and waits until its worker is ready.
   *
   * @throws {ServiceError} `SANDBOX_LOST` when it ends, misbehaves or is not ready within `startTimeoutMs`
   */
  static async start(options: HostOptions, { signal }: { signal: AbortSignal }): Promise<HostProcess> {
    const socketPath = `${options.runtimeDirectory}/${options.id}.sock`;
    const token = crypto.getRandomValues(new Uint8Array(32));
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(options.startTimeoutMs)]);
    using listener = Deno.listen({ transport: "unix", path: socketPath });
    let child: Deno.ChildProcess | undefined;
    let stderr = Promise.resolve("");
    let connecting: Promise<Deno.Conn> | undefined;
    try {
      await makeDirectory(codeDirectoryOf(options));
      // A jail with a file system of its own shows the host the filled one instead.
      if (options.cache.kind === "copy" && options.jail.type !== "bubblewrap") {
        await copyCache(options.cache.from, cacheDirectoryOf(options));
      }
      child = spawnHost(options, socketPath);
      stderr = readTail(child.stderr, MAX_STDERR_LENGTH);
      await writeBootstrap(child, options, socketPath, token);
      connecting = listener.accept();
      const connection = await firstOf(connecting, child, timeout);
      const host = new HostProcess(options, child, connection, stderr);
      await host.#becomeReady(token, timeout);
      return host;
    } catch (cause) {
      connecting?.then(closeQuietly, () => {});
      let end = "";
      if (child !== undefined) {
        killQuietly(child);
        end = `; exit code ${(await child.status).code}`;
      }
      await removeFiles(options);
      const detail = (await stderr).trim();
      throw new ServiceError(
        "SANDBOX_LOST",
        `Cannot start sandbox host "${options.id}": ${messageOf(cause)}${end}${detail && `; ${detail}`}`,
        { cause },
      );
    } finally {
      await Deno.remove(socketPath).catch(() => {});
    }
  }

  /** Resolves when the process is gone. */
  get exited(): Promise<HostExit> {
    return this.#exited.promise;
  }

  /** What it is for. */
  get role(): HostRole {
    return this.#options.role;
  }

  /** The nodes that its worker has. */
  get nodes(): readonly NodeDescription[] {
    return this.#nodes;
  }

  /** The host itself, not the jail that started it. */
  get pid(): number {
    return this.#pid;
  }

  /** Whether it takes tasks. */
  get isServing(): boolean {
    return this.#state.kind === "serving";
  }

  /** Tasks on it, the running one included. */
  get taskCount(): number {
    return this.#assignments.size;
  }

  /** Resident memory after the last task, in bytes. */
  get restingBytes(): number {
    return this.#restingBytes;
  }

  /**
   * Hands it a task, which runs after those that it has.
   * @returns a function that gives the task up: it will not start, or is stopped if it runs
   */
  run(task: HostTask, nowMs: number): () => void {
    if (this.#state.kind !== "serving") throw new TypeError(`Cannot run task: sandbox host is ${this.#state.kind}`);
    const id = this.#nextTaskId;
    this.#nextTaskId = id === 0xffff_ffff ? 1 : id + 1;
    const assignment: Assignment = { id, task, abandonedAt: undefined, logLines: 0, warned: false, settled: false };
    if (this.#assignments.size === 0) this.#startHead(nowMs);
    this.#assignments.set(id, assignment);
    this.#maxOutputBytes = Math.max(this.#maxOutputBytes, task.message.maxOutputBytes);
    const { message } = task;
    this.#state.writer.send("nodeType" in message ? encodeTask(id, message) : encodePackageTask(id, message));
    return () => this.#abandon(assignment);
  }

  /** How long the running task has run, in milliseconds; 0 when none does. */
  headRunMs(nowMs: number): number {
    return this.#assignments.size === 0 ? 0 : nowMs - this.#headSince;
  }

  /**
   * Stops what runs past its limits: kills the process, which is the only way to end a task that does not come back.
   * @param cancelGraceMs how long a task that was given up may take to notice
   */
  enforceLimits(nowMs: number, cancelGraceMs: number): void {
    const [head] = this.#assignments.values();
    if (head === undefined || this.#state.kind !== "serving") return;
    const runMs = nowMs - this.#headSince;
    if (head.abandonedAt !== undefined && nowMs - Math.max(head.abandonedAt, this.#headSince) > cancelGraceMs) {
      this.#stopHead(head, "cancelled", nowMs);
    } else if (runMs >= head.task.timeoutMs) {
      this.#stopHead(head, "timeout", nowMs);
    } else {
      if (runMs >= head.task.timeoutMs * SOFT_LIMIT_SHARE) this.#warn(head, runMs);
      const resident = tryResidentBytes(this.pid);
      if (resident === undefined) return;
      const used = Math.max(0, resident - this.#restingBytes - this.#waitingInputBytes());
      this.#headPeakBytes = Math.max(this.#headPeakBytes, used);
      if (used > head.task.message.memoryLimitBytes) this.#stopHead(head, "memory", nowMs);
      else if (runMs >= PATIENCE_MS) this.#returnWaiting(head);
    }
  }

  /** Gives back what waits behind a long task; should the host begin one at this very moment, its answer is ignored. */
  #returnWaiting(head: Assignment): void {
    for (const assignment of [...this.#assignments.values()]) {
      if (assignment === head || assignment.settled) continue;
      this.#abandon(assignment);
      this.#settle(assignment, { kind: "returned" });
    }
  }

  /** Tells a task's end, once. */
  #settle(assignment: Assignment, end: TaskEnd): void {
    if (assignment.settled) return;
    assignment.settled = true;
    assignment.task.onEnd(end, this);
  }

  /** Tells user code once that its time is nearly up, so that it can end by itself. */
  #warn(head: Assignment, runMs: number): void {
    if (head.warned || "nodeType" in head.task.message || this.#state.kind !== "serving") return;
    head.warned = true;
    const leftMs = Math.max(0, Math.round(head.task.timeoutMs - runMs));
    this.#state.writer.send(encodeSoftLimit(head.id, { reason: "The time limit is near", leftMs }));
  }

  /** Has host and worker try what must be impossible. */
  async probe(targets: ProbeTargets, { signal }: { signal: AbortSignal }): Promise<ProbeOutcome[]> {
    if (this.#state.kind !== "serving") throw new TypeError(`Cannot probe: sandbox host is ${this.#state.kind}`);
    const reports = [0, 1].map(() => {
      const { promise, resolve } = Promise.withResolvers<ProbeOutcome[]>();
      this.#probeReports.push(resolve);
      return promise;
    });
    this.#state.writer.send(encodeJsonFrame(FrameKind.Probe, 0, targets));
    const exited = this.exited.then((exit) => {
      throw new ServiceError("SANDBOX_LOST", `Cannot probe sandbox: its host ended with exit code ${exit.exitCode}`);
    });
    return (await abortable(Promise.race([Promise.all(reports), exited]), signal)).flat();
  }

  /** Ends the process at once; what ran on it is lost. */
  kill(reason: "killed" | "retired" = "killed"): void {
    if (this.#state.kind === "dead" || this.#state.kind === "dying") return;
    this.#state = { kind: "dying" };
    this.#killReason ??= reason;
    killQuietly(this.#child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("retired");
    await this.exited;
  }

  async #becomeReady(token: Uint8Array, signal: AbortSignal): Promise<void> {
    const writer = new FrameWriter((bytes) => this.#connection.write(bytes), () => this.#fail());
    const hello = await this.#nextStartFrame(FrameKind.Hello, signal);
    if (hello[0] !== PROTOCOL_VERSION || !equalBytes(hello.subarray(1), token)) {
      throw new ProtocolError("the process that connected is not the one that was started");
    }
    const ready = ReadyMessage.safeParse(decodeJsonPayload(await this.#nextStartFrame(FrameKind.Ready, signal)));
    if (!ready.success) throw new ProtocolError("its list of nodes is malformed", { cause: ready.error });
    this.#nodes = ready.data.nodes;
    this.#pid = leafProcess(this.#child.pid);
    this.#restingBytes = tryResidentBytes(this.pid) ?? 0;
    this.#accountedCpuMs = tryCpuMs(this.pid) ?? 0;
    this.#state = { kind: "serving", writer };
    void this.#awaitExit(this.#receive());
  }

  #startFrames: Frame[] = [];

  async #nextStartFrame(kind: FrameKind, signal: AbortSignal): Promise<Uint8Array> {
    while (this.#startFrames.length === 0) {
      const count = await firstOf(this.#connection.read(this.#reader.nextBuffer()), this.#child, signal);
      if (count === null) throw new ProtocolError("it closed its connection");
      this.#startFrames.push(...this.#reader.advance(count));
    }
    const frame = this.#startFrames.shift();
    if (frame?.kind === FrameKind.Fatal) throw new ProtocolError(new TextDecoder().decode(frame.payload));
    if (frame?.kind !== kind) throw new ProtocolError(`frame of kind ${frame?.kind} came where ${kind} was due`);
    return frame.payload;
  }

  async #receive(): Promise<void> {
    try {
      for (const frame of this.#startFrames.splice(0)) this.#handle(frame);
      while (true) {
        const count = await this.#connection.read(this.#reader.nextBuffer());
        if (count === null) return;
        for (const frame of this.#reader.advance(count)) this.#handle(frame);
      }
    } catch (error) {
      if (this.#state.kind === "serving") {
        logger.error("Connection to sandbox host {host} failed: {error}", { host: this.id, error: messageOf(error) });
      }
    } finally {
      this.#fail();
    }
  }

  /** Ends a host that cannot be heard or trusted any more; its exit settles all that it owes. */
  #fail(): void {
    if (this.#state.kind !== "dead") this.#state = { kind: "dying" };
    killQuietly(this.#child);
  }

  #handle(frame: Frame): void {
    // What a dying host still says counts for nothing: its tasks have been given up or will be.
    if (this.#state.kind !== "serving") return;
    switch (frame.kind) {
      case FrameKind.Result:
        return this.#finish(frame);
      case FrameKind.Log:
        return this.#log(frame);
      case FrameKind.Console:
        return this.#assignments.get(frame.taskId)?.task.onConsole?.(decodeConsole(frame.payload));
      case FrameKind.ProbeReport:
        return this.#takeProbeReport(frame);
      case FrameKind.Fatal:
        this.#fatal = new TextDecoder().decode(frame.payload.subarray(0, MAX_STDERR_LENGTH));
        throw new ProtocolError(`its worker ended: ${this.#fatal}`);
      default:
        throw new ProtocolError(`frame of unknown kind ${frame.kind}`);
    }
  }

  #log(frame: Frame): void {
    const assignment = this.#assignments.get(frame.taskId);
    // What a task left behind may speak after its end.
    if (assignment === undefined) return;
    assignment.logLines++;
    if (assignment.logLines > MAX_LOG_LINES) throw new ProtocolError(`its task logs more than ${MAX_LOG_LINES} lines`);
    assignment.task.onLog(decodeLog(frame.payload));
  }

  #takeProbeReport(frame: Frame): void {
    const resolve = this.#probeReports.shift();
    const report = ProbeReport.safeParse(decodeJsonPayload(frame.payload));
    if (resolve === undefined || !report.success) throw new ProtocolError("its probe report is malformed or unasked");
    resolve(report.data);
  }

  #finish(frame: Frame): void {
    const [assignment] = this.#assignments.values();
    if (assignment?.id !== frame.taskId) {
      throw new ProtocolError(`result of task ${frame.taskId} came where ${assignment?.id ?? "none"} was due`);
    }
    const result = decodeResult(frame.payload);
    const allowedBytes = result.outcome === "OK" ? assignment.task.message.maxOutputBytes : 0;
    if (result.output.length > allowedBytes) {
      throw new ProtocolError(`its output has ${result.output.length} bytes, allowed are ${allowedBytes}`);
    }
    const now = performance.now();
    // What a worker of user code says of its time may be the user's word: there the clock outside counts.
    const runMs = this.role === "node" ? result.runMicros / 1_000 : now - this.#headSince;
    const sampled = this.role === "task" || now - this.#headSince >= SAMPLE_TASKS_MS ||
      now - this.#sampledAt >= SAMPLE_AGE_MS;
    const { cpuMs, memoryPeakBytes } = sampled ? this.#sample(now) : { cpuMs: runMs, memoryPeakBytes: 0 };
    if (!sampled) this.#accountedCpuMs += runMs;
    this.#assignments.delete(frame.taskId);
    if (this.#assignments.size === 0) this.#maxOutputBytes = 0;
    this.#startHead(now);
    this.#settle(assignment, {
      kind: "result",
      result,
      runMs,
      cpuMs: Math.min(cpuMs, runMs * MAX_PARALLELISM),
      memoryPeakBytes,
    });
  }

  /** What the kernel says of the task that has just ended; what it leaves behind is the next one's starting point. */
  #sample(nowMs: number): { cpuMs: number; memoryPeakBytes: number } {
    this.#sampledAt = nowMs;
    const cpuMs = tryCpuMs(this.pid) ?? this.#accountedCpuMs;
    const resident = tryResidentBytes(this.pid) ?? this.#restingBytes;
    const used = {
      cpuMs: Math.max(0, cpuMs - this.#accountedCpuMs),
      memoryPeakBytes: Math.max(this.#headPeakBytes, resident - this.#restingBytes - this.#waitingInputBytes(), 0),
    };
    this.#accountedCpuMs = cpuMs;
    this.#restingBytes = resident;
    return used;
  }

  /** Inputs of tasks behind the running one: they may lie in the host's memory, and are none of its doing. */
  #waitingInputBytes(): number {
    const [head, ...waiting] = this.#assignments.values();
    return head === undefined ? 0 : waiting.reduce((sum, { task }) => sum + task.message.input.length, 0);
  }

  #startHead(nowMs: number): void {
    this.#headSince = nowMs;
    this.#headPeakBytes = 0;
  }

  #abandon(assignment: Assignment): void {
    if (!this.#assignments.has(assignment.id) || assignment.abandonedAt !== undefined) return;
    assignment.abandonedAt = performance.now();
    if (this.#state.kind === "serving") this.#state.writer.send(encodeFrame(FrameKind.Cancel, assignment.id));
  }

  #stopHead(head: Assignment, reason: StopReason, nowMs: number): void {
    const end: TaskEnd = {
      kind: "stopped",
      reason,
      wallMs: nowMs - this.#headSince,
      cpuMs: Math.max(0, (tryCpuMs(this.pid) ?? 0) - this.#accountedCpuMs),
      memoryPeakBytes: this.#headPeakBytes,
    };
    this.#assignments.delete(head.id);
    this.kill("killed");
    // The others need not wait for the kernel: they have not been started and can go elsewhere.
    this.#loseAll({ reason: "killed", exitCode: 137, stderr: "" }, false);
    this.#settle(head, end);
  }

  async #awaitExit(received: Promise<void>): Promise<void> {
    const { code } = await this.#child.status;
    // What a jail may have left of it hears that it is over.
    await this.#connection.closeWrite().catch(() => {});
    // Results that it had sent before it died are read first, or the wrong task would answer for its death.
    await received;
    const stderr = await this.#stderr;
    const exit: HostExit = { reason: this.#killReason ?? crashReason(stderr + this.#fatal), exitCode: code, stderr };
    this.#state = { kind: "dead", exit };
    closeQuietly(this.#connection);
    this.#loseAll(exit, true);
    await removeFiles(this.#options);
    this.#exited.resolve(exit);
  }

  /** Tells every task that the host is gone. Only the first can have been running. */
  #loseAll(exit: HostExit, headStarted: boolean): void {
    const lost = [...this.#assignments.values()];
    this.#assignments.clear();
    lost.forEach((assignment, index) =>
      this.#settle(assignment, { kind: "lost", started: headStarted && index === 0, exit })
    );
  }
}

/** Folder for the files of user code; `null` for hosts of built-in nodes. */
function codeDirectoryOf({ role, runtimeDirectory, id }: HostOptions): string | null {
  return role === "task" ? `${runtimeDirectory}/${id}` : null;
}

function cacheDirectoryOf({ cache, runtimeDirectory, id }: HostOptions): string {
  return cache.kind === "fill" ? cache.directory : `${runtimeDirectory}/${id}.cache`;
}

function spawnHost(options: HostOptions, socketPath: string): Deno.ChildProcess {
  const codeDirectory = codeDirectoryOf(options);
  const cacheDirectory = cacheDirectoryOf(options);
  const command = hostCommand({ socketPath, codeDirectory, denoDirectory: cacheDirectory, heapMb: options.memoryMb });
  const { program, args, env } = options.jail.enclose({
    command,
    // A compiled program carries its code inside itself.
    readablePaths: Deno.build.standalone ? [] : [sandboxDirectory()],
    socketPath,
    cacheDirectory,
    warmCacheDirectory: options.cache.kind === "copy" ? options.cache.from : null,
    scratchDirectory: codeDirectory,
    dataLimitBytes: (RUNTIME_DATA_MB + options.memoryMb) * 1024 * 1024,
    openFileLimit: OPEN_FILE_LIMIT,
  });
  return new Deno.Command(program, {
    args: [...args],
    env: { ...env },
    clearEnv: true,
    cwd: options.runtimeDirectory,
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

async function makeDirectory(path: string | null): Promise<void> {
  if (path !== null) await Deno.mkdir(path, { mode: 0o700 });
}

/** Removes what a host had of its own on disk. */
async function removeFiles(options: HostOptions): Promise<void> {
  const own = options.cache.kind === "copy" ? [cacheDirectoryOf(options)] : [];
  for (const directory of [codeDirectoryOf(options), ...own]) {
    if (directory !== null) await Deno.remove(directory, { recursive: true }).catch(() => {});
  }
}

/** The token goes through standard input: arguments and environment can be read by others of the same user. */
async function writeBootstrap(
  child: Deno.ChildProcess,
  options: HostOptions,
  socketPath: string,
  token: Uint8Array,
): Promise<void> {
  const bootstrap = {
    socketPath,
    token: token.toHex(),
    workerUrl: (options.role === "task" ? SANDBOX_CODE.taskWorker : SANDBOX_CODE.worker).href,
    probeWorkerUrl: SANDBOX_CODE.probeWorker.href,
    maxFrameBytes: options.maxInputBytes + MAX_TASK_TEXT_BYTES,
    codeDirectory: codeDirectoryOf(options),
  };
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(JSON.stringify(bootstrap)));
  await stdin.close();
}

/** Gives what an operation gives, unless the process ends or the signal aborts first. */
async function firstOf<T>(operation: Promise<T>, child: Deno.ChildProcess, signal: AbortSignal): Promise<T> {
  operation.catch(() => {});
  const exit = child.status.then(({ code }) => {
    throw new ProtocolError(`it ended early with code ${code}`);
  });
  return await abortable(Promise.race([operation, exit]), signal);
}

/** Reads a stream to its end and keeps the last characters. */
async function readTail(stream: ReadableStream<Uint8Array>, maxLength: number): Promise<string> {
  let tail = "";
  try {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) tail = (tail + text).slice(-maxLength);
  } catch (error) {
    logger.debug("Cannot read the standard error of a sandbox host: {error}", { error: messageOf(error) });
  }
  return tail;
}

function crashReason(stderr: string): HostExit["reason"] {
  return /out of memory|\bOOM\b|allocation failed|memory allocation of/i.test(stderr) ? "out_of_memory" : "crashed";
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}

function killQuietly(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended already.
  }
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index++) difference |= (left[index] ?? 0) ^ (right[index] ?? 0);
  return difference === 0;
}
