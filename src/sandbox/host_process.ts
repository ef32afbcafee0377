/**
 * One sandbox host as the server sees it: a child process at the other end of a Unix socket.
 * @module
 */

import { z } from "zod";
import { abortable } from "../async/abortable.ts";
import { pause } from "../async/pause.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import {
  decodeConsole,
  decodeJsonPayload,
  decodeLog,
  decodeOutput,
  decodeResult,
  encodeCredit,
  encodeFrame,
  encodeJsonFrame,
  encodePackageTask,
  encodeSoftLimit,
  encodeStep,
  encodeTask,
  type Frame,
  FrameKind,
  type FramePieces,
  FrameReader,
  FrameWriter,
  MAX_LOG_LINES,
  type PackageTask,
  type ProbeOutcome,
  type ProbeTargets,
  PROTOCOL_VERSION,
  ProtocolError,
} from "../../workers/protocol.ts";
import { type Assignment, Assignments } from "./assignments.ts";
import { closeQuietly } from "./close_quietly.ts";
import { packageModulePaths } from "./code.ts";
import { CpuGovernor } from "./cpu_governor.ts";
import { type Denial, DenialAudit } from "./denials.ts";
import type { EgressEvent } from "./egress/mod.ts";
import { HostStream, HostStreams } from "./host_stream.ts";
import { firstOf, type HostOptions, type HostRole, killQuietly, launch, type LaunchedHost } from "./launch.ts";
import { leafProcess, tryOpenFiles, tryThreadNames, tryUsage } from "./proc.ts";
import { ScratchUsage } from "./scratch_usage.ts";
import { type Excess, type HostExit, type HostTask, isNodeTask, isStep, type StopReason } from "./task.ts";
import { type TaskUsage, UsageMeter } from "./usage_meter.ts";

const logger = serviceLogger("sandbox");

/** Room in a frame for all but the output: the longest message and traceback, and the header. */
const RESULT_OVERHEAD_BYTES = 256 * 1024;
/** Longest frame that is not a result: the list of nodes, a probe's report. */
const CONTROL_FRAME_BYTES = 1024 * 1024;
const MAX_FATAL_LENGTH = 4_096;
/** How long what belongs to the end of a process may take to come. */
const LAST_WORD_MS = 500;
/** Console output may come so many times as long as what is kept of it, in UTF-16 units: a worker that bounds itself sends less. */
const CONSOLE_SLACK = 4;
const CONSOLE_SLACK_LENGTH = 64 * 1024;
/** A task that has run this long holds up nobody any more: those behind it go elsewhere. In milliseconds. */
const PATIENCE_MS = 20;
/** From so many streams of a host on, their steps go out together. */
const MANY_STREAMS = 8;
/** Share of a limit after which user code hears of it. */
const SOFT_LIMIT_SHARE = 0.9;
/** Memory that a renewed host may hold beyond what it had before its first task. */
const RENEWED_GROWTH_BYTES = 64 * 1024 * 1024;
/** Threads of the runtime that come and go by themselves. */
const RENEWED_GROWTH_THREADS = 4;
/** Deno names the threads of its workers by this and a number. */
const WORKER_THREAD = "worker-";
/** What a control group may hold beyond the host's baseline and the task's limits. */
const GROUP_SLACK_BYTES = 64 * 1024 * 1024;
/** Threads of a jail around the host, and of the runtime. */
const GROUP_SLACK_THREADS = 16;
/** A signal's exit code is this much above its number. */
const SIGNAL_EXIT = 128;
/** Sent to who writes a file beyond `RLIMIT_FSIZE`. */
const SIGXFSZ = 25;

type HostState =
  | { readonly kind: "starting" }
  | { readonly kind: "serving"; readonly writer: FrameWriter }
  | { readonly kind: "dying" }
  | { readonly kind: "dead"; readonly exit: HostExit };

/** What a host had before its first task. */
interface Baseline {
  readonly residentBytes: number;
  readonly threads: number;
  readonly openFiles: number;
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
    runtime: z.enum(["typescript", "python"]).default("typescript"),
    parameters: z.array(NodeParameter),
  })),
});

/** A node that the worker has. */
export type NodeDescription = z.output<typeof ReadyMessage>["nodes"][number];

const ProbeReport = z.array(z.strictObject({
  place: z.enum(["host", "worker", "task", "interpreter"]),
  attempt: z.string().max(200),
  leaked: z.boolean(),
  detail: z.string().max(1_000),
}));

/** A running sandbox host. Owned by whoever started it; `kill` or disposal ends it. */
export class HostProcess implements AsyncDisposable {
  readonly id: string;
  readonly #options: HostOptions;
  readonly #launched: LaunchedHost;
  readonly #reader: FrameReader;
  readonly #assignments = new Assignments();
  readonly #streams = new HostStreams();
  readonly #exited = Promise.withResolvers<HostExit>();
  readonly #audit: DenialAudit | undefined;
  readonly #scratch: ScratchUsage | undefined;
  #pid: number;
  #meter: UsageMeter;
  #governor: CpuGovernor;
  #baseline: Baseline | undefined;
  #state: HostState = { kind: "starting" };
  #killReason: HostExit["reason"] | undefined;
  /** Why its worker ended, in its own words. */
  #fatal = "";
  #probeReports: ((outcomes: ProbeOutcome[]) => void)[] = [];
  #lastTask: HostTask | undefined;
  #renewal: PromiseWithResolvers<void> | undefined;
  #nodes: readonly NodeDescription[] = [];

  private constructor(options: HostOptions, launched: LaunchedHost) {
    this.id = options.id;
    this.#options = options;
    this.#launched = launched;
    this.#pid = launched.child.pid;
    this.#meter = new UsageMeter(this.#pid);
    this.#governor = new CpuGovernor(this.#pid);
    this.#reader = new FrameReader(() =>
      Math.max(
        CONTROL_FRAME_BYTES,
        Math.max(this.#assignments.maxOutputBytes, this.#streams.maxOutputBytes) + RESULT_OVERHEAD_BYTES,
      )
    );
    const { outside, inside } = launched.files;
    if (launched.egress !== undefined) launched.egress.onEvent = (event) => this.#onEgress(event);
    this.#audit = outside.audit === null ? undefined : new DenialAudit(outside.audit, {
      inside,
      workingDirectory: options.grants.workingDirectory,
      isNetPermitted: (target) => launched.egress?.isPermitted(target) ?? false,
      ownReads: packageModulePaths(inside.bundle),
    });
    // The scratch folder of bubblewrap is a file system of its own, whose size the kernel bounds.
    this.#scratch = outside.scratch === null || options.jail.type === "bubblewrap"
      ? undefined
      : new ScratchUsage(outside.scratch, launched.child.pid);
  }

  /**
   * Starts a host and waits until its worker is ready.
   *
   * @throws {ServiceError} `SANDBOX_LOST` when it ends, misbehaves or is not ready within `startTimeoutMs`
   */
  static async start(options: HostOptions, { signal }: { signal: AbortSignal }): Promise<HostProcess> {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(options.startTimeoutMs)]);
    return await launch(options, timeout, async (launched) => {
      const host = new HostProcess(options, launched);
      await host.#becomeReady(timeout);
      return host;
    });
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
    return this.#state.kind === "serving" && this.#renewal === undefined;
  }

  /** Tasks on it, the running one included. */
  get taskCount(): number {
    return this.#assignments.size;
  }

  /** Streams that are open on it. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Whether something on it may run past its limits. */
  get needsWatch(): boolean {
    return this.taskCount > 0 || this.role === "task" && this.streamCount > 0;
  }

  /** Resident memory after the last task, in bytes. */
  get restingBytes(): number {
    return this.#meter.restingBytes;
  }

  /**
   * Hands it a task, which runs after those that it has.
   * @returns a function that gives the task up: it will not start, or is stopped if it runs
   */
  run(task: HostTask, nowMs: number): () => void {
    if (this.#state.kind !== "serving") throw new TypeError(`Cannot run task: sandbox host is ${this.#state.kind}`);
    const { message } = task;
    if (this.#assignments.size === 0) {
      // What a host for user code has done since it was ready, to be ready, is none of its task's doing.
      if (this.role === "task" && !isStep(message)) this.#meter = new UsageMeter(this.#pid);
      this.#begin(nowMs);
    }
    const assignment = this.#assignments.add(task);
    if (!this.#limitGroup(task)) {
      // Fail closed: its exit settles the task.
      this.#fail();
      return () => {};
    }
    const frame = this.#encode(assignment);
    if (isStep(message) && this.#streams.size >= MANY_STREAMS) this.#state.writer.sendSoon(frame);
    else this.#state.writer.send(frame);
    return () => this.#abandon(assignment);
  }

  /** Tells user code that more outputs of its stream are welcome. */
  sendCredit(streamId: number, bytes: number): void {
    if (this.#state.kind === "serving") this.#state.writer.send(encodeCredit(streamId, bytes));
  }

  #encode({ id, task: { message, stream } }: Assignment): FramePieces {
    if (isStep(message)) return encodeStep(id, message);
    const opens = stream !== undefined;
    if (isNodeTask(message)) return encodeTask(id, message, opens ? FrameKind.Open : FrameKind.Task);
    const kind = opens ? FrameKind.OpenPackage : FrameKind.Package;
    return encodePackageTask(id, this.#withCredentials(message), kind);
  }

  #withCredentials(message: PackageTask): PackageTask {
    const { egress } = this.#launched;
    if (egress === undefined) return message;
    return { ...message, options: { ...message.options, egress: egress.credentials } };
  }

  #onEgress(event: EgressEvent): void {
    // What the proxy tells at its end is of the task that has had the host last.
    (this.#assignments.head?.task ?? this.#lastTask)?.onEgress?.(event);
  }

  /** Has the kernel hold the task's limits. @returns whether it does, or nothing asks it to */
  #limitGroup({ limits }: HostTask): boolean {
    const { controlGroup } = this.#launched;
    const { grants, maxUnpackedBytes } = this.#options;
    const baseline = this.#baseline;
    if (controlGroup === undefined || baseline === undefined) return true;
    const { controllers } = controlGroup;
    const files = maxUnpackedBytes + (grants.scratchBytes ?? 0);
    try {
      controlGroup.setLimits({
        ...(controllers.has("cpu") ? { cpuPercent: limits.cpuPercent } : {}),
        // Files in memory count, too. This stops what is too fast for the watch, which knows the task's own share.
        ...(controllers.has("memory")
          ? { memoryBytes: baseline.residentBytes + limits.memoryBytes + files + GROUP_SLACK_BYTES }
          : {}),
        ...(controllers.has("pids") ? { maxProcesses: baseline.threads + limits.threads + GROUP_SLACK_THREADS } : {}),
      });
      return true;
    } catch (error) {
      logger.error("Cannot limit sandbox host {host}: {error}", { host: this.id, error: messageOf(error) });
      return false;
    }
  }

  /** How long the running task has run, in milliseconds; 0 when none does. */
  headRunMs(nowMs: number): number {
    return this.#assignments.size === 0 ? 0 : this.#meter.runMs(nowMs);
  }

  /**
   * Stops what runs past its limits: kills the process, which is the only way to end a task that does not come back.
   * @param cancelGraceMs how long a task that was given up may take to notice
   */
  enforceLimits(nowMs: number, cancelGraceMs: number): void {
    const { head } = this.#assignments;
    const task = head?.task ?? (this.role === "task" ? this.#streams.only?.opening : undefined);
    if (task === undefined || this.#state.kind !== "serving") return;
    this.#meter.observe(this.#assignments.waitingInputBytes);
    const used = this.#meter.usage(nowMs);
    const { limits } = task;
    const begunAt = nowMs - used.wallMs;
    const scratchBytes = this.#scratch?.bytes(nowMs) ?? 0;
    const scratchLimit = this.#options.grants.scratchBytes ?? 0;
    const ignoredMs = head?.abandonedAt === undefined ? 0 : nowMs - Math.max(head.abandonedAt, begunAt);
    const stop = (reason: StopReason, limit: number, used: number) =>
      this.#stopHead(head, reason, { limit, used }, nowMs);
    // Others' streams would die with it: one that does not hear of its end has until its time is up.
    const killsOthers = this.role === "node" && this.#streams.size > 0;
    if (ignoredMs > cancelGraceMs && !killsOthers) return stop("cancelled", cancelGraceMs, ignoredMs);
    // Between the steps of a stream no time is up.
    if (head !== undefined && used.wallMs >= limits.timeoutMs) return stop("timeout", limits.timeoutMs, used.wallMs);
    if (used.cpuMs >= limits.cpuMs) return stop("cpu", limits.cpuMs, used.cpuMs);
    if (used.memoryPeakBytes > limits.memoryBytes) return stop("memory", limits.memoryBytes, used.memoryPeakBytes);
    if (used.threads > limits.threads) return stop("threads", limits.threads, used.threads);
    if (scratchBytes > scratchLimit) return stop("scratch", scratchLimit, scratchBytes);
    this.#audit?.advance();
    if (this.#audit?.isFlooded) return stop("denials", 0, 0);
    if (!this.#launched.controlGroup?.controllers.has("cpu")) {
      this.#governor.govern({ ...used, percent: limits.cpuPercent });
    }
    if (head === undefined) return;
    this.#warn(head, used);
    if (used.wallMs >= PATIENCE_MS) this.#returnWaiting();
  }

  /** Gives back what waits behind a long task; should the host begin one at this very moment, its answer is ignored. */
  #returnWaiting(): void {
    for (const assignment of this.#assignments.waiting) {
      // What is of a stream has to be done here.
      if (assignment.settled || isStep(assignment.task.message) || assignment.task.stream !== undefined) continue;
      this.#abandon(assignment);
      assignment.settle({ kind: "returned" }, this.id);
    }
  }

  /** Tells user code once that a limit is near, so that it can end by itself. */
  #warn(head: Assignment, { wallMs, cpuMs, memoryPeakBytes }: TaskUsage): void {
    const { message, limits } = head.task;
    if (head.near !== undefined || this.#state.kind !== "serving") return;
    // A stream goes on after the step whose limit is near, and its signal aborts but once.
    if (isNodeTask(message) || isStep(message) || head.task.stream !== undefined) return;
    const near = ([
      { name: "time", reason: "timeout", limit: limits.timeoutMs, used: wallMs },
      { name: "CPU time", reason: "cpu", limit: limits.cpuMs, used: cpuMs },
      { name: "memory", reason: "memory", limit: limits.memoryBytes, used: memoryPeakBytes },
    ] as const).find(({ limit, used }) => used >= limit * SOFT_LIMIT_SHARE);
    if (near === undefined) return;
    head.near = near;
    const leftMs = Math.max(0, Math.round(Math.min(limits.timeoutMs - wallMs, limits.cpuMs - cpuMs)));
    this.#state.writer.send(encodeSoftLimit(head.id, { reason: `The ${near.name} limit is near`, leftMs }));
  }

  /** Has host and worker try what must be impossible. */
  async probe(targets: ProbeTargets, { signal }: { signal: AbortSignal }): Promise<ProbeOutcome[]> {
    if (this.#state.kind !== "serving") {
      throw new ServiceError("SANDBOX_LOST", `Cannot probe sandbox: its host is ${this.#state.kind}`);
    }
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

  /** Lets a host for user code use the time until its task comes, which is then faster. */
  warmUp(): void {
    if (this.#state.kind === "serving") this.#state.writer.send(encodeFrame(FrameKind.WarmUp, 0));
  }

  /**
   * Has the host end the worker of its last task and start another, for a task of the same caller and code.
   *
   * @returns whether it has; if not, the host is of no more use
   */
  async renew({ signal }: { signal: AbortSignal }): Promise<boolean> {
    if (!this.isServing || this.#assignments.size > 0 || this.#state.kind !== "serving") return false;
    this.#renewal = Promise.withResolvers();
    this.#state.writer.send(encodeFrame(FrameKind.Renew, 0));
    const exited = this.exited.then(() => {
      throw new ServiceError("SANDBOX_LOST", "Cannot renew sandbox: its host has ended");
    });
    try {
      await abortable(Promise.race([this.#renewal.promise, exited]), signal);
    } catch {
      return false;
    }
    this.#renewal = undefined;
    return true;
  }

  /** Whether a renewed host has no more threads, files or memory than before its first task, within what they vary. */
  get isAtBaseline(): boolean {
    const usage = tryUsage(this.#pid);
    const threads = tryThreadNames(this.#pid);
    if (usage === undefined || threads === undefined || this.#baseline === undefined) return false;
    // A worker that is still busy outlives its end: its thread is there beside the new one's.
    return threads.filter((name) => name.startsWith(WORKER_THREAD)).length === 1 &&
      threads.length <= this.#baseline.threads + RENEWED_GROWTH_THREADS &&
      (tryOpenFiles(this.#pid) ?? Infinity) <= this.#baseline.openFiles &&
      usage.residentBytes <= this.#baseline.residentBytes + RENEWED_GROWTH_BYTES;
  }

  /** Ends the process at once; what ran on it is lost. */
  kill(reason: "killed" | "retired" = "killed"): void {
    if (this.#state.kind === "dead" || this.#state.kind === "dying") return;
    this.#state = { kind: "dying" };
    this.#killReason ??= reason;
    killQuietly(this.#launched.child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill("retired");
    await this.exited;
  }

  async #becomeReady(signal: AbortSignal): Promise<void> {
    const { connection, token, child } = this.#launched;
    const writer = new FrameWriter((bytes) => connection.write(bytes), () => this.#fail());
    const hello = await this.#nextStartFrame(FrameKind.Hello, signal);
    if (hello[0] !== PROTOCOL_VERSION || !equalBytes(hello.subarray(1), token)) {
      throw new ProtocolError("the process that connected is not the one that was started");
    }
    const ready = ReadyMessage.safeParse(decodeJsonPayload(await this.#nextStartFrame(FrameKind.Ready, signal)));
    if (!ready.success) throw new ProtocolError("its list of nodes is malformed", { cause: ready.error });
    this.#nodes = ready.data.nodes;
    this.#pid = leafProcess(child.pid);
    this.#meter = new UsageMeter(this.#pid);
    this.#governor = new CpuGovernor(this.#pid);
    const usage = tryUsage(this.#pid);
    const openFiles = this.role === "task" ? tryOpenFiles(this.#pid) : undefined;
    if (usage !== undefined && openFiles !== undefined) this.#baseline = { ...usage, openFiles };
    this.#state = { kind: "serving", writer };
    void this.#awaitExit(this.#receive());
  }

  #startFrames: Frame[] = [];

  async #nextStartFrame(kind: FrameKind, signal: AbortSignal): Promise<Uint8Array> {
    const { connection, child } = this.#launched;
    while (this.#startFrames.length === 0) {
      const count = await firstOf(connection.read(this.#reader.nextBuffer()), child, signal);
      if (count === null) throw new ProtocolError("it closed its connection");
      this.#startFrames.push(...this.#reader.advance(count));
    }
    const frame = this.#startFrames.shift();
    if (frame?.kind === FrameKind.Fatal) throw new ProtocolError(new TextDecoder().decode(frame.payload));
    if (frame?.kind !== kind) throw new ProtocolError(`frame of kind ${frame?.kind} came where ${kind} was due`);
    return frame.payload;
  }

  async #receive(): Promise<void> {
    const { connection } = this.#launched;
    try {
      for (const frame of this.#startFrames.splice(0)) this.#handle(frame);
      while (true) {
        const count = await connection.read(this.#reader.nextBuffer());
        if (count === null) break;
        for (const frame of this.#reader.advance(count)) this.#handle(frame);
      }
      // It has ended, or does so now: how, its jail tells in a moment.
      if (this.#state.kind === "serving") this.#state = { kind: "dying" };
      await endsWithin(this.#launched.child.status, LAST_WORD_MS);
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
    killQuietly(this.#launched.child);
  }

  #handle(frame: Frame): void {
    // What a dying host still says counts for nothing: its tasks have been given up or will be.
    if (this.#state.kind !== "serving") return;
    switch (frame.kind) {
      case FrameKind.Result:
        return this.#finish(frame);
      case FrameKind.Output:
        // What a stream sends after its end is of no use.
        return this.#streams.get(frame.taskId)?.take(decodeOutput(frame.payload));
      case FrameKind.Log:
        return this.#log(frame);
      case FrameKind.Console:
        return this.#console(frame);
      case FrameKind.Validated:
        return this.#validated(frame);
      case FrameKind.ProbeReport:
        return this.#takeProbeReport(frame);
      case FrameKind.Ready:
        if (this.#renewal === undefined) throw new ProtocolError("it says that it is ready a second time");
        return this.#renewal.resolve();
      case FrameKind.Fatal:
        this.#fatal = new TextDecoder().decode(frame.payload.subarray(0, MAX_FATAL_LENGTH));
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

  #console(frame: Frame): void {
    const stream = this.#streams.get(frame.taskId);
    const writer = stream ?? this.#assignments.get(frame.taskId);
    const task = stream?.opening ?? this.#assignments.get(frame.taskId)?.task;
    if (writer === undefined || task === undefined) return;
    const kept = "maxConsoleBytes" in task.message ? task.message.maxConsoleBytes : 0;
    const text = decodeConsole(frame.payload);
    // The text alone: code that writes to both streams in turns has a frame for each word.
    writer.consoleLength += Math.max(1, text.text.length);
    if (writer.consoleLength > kept * CONSOLE_SLACK + CONSOLE_SLACK_LENGTH) {
      throw new ProtocolError(`its task writes more than ${kept} bytes to its console`);
    }
    if (stream === undefined) task.onConsole?.(text);
    else task.stream?.onConsole(text);
  }

  #validated({ taskId }: Frame): void {
    const assignment = this.#assignments.get(taskId);
    if (assignment === undefined) return;
    if (assignment.validated) throw new ProtocolError("it says that a package is validated a second time");
    assignment.validated = true;
    assignment.task.onValidated?.();
  }

  #takeProbeReport(frame: Frame): void {
    const resolve = this.#probeReports.shift();
    const report = ProbeReport.safeParse(decodeJsonPayload(frame.payload));
    if (resolve === undefined || !report.success) throw new ProtocolError("its probe report is malformed or unasked");
    resolve(report.data);
  }

  #finish(frame: Frame): void {
    const { head } = this.#assignments;
    if (head === undefined || head.id !== frame.taskId) {
      throw new ProtocolError(`result of task ${frame.taskId} came where ${head?.id ?? "none"} was due`);
    }
    const result = decodeResult(frame.payload);
    const allowedBytes = result.outcome === "OK" ? head.task.message.maxOutputBytes : 0;
    if (result.output.length > allowedBytes) {
      throw new ProtocolError(`its output has ${result.output.length} bytes, allowed are ${allowedBytes}`);
    }
    const now = performance.now();
    if (result.outcome === "CANCELLED" && head.near !== undefined) {
      const { reason, limit } = head.near;
      const { wallMs, cpuMs, memoryPeakBytes } = this.#meter.usage(now);
      const used = { timeout: wallMs, cpu: cpuMs, memory: memoryPeakBytes }[reason];
      return this.#stopHead(head, reason, { limit, used, obeyed: true }, now);
    }
    const isNode = this.role === "node";
    const usage = this.#meter.end(now, {
      // What a worker of user code says of its time may be the user's word: there the clock outside counts.
      runMs: isNode ? result.runMicros / 1_000 : this.#meter.runMs(now),
      always: !isNode,
      stays: !isNode,
      foreignBytes: this.#assignments.waitingInputBytes,
    });
    const denials = this.#denials();
    this.#assignments.removeHead();
    this.#lastTask = head.task;
    this.#begin(now);
    const { stream: sink } = head.task;
    const stream = sink !== undefined && result.outcome === "OK" ? this.#open(head) : undefined;
    if (head.settled) return head.task.onReleased?.();
    head.settle({ kind: "result", result, usage, denials }, this.id);
    if (stream !== undefined) sink?.onOpened(stream);
  }

  #open({ id, task }: Assignment): HostStream {
    const stream = new HostStream(id, { opening: task, host: this, streams: this.#streams });
    this.#streams.add(stream);
    return stream;
  }

  /** The next task's time begins. */
  #begin(nowMs: number): void {
    this.#governor[Symbol.dispose]();
    const stream = this.role === "task" ? this.#streams.only : undefined;
    let backgroundCpuMs = 0;
    if (stream !== undefined) {
      // What it did since its last step counts, but not as part of the next.
      this.#meter.observe(0);
      backgroundCpuMs = this.#meter.usage(nowMs).cpuMs;
      stream.backgroundCpuMs += backgroundCpuMs;
    }
    this.#meter.begin(nowMs, backgroundCpuMs);
    this.#audit?.begin();
  }

  #denials(): readonly Denial[] {
    return this.#audit?.read() ?? [];
  }

  #abandon(assignment: Assignment): void {
    if (this.#assignments.get(assignment.id) === undefined || assignment.abandonedAt !== undefined) return;
    assignment.abandonedAt = performance.now();
    if (this.#state.kind === "serving") this.#state.writer.send(encodeFrame(FrameKind.Cancel, assignment.id));
  }

  /** @param head what runs; nothing when user code went too far between the steps of its stream */
  #stopHead(head: Assignment | undefined, reason: StopReason, excess: Excess, nowMs: number): void {
    const usage = this.#meter.usage(nowMs);
    const denials = this.#denials();
    const end = { kind: "stopped", reason, excess, usage, denials } as const;
    if (head !== undefined) {
      this.#assignments.removeHead();
      this.#lastTask = head.task;
    }
    this.kill("killed");
    // The others need not wait for the kernel: they have not been started and can go elsewhere.
    const exit = { reason: "killed", exitCode: 137, stderr: "" } as const;
    this.#loseTasks(exit, false);
    head?.settle(end, this.id);
    this.#streams.lose(
      head === undefined ? end : { kind: "lost", started: false, exit, usage: undefined, denials: [] },
    );
  }

  async #awaitExit(received: Promise<void>): Promise<void> {
    const { child, connection, files, controlGroup, egress } = this.#launched;
    const { code } = await child.status;
    const ranOut = (controlGroup?.oomKills ?? 0) > 0;
    // What a jail may have left of it hears that it is over.
    await connection.closeWrite().catch(() => {});
    // Results that it had sent before it died are read first, or the wrong task would answer for its death. What a
    // descendant of it that holds the connection still says is not waited for.
    await endsWithin(received, LAST_WORD_MS);
    const stderr = await this.#launched.stderr;
    const reason = this.#killReason ?? (ranOut ? "out_of_memory" : crashReason(stderr + this.#fatal));
    const exit: HostExit = { reason, exitCode: code, stderr };
    this.#state = { kind: "dead", exit };
    closeQuietly(connection);
    // What it has to tell of its connections belongs to the task that it ran.
    await egress?.[Symbol.asyncDispose]();
    if (code === SIGNAL_EXIT + SIGXFSZ) this.#stopForFileSize();
    // What user code did between its steps, if that was when it ended.
    const isBetween = this.role === "task" && this.#assignments.size === 0;
    const usage = isBetween ? this.#meter.usage(performance.now()) : undefined;
    this.#loseTasks(exit, true);
    this.#streams.lose({ kind: "lost", started: false, exit, usage, denials: [] });
    this.#audit?.[Symbol.dispose]();
    await files.remove();
    controlGroup?.[Symbol.dispose]();
    this.#exited.resolve(exit);
  }

  /** The kernel ended it because of a file that grew too long. */
  #stopForFileSize(): void {
    const { head } = this.#assignments;
    const limit = this.#options.grants.scratchBytes;
    if (head === undefined || limit === null) return;
    this.#assignments.removeHead();
    const usage = this.#meter.usage(performance.now());
    const end = { kind: "stopped", reason: "scratch", excess: { limit, used: limit }, usage } as const;
    head.settle({ ...end, denials: this.#denials() }, this.id);
  }

  /** Tells every task that the host is gone. Only the first can have been running. */
  #loseTasks(exit: HostExit, headStarted: boolean): void {
    const usage = this.#meter.usage(performance.now());
    this.#assignments.takeAll().forEach((assignment, index) => {
      const started = headStarted && index === 0;
      assignment.settle({
        kind: "lost",
        started,
        exit,
        usage: started ? usage : undefined,
        denials: started ? this.#denials() : [],
      }, this.id);
    });
  }
}

/** Waits for something to end, but not longer than so. */
async function endsWithin(ending: Promise<unknown>, milliseconds: number): Promise<void> {
  const ended = new AbortController();
  await Promise.race([ending, pause(milliseconds, ended.signal)]);
  ended.abort();
}

function crashReason(stderr: string): HostExit["reason"] {
  return /out of memory|\bOOM\b|allocation failed|memory allocation of/i.test(stderr) ? "out_of_memory" : "crashed";
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index++) difference |= (left[index] ?? 0) ^ (right[index] ?? 0);
  return difference === 0;
}
