/**
 * A bidirectional call as handlers use it: messages in while there is room, encoded messages out, and what is unread.
 * @module
 */

import type { ServerDuplexStream, ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { ServerHttp2Stream } from "node:http2";
import { setImmediate } from "node:timers";
import { ServiceError } from "../../errors.ts";
import { toGrpcError } from "../status.ts";
import type { ConnectionFlow, StreamFlow } from "./connection_flow.ts";

/** Messages that may be read before they are asked for, while they are taken as they come: Node's own default. */
const READ_AHEAD = 16;

/** Where a call's connection is found. */
export type FlowFinder = (
  ends: ReturnType<ServerInterceptingCallInterface["getConnectionInfo"]>,
) => ConnectionFlow | undefined;

/** What grpc-js keeps of a call and does not offer: its HTTP/2 stream. */
interface WithStream {
  readonly call: ServerInterceptingCallInterface & { readonly stream?: ServerHttp2Stream };
}

/** Who hears of the call. */
export interface MessageHandlers<Request> {
  onMessage(message: Request): void;
  /** The client sends no more. */
  onHalfClose(): void;
  /** The client cancelled, its deadline passed, or it is gone: nobody hears an answer any more. */
  onGone(): void;
  /** More has gone out to the client, which was awaited. @returns whether it still is */
  onSent(): boolean;
}

/** One bidirectional call. It ends by `end` or `fail`, or because the client goes. */
export class MessageStream<Request> {
  readonly #call: ServerDuplexStream<Request, Uint8Array>;
  readonly #http2: ServerHttp2Stream;
  readonly #flow: StreamFlow;
  #isOver = false;

  /**
   * @throws {ServiceError} `INTERNAL` when grpc-js does not tell the call's stream, without which what is unread cannot be
   * bounded
   */
  constructor(call: ServerDuplexStream<Request, Uint8Array>, findFlow: FlowFinder) {
    this.#call = call;
    const { call: inner } = call as unknown as WithStream; // see there
    const { stream } = inner;
    const connection = findFlow(inner.getConnectionInfo());
    if (stream?.id === undefined || connection === undefined) {
      throw new ServiceError("INTERNAL", "Cannot stream: the call's connection is not known");
    }
    this.#http2 = stream;
    this.#flow = connection.open(stream.id);
  }

  /** Starts to hand out messages. */
  start(handlers: MessageHandlers<Request>): void {
    this.#flow.onSent = () => handlers.onSent();
    this.#call.on("data", (message: Request) => {
      if (!this.#isOver) handlers.onMessage(message);
    });
    // A reset ends the client's side, too, and says only a moment later that it is one.
    this.#call.on("end", () =>
      void setImmediate(() => {
        if (!this.#isOver) handlers.onHalfClose();
      }));
    const onGone = () => {
      const wasOver = this.#isOver;
      this.#isOver = true;
      this.#flow[Symbol.dispose]();
      if (!wasOver) handlers.onGone();
    };
    // grpc-js says it at the end of every call, cancelled or not, but late or never where inputs are unread; a reset is
    // told at once.
    this.#call.on("cancelled", onGone);
    this.#http2.once("aborted", onGone);
  }

  /** Bytes that were written and have not gone out to the client. */
  get unreadBytes(): number {
    return this.#flow.unreadBytes;
  }

  /** Has the handlers told when more has gone out. */
  awaitSent(): void {
    this.#flow.awaitSent();
  }

  /** Whether nothing more can be said. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Stops handing out messages; HTTP/2 then holds the client. */
  pause(): void {
    // grpc-js would read 16 messages ahead, of any length.
    this.#readAhead(1);
    this.#call.pause();
  }

  resume(): void {
    this.#readAhead(READ_AHEAD);
    this.#call.resume();
  }

  #readAhead(messages: number): void {
    Reflect.set(Reflect.get(this.#call, "_readableState"), "highWaterMark", messages);
  }

  /** Sends an encoded message. */
  write(message: Uint8Array): void {
    if (this.#isOver) return;
    this.#flow.wrote(message.length);
    this.#call.write(message);
  }

  /** Ends the call well, once all that was written is out. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call.end();
    // What the client still sends is dropped: it would hold up the connection's other calls.
    this.#call.resume();
  }

  /** Ends the call with an error. @returns its gRPC status code */
  fail(error: unknown, method: string): number {
    const failure = toGrpcError(error, method);
    if (!this.#isOver) {
      this.#isOver = true;
      this.#call.emit("error", failure);
      this.#call.resume();
    }
    return failure.code ?? 2;
  }
}
