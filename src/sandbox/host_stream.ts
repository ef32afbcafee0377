/**
 * The streams of one sandbox host: what stays on it between the tasks that open, continue and close it.
 * @module
 */

import { OUTPUT_COST_BYTES, ProtocolError, type StreamOutput } from "../../workers/protocol.ts";
import type { HostTask, PlacedStream, StreamTask, TaskEnd, TaskLimits } from "./task.ts";

/** What cleaning up may take. */
const CLOSE_LIMITS: Pick<TaskLimits, "timeoutMs" | "cpuMs"> = { timeoutMs: 2_000, cpuMs: 2_000 };

/** What a stream needs of its host. */
export interface StreamHost {
  readonly id: string;
  readonly isServing: boolean;
  /** Runs a task after those that it has. */
  run(task: HostTask, nowMs: number): () => void;
  /** Tells user code that more outputs are welcome. */
  sendCredit(streamId: number, bytes: number): void;
}

/** One stream. */
export class HostStream implements PlacedStream {
  /** The id of the task that opened it. */
  readonly id: number;
  /** The task that opened it: its limits are those of what user code does between steps. */
  readonly opening: HostTask;
  backgroundCpuMs = 0;
  consoleLength = 0;
  readonly #host: StreamHost;
  readonly #streams: HostStreams;
  /** Cost of outputs that may still come: of user code until it is granted more, of a node until its step ends. */
  #creditBytes: number;
  #closing: Promise<void> | undefined;

  constructor(
    id: number,
    { opening, host, streams }: {
      readonly opening: HostTask;
      readonly host: StreamHost;
      readonly streams: HostStreams;
    },
  ) {
    this.id = id;
    this.opening = opening;
    this.#host = host;
    this.#streams = streams;
    const { message } = opening;
    this.#creditBytes = "options" in message ? message.options.stream?.creditBytes ?? 0 : message.maxOutputBytes;
  }

  get sandboxId(): string {
    return this.#host.id;
  }

  run({ action, format, method, input, limits, onEnd }: StreamTask): () => void {
    const { message, onLog, onEgress } = this.opening;
    if (!this.#host.isServing) {
      // Its end is on its way to the sink.
      const exit = { reason: "crashed", exitCode: -1, stderr: "" } as const;
      onEnd({ kind: "lost", started: false, exit, usage: undefined, denials: [] });
      return () => {};
    }
    const { maxOutputBytes } = message;
    return this.#host.run({
      message: { streamId: this.id, action, format, method, input, maxOutputBytes },
      limits,
      onLog,
      ...(onEgress === undefined ? {} : { onEgress }),
      onEnd: (end) => {
        this.consoleLength = 0;
        if (!("options" in message)) this.#creditBytes = maxOutputBytes;
        onEnd(end);
      },
    }, performance.now());
  }

  grant(bytes: number): void {
    this.#creditBytes += bytes;
    if (this.#host.isServing) this.#host.sendCredit(this.id, bytes);
  }

  /** @throws {ProtocolError} when more comes than there is credit for */
  take(output: StreamOutput): void {
    // The last credit may be spent on an output of any length that the stream may have.
    if (this.#creditBytes <= 0 || output.output.length > this.opening.message.maxOutputBytes) {
      throw new ProtocolError(`an output of ${output.output.length} bytes came that its stream had no credit for`);
    }
    this.#creditBytes -= output.output.length + OUTPUT_COST_BYTES;
    this.opening.stream?.onOutput(output);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const ended = Promise.withResolvers<void>();
    const { limits } = this.opening;
    this.run({
      action: "close",
      format: "",
      method: "",
      input: new Uint8Array(),
      limits: { ...limits, ...CLOSE_LIMITS },
      onEnd: (end) => {
        // What cleaning up took is part of no step either.
        if ("usage" in end) this.backgroundCpuMs += end.usage?.cpuMs ?? 0;
        ended.resolve();
      },
    });
    await ended.promise;
    this.#streams.forget(this);
  }
}

/** All streams of a host. */
export class HostStreams {
  readonly #byId = new Map<number, HostStream>();
  #maxOutputBytes = 0;

  get size(): number {
    return this.#byId.size;
  }

  /** The longest output that any of them may give. */
  get maxOutputBytes(): number {
    return this.#maxOutputBytes;
  }

  /** The only one there is on a host for user code. */
  get only(): HostStream | undefined {
    const [only] = this.#byId.values();
    return only;
  }

  get(id: number): HostStream | undefined {
    return this.#byId.get(id);
  }

  add(stream: HostStream): void {
    this.#byId.set(stream.id, stream);
    this.#maxOutputBytes = Math.max(this.#maxOutputBytes, stream.opening.message.maxOutputBytes);
  }

  forget(stream: HostStream): void {
    this.#byId.delete(stream.id);
    if (this.#byId.size === 0) this.#maxOutputBytes = 0;
  }

  /** Tells all of them that they are lost. */
  lose(end: Extract<TaskEnd, { kind: "lost" | "stopped" }>): void {
    const all = [...this.#byId.values()];
    this.#byId.clear();
    this.#maxOutputBytes = 0;
    for (const { opening } of all) opening.stream?.onLost(end);
  }
}
