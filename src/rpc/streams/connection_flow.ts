/**
 * What a client has not taken yet of its streams. HTTP/2 of this runtime does not push back on writes, so that what flow
 * control lets out is counted where it leaves: DATA frames on their way to the connection's socket.
 * @module
 */

import type { Socket } from "node:net";

/** Bytes of a frame's head (RFC 9113, 4.1). */
const FRAME_HEAD_BYTES = 9;
/** Type of DATA frames (RFC 9113, 6.1). */
const DATA = 0;
/** Bytes that gRPC writes before each message: whether it is compressed, and its length. */
export const MESSAGE_HEAD_BYTES = 5;

/** One HTTP/2 stream: what the service wrote to it, and what of that has gone out. */
export class StreamFlow implements Disposable {
  /** Called when more has gone out, from {@linkcode awaitSent} on until it gives false. */
  onSent: (() => boolean) | undefined;
  readonly #connection: ConnectionFlow;
  readonly #id: number;
  #unsent = 0;

  constructor(connection: ConnectionFlow, id: number) {
    this.#connection = connection;
    this.#id = id;
  }

  /** Bytes that wait for the client: held back by its flow control, or by the network. */
  get unreadBytes(): number {
    return Math.max(this.#unsent, this.#connection.socketBytes);
  }

  /** Has `onSent` called. */
  awaitSent(): void {
    this.#connection.awaitSent(this);
  }

  /** A message was written. */
  wrote(messageBytes: number): void {
    this.#unsent += MESSAGE_HEAD_BYTES + messageBytes;
  }

  /** Bytes of DATA have gone out. */
  sent(bytes: number): void {
    this.#unsent -= bytes;
  }

  [Symbol.dispose](): void {
    this.#connection.forget(this.#id, this);
  }
}

/** All streams of one connection. Sees every byte that HTTP/2 writes. */
export class ConnectionFlow {
  readonly #socket: Socket;
  readonly #streams = new Map<number, StreamFlow>();
  /** Those that want to hear of what goes out: few at a time, of many. */
  readonly #awaiting = new Set<StreamFlow>();
  readonly #head = new Uint8Array(FRAME_HEAD_BYTES);
  #headBytes = 0;
  #payloadLeft = 0;
  #notifying = false;

  /** @param socket what HTTP/2 writes to */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("drain", () => this.#notifyLater());
  }

  /** Bytes that HTTP/2 has let out and the network has not taken. */
  get socketBytes(): number {
    return this.#socket.writableLength;
  }

  /** Begins to count a stream. @param id of HTTP/2 */
  open(id: number): StreamFlow {
    const flow = new StreamFlow(this, id);
    this.#streams.set(id, flow);
    return flow;
  }

  forget(id: number, flow: StreamFlow): void {
    this.#streams.delete(id);
    this.#awaiting.delete(flow);
  }

  awaitSent(flow: StreamFlow): void {
    this.#awaiting.add(flow);
  }

  /** Takes what HTTP/2 writes next: frames, cut anywhere. */
  observe(bytes: Uint8Array): void {
    let offset = 0;
    while (offset < bytes.length) {
      if (this.#payloadLeft > 0) {
        const skipped = Math.min(this.#payloadLeft, bytes.length - offset);
        this.#payloadLeft -= skipped;
        offset += skipped;
        continue;
      }
      const taken = Math.min(FRAME_HEAD_BYTES - this.#headBytes, bytes.length - offset);
      this.#head.set(bytes.subarray(offset, offset + taken), this.#headBytes);
      this.#headBytes += taken;
      offset += taken;
      if (this.#headBytes === FRAME_HEAD_BYTES) this.#onHead();
    }
  }

  #onHead(): void {
    this.#headBytes = 0;
    const head = this.#head;
    this.#payloadLeft = head[0]! << 16 | head[1]! << 8 | head[2]!;
    if (head[3] !== DATA || this.#streams.size === 0) return;
    const id = (head[5]! & 0x7f) << 24 | head[6]! << 16 | head[7]! << 8 | head[8]!;
    this.#streams.get(id)?.sent(this.#payloadLeft);
    this.#notifyLater();
  }

  /** Once for all that goes out in a turn, and after the call that wrote it. */
  #notifyLater(): void {
    if (this.#notifying || this.#awaiting.size === 0) return;
    this.#notifying = true;
    queueMicrotask(() => {
      this.#notifying = false;
      for (const flow of [...this.#awaiting]) {
        if (flow.onSent?.() !== true) this.#awaiting.delete(flow);
      }
    });
  }
}
