/**
 * Streams and callers of the load generator.
 * @module
 */

import { status as callStatus } from "@grpc/grpc-js";
import type { CallEnd, GrpcCall, GrpcConnection } from "./grpc_connection.ts";
import { Histogram } from "./histogram.ts";
import {
  dataMessage,
  encodePayload,
  formatOf,
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
  readonly #call: GrpcCall;
  readonly #opened = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  /** When each message was due, until its answer comes. */
  #dueTimes: number[] = [];
  /** Outputs got. */
  #outputs = 0;
  #messages: readonly Uint8Array[] = [];
  #next = 0;
  #state: "open" | "closing" | "ended" = "open";

  constructor(connection: GrpcConnection, part: Exclude<LoadPart, { kind: "unary" }>, tally: Tally) {
    this.#part = part;
    this.#tally = tally;
    this.#call = connection.call(PATHS[part.method], {
      onMessage: (bytes) => this.#onAnswer(bytes),
      onEnd: (end) => this.#onEnd(end),
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
    if (message === undefined || this.#state !== "open" || this.#call.isBlocked) return this.skip();
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

  #onAnswer(bytes: Uint8Array): void {
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

  #onEnd(end: CallEnd): void {
    if (end.code !== callStatus.OK) this.#fail(textOf(end));
    else if (this.#state === "open") this.#fail("the stream ended before its half-close");
    else this.#end();
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

function messagesOf({ method, payload }: Exclude<LoadPart, { kind: "unary" }>, sessionId: string): Uint8Array[] {
  return encodePayload(payload).map((input) => dataMessage(method, input, formatOf(payload), sessionId));
}

/** A caller of ExecuteNode: sends when a call is due, whether or not the last one was answered. */
export class UnaryCaller implements PacedSource {
  readonly intervalMs: number;
  readonly #connection: GrpcConnection;
  readonly #messages: readonly Uint8Array[];
  readonly #tally: Tally;
  readonly #pending = new Map<GrpcCall, PromiseWithResolvers<void>>();
  #next = 0;

  constructor(connection: GrpcConnection, part: Extract<LoadPart, { kind: "unary" }>, tally: Tally) {
    const { nodeType, config, payload } = part;
    const init = { nodeType, config, format: formatOf(payload) };
    this.intervalMs = part.intervalMs;
    this.#connection = connection;
    this.#messages = encodePayload(payload).map((input) => unaryMessage(init, input));
    this.#tally = tally;
  }

  send(dueAt: number): void {
    const message = this.#messages[this.#next++ % this.#messages.length];
    if (message === undefined) throw new TypeError("Cannot call: there is no message");
    this.#tally.sent++;
    let failure: string | undefined = "no answer";
    const call = this.#connection.call(PATHS.ExecuteNode, {
      onMessage: (bytes) => failure = unaryFailure(bytes),
      onEnd: (end) => this.#settle(call, dueAt, end.code === callStatus.OK ? failure : textOf(end)),
    });
    this.#pending.set(call, Promise.withResolvers());
    call.write(message);
    call.end();
  }

  skip(): void {
    this.#tally.unsent++;
  }

  /** Waits for what is under way. */
  async finish(): Promise<void> {
    const timer = setTimeout(() => {
      for (const call of [...this.#pending.keys()]) {
        call.cancel();
        this.#settle(call, 0, "no answer in time");
      }
    }, PATIENCE_MS);
    await Promise.all([...this.#pending.values()].map(({ promise }) => promise));
    clearTimeout(timer);
  }

  #settle(call: GrpcCall, dueAt: number, failure: string | undefined): void {
    if (failure === undefined) this.#tally.addAnswer(dueAt);
    else this.#tally.addError(failure);
    this.#pending.get(call)?.resolve();
    this.#pending.delete(call);
  }
}

function textOf({ code, message }: CallEnd): string {
  return `${callStatus[code]}: ${message}`;
}
