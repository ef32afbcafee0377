/**
 * One stream or one user's object: what stays in a sandbox from its opening to its end.
 * @module
 */

import { type ExecutionMetrics, ExecutionStatus, FailureReason } from "../../../protos/generated/types.ts";
import type { ConsoleText, StreamOutput } from "../../../workers/protocol.ts";
import { OUTPUT_COST_BYTES } from "../../../workers/protocol.ts";
import { ServiceError } from "../../errors.ts";
import type { PlacedStream, StreamTask, TaskEnd } from "../../sandbox/task.ts";
import type { TaskLease } from "../callers.ts";
import type { ExecutionLimits } from "../limits.ts";
import { stepFault } from "../requests.ts";
import {
  auditDenials,
  megabytes,
  type TaskAudit,
  type Verdict,
  type VerdictContext,
  verdictOnLoss,
  verdictOnResult,
  verdictOnStop,
} from "../verdict.ts";
import { SessionTotals } from "./totals.ts";

/** Steps handed to the host ahead of need, so that its answer and the next step cross no empty wire; and their bytes. */
const MAX_STEPS_AHEAD = 8;
const MAX_BYTES_AHEAD = 1024 * 1024;
/** Inputs that may wait here, and their bytes; the caller is not read any further beyond either. */
const MAX_WAITING = 8;
const MAX_WAITING_BYTES = 1024 * 1024;
/** Calls of an object that may wait for those before them; the next one is refused. */
const MAX_WAITING_CALLS = 64;

/** One output of a stream. */
export interface SessionOutput {
  /** In the format of its input. Valid until the callback that brings it returns. */
  readonly output: Uint8Array;
  /** Made for those that send it. @param timestamp of now, in milliseconds since the epoch */
  readonly metrics: (timestamp: number) => ExecutionMetrics;
}

/** How a session ended. */
export type SessionEnd =
  /** As its caller wished. */
  | { readonly kind: "closed" }
  /** The code failed, or was stopped. */
  | { readonly kind: "failed"; readonly verdict: Verdict }
  /** The service ended it. */
  | { readonly kind: "ended"; readonly error: ServiceError }
  /** The caller went away. */
  | { readonly kind: "cancelled" };

/** What came of a call of a method. */
export interface CallReport {
  readonly verdict: Verdict;
  readonly metrics: ExecutionMetrics;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a session is. */
export interface SessionOptions {
  readonly id: string;
  /** Whose it is. */
  readonly caller: string;
  /** Of a node its type, of user code empty. */
  readonly nodeType: string;
  /** Whether it is a user's object, which stays between calls. */
  readonly isObject: boolean;
  readonly limits: ExecutionLimits;
  /** Bytes of console output that are kept from one answer to the next. */
  readonly maxConsoleBytes: number;
  /** The longest input. */
  readonly maxInputBytes: number;
  readonly lease: TaskLease;
  readonly audit: TaskAudit;
}

/** An input on its way. */
interface PendingStep {
  readonly step: Pick<StreamTask, "action" | "format" | "method" | "input">;
  readonly arrivedAt: number;
  readonly onEnd?: (verdict: Verdict, end: TaskEnd) => void;
  /** The stream that gave it has left: nobody takes its outputs, or minds how it ends. */
  isOrphan: boolean;
}

/**
 * An open session. Its steps run strictly in order; a few are handed to its host ahead, the others wait here, and when
 * its caller reads slowly none is handed over. Owned by the registry, which is told of its end.
 */
export class Session {
  readonly id: string;
  readonly createdAt = Date.now();
  readonly totals = new SessionTotals();
  /** Resolves when it has ended and its sandbox is free of it. */
  readonly ended: Promise<SessionEnd>;
  /** Monotonic, in milliseconds. */
  readonly openedAt = performance.now();
  lastActivityAt = performance.now();
  lastActivityTimestamp = this.createdAt;
  /** Takes outputs of the inputs that are processed; without it they are lost. */
  onOutput: ((output: SessionOutput) => void) | undefined;
  /** There is room for inputs again. */
  onRoom: (() => void) | undefined;
  /**
   * An input, or the flush after the last, failed. Says whether somebody took note of it and the session shall go on;
   * else it ends.
   */
  onFailure: ((verdict: Verdict) => boolean) | undefined;
  /** Nothing of it waits or runs any more. */
  onIdle: (() => void) | undefined;
  /** It has ended; the last call. */
  onEnd: ((end: SessionEnd) => void) | undefined;
  readonly #options: SessionOptions;
  readonly #context: VerdictContext;
  readonly #stream: PlacedStream;
  readonly #ended = Promise.withResolvers<SessionEnd>();
  readonly #waiting: PendingStep[] = [];
  #waitingBytes = 0;
  /** Steps that the host has, the oldest first, and how to give each up. */
  readonly #under: { readonly pending: PendingStep; abandon: () => void }[] = [];
  #bytesAhead = 0;
  #isHeld = false;
  /** Outputs' cost that the host has not been told to be read. */
  #unreadBytes = 0;
  #wantedRoom = false;
  #isOver = false;
  #stdout = "";
  #stderr = "";

  constructor(options: SessionOptions, stream: PlacedStream) {
    this.id = options.id;
    this.#options = options;
    this.#context = {
      subject: options.nodeType === "" ? "Task" : "Node execution",
      memoryBytes: options.limits.memoryBytes,
    };
    this.#stream = stream;
    this.ended = this.#ended.promise;
  }

  get caller(): string {
    return this.#options.caller;
  }

  get nodeType(): string {
    return this.#options.nodeType;
  }

  /** Whether it is a user's object, which stays between calls. */
  get isObject(): boolean {
    return this.#options.isObject;
  }

  get sandboxId(): string {
    return this.#stream.sandboxId;
  }

  /** Whether it takes no more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether a stream takes its outputs. */
  get isAttached(): boolean {
    return this.onOutput !== undefined;
  }

  /** Whether anything of it waits or runs. */
  get isBusy(): boolean {
    return this.#waiting.length + this.#under.length > 0;
  }

  /** Whether it stands still because its caller leaves too much unread. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Whether more inputs should wait with the caller; `onRoom` tells when they need not any more. */
  get isFull(): boolean {
    const isFull = this.#waiting.length >= MAX_WAITING || this.#waitingBytes >= MAX_WAITING_BYTES;
    this.#wantedRoom ||= isFull;
    return isFull;
  }

  /** Processes one input; its outputs come through `onOutput`, a failure through `onFailure`. */
  process(input: Uint8Array, format: string): void {
    this.#enter({ action: "process", format, method: "", input });
  }

  /** The end of inputs: gives what the code still holds, and ends with `closed`. */
  finish(format: string): void {
    this.flush(format, () => this.#end({ kind: "closed" }));
  }

  /** Gives what the code still holds, and goes on. @param onFlushed not called where that fails */
  flush(format: string, onFlushed: () => void): void {
    this.#enter({ action: "flush", format, method: "", input: NOTHING }, ({ status }) => {
      if (status === ExecutionStatus.SUCCESS) onFlushed();
    });
  }

  /**
   * Calls a method of the user's object. What it throws does not end the session.
   * @param signal gives the call up, and with it the session
   * @throws {ServiceError} `QUEUE_FULL` when as many calls wait as may
   */
  async call(method: string, args: Uint8Array, format: string, signal: AbortSignal): Promise<CallReport> {
    if (this.#waiting.length >= MAX_WAITING_CALLS || this.#waitingBytes >= this.#maxWaitingCallBytes) {
      const state = `${this.#waiting.length} calls of ${this.#waitingBytes} bytes wait for those before them`;
      throw new ServiceError("QUEUE_FULL", `Cannot call method: ${state}`);
    }
    const { promise, resolve } = Promise.withResolvers<CallReport>();
    const arrivedAt = performance.now();
    const startTimestamp = Date.now();
    this.#enter({ action: "call", format, method, input: args }, (verdict, end) => {
      const usage = "usage" in end ? end.usage : undefined;
      const runMs = usage?.wallMs ?? 0;
      const output = verdict.output ?? new Uint8Array();
      resolve({
        verdict,
        ...this.takeConsole(),
        metrics: {
          startTimestamp,
          endTimestamp: Date.now(),
          durationMs: Math.round(runMs),
          cpuTimeMs: Math.round(usage?.cpuMs ?? 0),
          memoryPeakMb: megabytes(usage?.memoryPeakBytes ?? 0),
          memoryAverageMb: megabytes(usage?.memoryAverageBytes ?? 0),
          inputSizeBytes: args.length,
          outputSizeBytes: output.length,
          exitCode: verdict.exitCode ?? 0,
          sandboxId: this.#stream.sandboxId,
          queueTimeMs: Math.max(0, Math.round(performance.now() - arrivedAt - runMs)),
        },
      });
    });
    const giveUp = () => this.cancel();
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  /** Stands still, or goes on: its caller has left too much unread, or has caught up. */
  hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    if (isHeld) return;
    this.#grant();
    this.#pump();
  }

  /** The stream that was attached leaves, and the session goes on. What it gave and has not begun is dropped. */
  detach(): void {
    this.onOutput = undefined;
    this.onRoom = undefined;
    this.onFailure = undefined;
    this.onEnd = undefined;
    for (const { pending } of this.#under) pending.isOrphan ||= pending.step.action !== "call";
    const calls = this.#waiting.filter(({ step }) => step.action === "call");
    this.#waiting.splice(0, Infinity, ...calls);
    this.#waitingBytes = calls.reduce((sum, { step }) => sum + step.input.length, 0);
    this.#wantedRoom = false;
    this.hold(false);
    this.#pump();
  }

  /** What user code wrote since it was last asked for. */
  takeConsole(): { readonly stdout: string; readonly stderr: string } {
    const taken = { stdout: this.#stdout, stderr: this.#stderr };
    this.#stdout = "";
    this.#stderr = "";
    return taken;
  }

  /** The caller went away: what runs is given up. */
  cancel(): void {
    this.#end({ kind: "cancelled" });
  }

  /** The caller wants no more of it. */
  close(): void {
    this.#end({ kind: "closed" });
  }

  /** The service ends it. */
  fail(error: ServiceError): void {
    this.#end({ kind: "ended", error });
  }

  /** Takes what its host says of it. */
  takeOutput({ runMicros, output }: StreamOutput): void {
    const oldest = this.#under[0]?.pending;
    // Outputs come of steps alone. What comes otherwise gets no credit either, and soon ends its host.
    if (this.#isOver || oldest === undefined) return;
    const ageMs = performance.now() - oldest.arrivedAt;
    // The sandbox's word.
    const runMs = Math.min(ageMs, runMicros / 1_000);
    const waitedMs = ageMs - runMs;
    const inputSizeBytes = oldest.step.input.length;
    this.totals.addOutput(output.length);
    this.#unreadBytes += output.length + OUTPUT_COST_BYTES;
    const onOutput = oldest.isOrphan ? undefined : this.onOutput;
    onOutput?.({
      output,
      metrics: (timestamp) => ({
        startTimestamp: timestamp - Math.round(runMs),
        endTimestamp: timestamp,
        durationMs: Math.round(runMs),
        // A node runs alone on its thread; of user code only the end of its step tells.
        cpuTimeMs: this.nodeType === "" ? 0 : Math.round(runMs),
        memoryPeakMb: 0,
        memoryAverageMb: 0,
        inputSizeBytes,
        outputSizeBytes: output.length,
        exitCode: 0,
        sandboxId: this.#stream.sandboxId,
        queueTimeMs: Math.round(waitedMs),
      }),
    });
    if (!this.#isHeld) this.#grant();
  }

  /** Takes what user code writes, bounded from one answer to the next. */
  takeConsoleText({ stream, text }: ConsoleText): void {
    const left = this.#options.maxConsoleBytes - this.#stdout.length - this.#stderr.length;
    const kept = text.slice(0, Math.max(0, left));
    if (stream === "stdout") this.#stdout += kept;
    else this.#stderr += kept;
  }

  /** Its host is gone, or was stopped for what user code did between its steps. */
  takeLoss(end: Extract<TaskEnd, { kind: "lost" | "stopped" }>): void {
    auditDenials(end.denials, this.#options.audit);
    // What it did since its last step, and was stopped for.
    if (end.usage !== undefined) {
      this.totals.addBackground(end.usage.cpuMs);
      this.#options.lease.charge(end.usage.cpuMs);
    }
    if (this.#isOver) return;
    this.#end({ kind: "failed", verdict: this.#verdictOn(end) });
  }

  #enter(step: PendingStep["step"], onEnd?: PendingStep["onEnd"]): void {
    this.lastActivityAt = performance.now();
    this.lastActivityTimestamp = Date.now();
    const pending: PendingStep = {
      step,
      arrivedAt: this.lastActivityAt,
      isOrphan: step.action !== "call" && !this.isAttached,
      ...(onEnd === undefined ? {} : { onEnd }),
    };
    if (this.#isOver) return onEnd?.(CANCELLED, { kind: "returned" });
    const errorMessage = stepFault(step, this.#options);
    if (errorMessage !== undefined) {
      const { RESOURCE_LIMIT: status } = ExecutionStatus;
      const verdict = { status, failureReason: FailureReason.INPUT_LIMIT, errorMessage };
      onEnd?.(verdict, { kind: "returned" });
      return this.#onFailed(pending, verdict, true);
    }
    this.#waiting.push(pending);
    this.#waitingBytes += step.input.length;
    this.#pump();
  }

  #pump(): void {
    while (!this.#isHeld && !this.#isOver && this.#under.length < MAX_STEPS_AHEAD) {
      if (this.#bytesAhead >= MAX_BYTES_AHEAD) break;
      const pending = this.#waiting.shift();
      if (pending === undefined) break;
      this.#waitingBytes -= pending.step.input.length;
      this.#start(pending);
    }
    if (this.#wantedRoom && !this.isFull) {
      this.#wantedRoom = false;
      this.onRoom?.();
    }
    if (!this.#isOver && !this.isBusy) this.onIdle?.();
  }

  #start(pending: PendingStep): void {
    const entry = { pending, abandon: () => {} };
    this.#under.push(entry);
    this.#bytesAhead += pending.step.input.length;
    entry.abandon = this.#stream.run({
      ...pending.step,
      limits: this.#options.limits,
      onEnd: (end) => this.#onStepEnd(entry, end),
    });
  }

  #onStepEnd(entry: { readonly pending: PendingStep }, end: TaskEnd): void {
    const { pending } = entry;
    const { action, input } = pending.step;
    const index = this.#under.findIndex((other) => other === entry);
    if (index >= 0) {
      this.#under.splice(index, 1);
      this.#bytesAhead -= input.length;
    }
    if (end.kind !== "returned") auditDenials(end.denials, this.#options.audit);
    const verdict = this.#verdictOn(end);
    const usage = "usage" in end ? end.usage : undefined;
    if (usage !== undefined) this.totals.addStep(usage, action === "process" || action === "call", input.length);
    // Also of what was given up: it has been used.
    const overdrawn = usage === undefined ? undefined : this.#options.lease.charge(usage.cpuMs);
    if (!this.#isOver) this.lastActivityAt = performance.now();
    if (!pending.isOrphan) pending.onEnd?.(verdict, end);
    if (verdict.status !== ExecutionStatus.SUCCESS) this.#onFailed(pending, verdict, end.kind === "result");
    // There is nothing to call any more.
    else if (action === "call" && pending.step.method === "cleanup") this.close();
    if (overdrawn !== undefined) this.#end({ kind: "ended", error: overdrawn });
    this.#pump();
  }

  /**
   * What code throws is the business of who asked for it, and need not be the end of an object.
   * @param canGoOn whether there is still something to go on with
   */
  #onFailed({ step, isOrphan }: PendingStep, verdict: Verdict, canGoOn: boolean): void {
    if (this.#isOver) return;
    const isKept = canGoOn && (step.action === "call" || isOrphan || this.onFailure?.(verdict) === true);
    if (!isKept) this.#end({ kind: "failed", verdict });
  }

  get #maxWaitingCallBytes(): number {
    return Math.max(MAX_WAITING_BYTES, this.#options.maxInputBytes);
  }

  #verdictOn(end: TaskEnd): Verdict {
    switch (end.kind) {
      case "result":
        return verdictOnResult(end, this.#options.audit);
      case "stopped":
        return verdictOnStop(end, this.#context, this.#options.audit);
      case "lost":
        return verdictOnLoss(end.exit, { started: end.started, sandboxId: this.#stream.sandboxId }, this.#context);
      case "returned":
        return CANCELLED;
    }
  }

  /** Tells user code that its outputs have been taken. */
  #grant(): void {
    const bytes = this.#unreadBytes;
    this.#unreadBytes = 0;
    if (bytes > 0 && this.nodeType === "") this.#stream.grant(bytes);
  }

  #end(end: SessionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const { abandon } of [...this.#under]) abandon();
    const dropped = this.#waiting.splice(0);
    this.#waitingBytes = 0;
    for (const { onEnd } of dropped) onEnd?.(CANCELLED, { kind: "returned" });
    // Who hears of a failure need not wait until user code has cleaned up behind it.
    if (end.kind !== "closed") this.onEnd?.(end);
    void this.#stream.close().finally(() => {
      const { backgroundCpuMs } = this.#stream;
      this.totals.addBackground(backgroundCpuMs);
      this.#options.lease.charge(backgroundCpuMs);
      this.#options.lease.end(0);
      if (end.kind === "closed") this.onEnd?.(end);
      this.#ended.resolve(end);
    });
  }
}

const NOTHING = new Uint8Array();

const CANCELLED: Verdict = {
  status: ExecutionStatus.CANCELLED,
  failureReason: FailureReason.CANCELLED,
  errorMessage: "The session has ended",
};
