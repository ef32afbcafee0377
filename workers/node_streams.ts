/**
 * The streams of a worker of built-in nodes: opened, continued and closed by tasks, which run strictly one after the
 * other with all the rest.
 * @module
 */

import { boundedLog } from "./bounded_log.ts";
import type { Cancellation } from "./cancellation.ts";
import { codecFor } from "./codecs/mod.ts";
import type { CodecLimits } from "./codecs/mod.ts";
import { nowMs } from "./harden.ts";
import { findNode } from "./nodes/mod.ts";
import { NodeStream } from "./nodes/node_stream.ts";
import {
  decodeStep,
  decodeTask,
  encodeLog,
  encodeOutput,
  type Frame,
  type FramePieces,
  OUTPUT_COST_BYTES,
} from "./protocol.ts";
import { TaskError } from "./task_error.ts";
import type { Value } from "./values.ts";

/** A stream and what its node may take. */
interface OpenStream {
  readonly node: NodeStream;
  readonly limits: Pick<CodecLimits, "memoryLimitBytes" | "maxOutputBytes">;
  readonly abort: AbortController;
}

/** Streams by the id of the task that opened them. */
export class NodeStreams {
  readonly #streams = new Map<number, OpenStream>();
  readonly #send: (pieces: FramePieces) => void;
  readonly #sendNow: (pieces: FramePieces) => void;
  /** The task that a line of the log belongs to. */
  #taskId = 0;

  /**
   * @param send sends a frame with the next ones
   * @param sendNow sends a frame at once
   */
  constructor(send: (pieces: FramePieces) => void, sendNow: (pieces: FramePieces) => void) {
    this.#send = send;
    this.#sendNow = sendNow;
  }

  /**
   * Builds the node of a stream.
   * @throws {TaskError} as building a node does
   */
  async open(frame: Frame, { isCancelled }: Cancellation): Promise<void> {
    if (isCancelled) throw new TaskError("CANCELLED", "Cannot open stream: it was cancelled before it started");
    const { nodeType, config, memoryLimitBytes, maxOutputBytes } = decodeTask(frame.payload);
    const abort = new AbortController();
    this.#taskId = frame.taskId;
    const node = await NodeStream.open(findNode(nodeType), config, {
      memoryLimitBytes,
      signal: abort.signal,
      warn: boundedLog((message) => this.#sendNow(encodeLog(this.#taskId, { level: "warning", message }))),
    });
    this.#streams.set(frame.taskId, { node, limits: { memoryLimitBytes, maxOutputBytes }, abort });
  }

  /**
   * Goes on with a stream. When the step is given up, so is the stream.
   * @throws {TaskError} as the node and the codecs do; `RESOURCE_LIMIT` when the step's outputs are too long together
   */
  async step(frame: Frame, cancellation: Cancellation): Promise<void> {
    const startedAt = nowMs();
    const { streamId, action, format, input } = decodeStep(frame.payload);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) throw new TaskError("CANCELLED", "Cannot go on with stream: it is closed");
    const { node, limits, abort } = stream;
    this.#taskId = frame.taskId;
    if (action === "close") {
      this.#streams.delete(streamId);
      node.close();
      return;
    }
    if (cancellation.isCancelled) abort.abort();
    cancellation.onCancel = () => abort.abort();
    let leftBytes = limits.maxOutputBytes;
    const codec = codecFor(format);
    const give = (value: Value) => {
      if (leftBytes <= 0) {
        const limit = `${limits.maxOutputBytes} bytes, each output at ${OUTPUT_COST_BYTES} bytes more`;
        throw new TaskError("RESOURCE_LIMIT", `Cannot give output: those of one input exceed the limit of ${limit}`);
      }
      const output = codec.encode(value, { ...limits, maxOutputBytes: leftBytes });
      leftBytes -= output.length + OUTPUT_COST_BYTES;
      this.#send(encodeOutput(streamId, { runMicros: Math.max(0, (nowMs() - startedAt) * 1_000), output }));
    };
    if (action === "process") await node.process(codec.decode(input, limits), give);
    else if (action === "flush") await node.flush(give);
    else throw new TaskError("INVALID_TASK", "Cannot call a method: nodes have none");
  }
}
