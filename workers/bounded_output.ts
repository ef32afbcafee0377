/**
 * Console output on its way to the server: batched, and cut off where the limit is.
 * @module
 */

import type { ConsoleStream } from "./user_console.ts";

/** Text waits for more at most until it is this long, in UTF-16 units. */
const BATCH_LENGTH = 4_096;
/** And at most this long, in milliseconds; looked at when something is written. */
const BATCH_AGE_MS = 10;

/** Sends a batch. */
export type SendOutput = (stream: ConsoleStream, text: string) => void;

/** Collects what a task writes. */
export class BoundedOutput {
  readonly #send: SendOutput;
  readonly #nowMs: () => number;
  #left: number;
  #stream: ConsoleStream = "stdout";
  #pending = "";
  #since = 0;

  /** @param maxBytes bytes of UTF-8 that are sent; what comes after is dropped, and a last line says so */
  constructor(maxBytes: number, send: SendOutput, nowMs: () => number) {
    this.#left = maxBytes;
    this.#send = send;
    this.#nowMs = nowMs;
  }

  /** Takes text of a stream. */
  write(stream: ConsoleStream, text: string): void {
    if (this.#left <= 0) return;
    if (stream !== this.#stream) this.flush();
    // One UTF-16 unit takes at most three bytes; cut before it is encoded, since it may be a hundred megabytes long.
    const kept = text.length * 3 > this.#left ? text.slice(0, Math.floor(this.#left / 3)) : text;
    this.#left -= utf8Length(kept);
    if (this.#pending === "") this.#since = this.#nowMs();
    this.#stream = stream;
    this.#pending += kept;
    if (kept.length < text.length) {
      this.#left = 0;
      this.#pending += "\n[output is cut off here: the limit is reached]\n";
    }
    if (this.#pending.length >= BATCH_LENGTH || this.#nowMs() - this.#since > BATCH_AGE_MS) this.flush();
  }

  /** Sends what waits. */
  flush(): void {
    if (this.#pending === "") return;
    const text = this.#pending;
    this.#pending = "";
    this.#send(this.#stream, text);
  }
}

function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) bytes += unit > 0x7ff ? 2 : 1;
  }
  return bytes;
}
