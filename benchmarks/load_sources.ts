/**
 * Streams and callers of the load generator.
 * @module
 */

import { type Client, type ClientDuplexStream, status as callStatus } from "@grpc/grpc-js";
import type { Buffer } from "node:buffer";
import { Histogram } from "./histogram.ts";
import {
  dataMessage,
  encodePayload,
  formatOf,
  identity,
  initMessage,
  PATHS,
  readAnswer,
  unaryFailure,
  unaryMessage,
} from "./load_messages.ts";
import type { LoadPart, PartReport } from "./load_plan.ts";
import type { PacedSource } from "./pacer.ts";

/** How long answers may take to come once everything is sent, in milliseconds. */
const PATIENCE_MS = 10_000;
/** Of an error's text, what names its kind. */
const ERROR_LENGTH = 120;

/** What came of all sources of a part. */
export class Tally {
  readonly #latency = new Histogram();
  readonly #errors = new Map<string, number>();
  sent = 0;
  answered = 0;
  unsent = 0;
  /** Latencies of what was due before are not counted. */
  measuredFrom = Infinity;

  addAnswer(dueAt: number): void {
    this.answered++;
    if (dueAt >= this.measuredFrom) this.#latency.add(performance.now() - dueAt);
  }

  addError(text: string): void {
    const kind = text.slice(0, ERROR_LENGTH);
    this.#errors.set(kind, (this.#errors.get(kind) ?? 0) + 1);
  }

  /** @param inputsPerOutput of the node: the rest of an output is no lost answer */
  toReport(inputsPerOutput: number): PartReport {
    return {
      latency: this.#latency.toRecord(),
      sent: this.sent,
      answered: this.answered,
      unsent: this.unsent,
      unanswered: Math.max(0, Math.floor(this.sent / inputsPerOutput) - this.answered),
      errors: Object.fromEntries(this.#errors),
    };
  }
}

/** A stream, in real time or as fast as it goes. */
export class LoadStream implements PacedSource {
  readonly #part: Exclude<LoadPart, { kind: "unary" }>;
  readonly #tally: Tally;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #opened = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  /** When each message was due, until its answer comes. */
  #dueTimes: number[] = [];
  /** Outputs got. */
  #outputs = 0;
  #messages: readonly Buffer[] = [];
  #next = 0;
  #state: "open" | "closing" | "ended" = "open";

  constructor(client: Client, part: Exclude<LoadPart, { kind: "unary" }>, tally: Tally) {
    this.#part = part;
    this.#tally = tally;
    this.#call = client.makeBidiStreamRequest(PATHS[part.method], identity, identity);
    this.#call.on("data", (bytes: Buffer) => this.#onAnswer(bytes));
    this.#call.on("error", (error: Error & { code?: number; details?: string }) => {
      this.#fail(`${callStatus[error.code ?? callStatus.UNKNOWN]}: ${error.details ?? error.message}`);
    });
    this.#call.on("end", () => {
      if (this.#state === "open") this.#fail("the stream ended before its half-close");
      else this.#end();
    });
  }

  get intervalMs(): number {
    return this.#part.kind === "paced" ? this.#part.intervalMs : 0;
  }

  /** Resolves when it is open, or has failed to. */
  async open(): Promise<void> {
    const { method, payload, nodeType, config } = this.#part;
    const format = formatOf(payload);
    const init = initMessage(method, { nodeType, config, format });
    if (init !== undefined) this.#call.write(init);
    if (method === "StreamExecute") return await this.#opened.promise;
    this.#messages = messagesOf(this.#part, "");
  }

  send(dueAt: number): void {
    const message = this.#messages[this.#next++ % this.#messages.length];
    if (message === undefined || this.#state !== "open" || this.#call.writableNeedDrain) return this.skip();
    this.#dueTimes.push(dueAt);
    this.#tally.sent++;
    this.#call.write(message);
  }

  skip(): void {
    this.#tally.unsent++;
  }

  /** Keeps the window full; for streams that go as fast as they can. */
  sendWindow(): void {
    if (this.#part.kind !== "fast") throw new TypeError("Cannot send a window: the stream has its own pace");
    for (let count = 0; count < this.#part.window; count++) this.send(performance.now());
  }

  /** Half-closes and waits for the end. */
  async finish(): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#call.end();
    }
    const timer = setTimeout(() => this.#fail("no end after the half-close"), PATIENCE_MS);
    await this.#ended.promise;
    clearTimeout(timer);
    this.#call.cancel();
  }

  #onAnswer(bytes: Buffer): void {
    const answer = readAnswer(this.#part.method, bytes);
    switch (answer.kind) {
      case "output":
        return this.#onOutput();
      case "opened":
        this.#messages = messagesOf(this.#part, answer.sessionId);
        return this.#opened.resolve();
      case "closed":
        return;
      case "failed":
        return this.#fail(`stream: ${answer.message}`);
    }
  }

  #onOutput(): void {
    const inputsPerOutput = this.#part.kind === "paced" ? this.#part.inputsPerOutput : 1;
    const dueAt = this.#dueTimes[++this.#outputs * inputsPerOutput - 1];
    // What a node still had at the flush belongs to no input.
    if (dueAt === undefined) return;
    this.#tally.addAnswer(dueAt);
    if (this.#part.kind === "fast" && this.#state === "open") this.send(performance.now());
  }

  #fail(text: string): void {
    if (this.#state === "ended") return;
    this.#tally.addError(text);
    this.#end();
  }

  #end(): void {
    this.#state = "ended";
    this.#opened.resolve();
    this.#ended.resolve();
  }
}

function messagesOf({ method, payload }: Exclude<LoadPart, { kind: "unary" }>, sessionId: string): Buffer[] {
  return encodePayload(payload).map((input) => dataMessage(method, input, formatOf(payload), sessionId));
}

/** A caller of ExecuteNode: sends when a call is due, whether or not the last one was answered. */
export class UnaryCaller implements PacedSource {
  readonly intervalMs: number;
  readonly #client: Client;
  readonly #messages: readonly Buffer[];
  readonly #tally: Tally;
  readonly #pending = new Set<Promise<void>>();
  #next = 0;

  constructor(client: Client, part: Extract<LoadPart, { kind: "unary" }>, tally: Tally) {
    const { nodeType, config, payload } = part;
    const init = { nodeType, config, format: formatOf(payload) };
    this.intervalMs = part.intervalMs;
    this.#client = client;
    this.#messages = encodePayload(payload).map((input) => unaryMessage(init, input));
    this.#tally = tally;
  }

  send(dueAt: number): void {
    const message = this.#messages[this.#next++ % this.#messages.length];
    if (message === undefined) throw new TypeError("Cannot call: there is no message");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tally.sent++;
    const options = { deadline: Date.now() + PATIENCE_MS };
    this.#client.makeUnaryRequest(PATHS.ExecuteNode, identity, identity, message, options, (error, response) => {
      const failure = error === null
        ? unaryFailure(response ?? message)
        : `${callStatus[error.code]}: ${error.details}`;
      if (failure === undefined) this.#tally.addAnswer(dueAt);
      else this.#tally.addError(failure);
      resolve();
    });
    this.#pending.add(promise);
    void promise.then(() => this.#pending.delete(promise));
  }

  skip(): void {
    this.#tally.unsent++;
  }

  /** Waits for what is under way. */
  async finish(): Promise<void> {
    await Promise.all(this.#pending);
  }
}
