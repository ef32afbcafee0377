/**
 * Console output on its way to the server: batched, and cut off where the limit is.
 * @module
 */

import type { ConsoleStream } from "./user_console.ts";

/** Text waits for more at most until it is this long, in UTF-16 units. */
const BATCH_LENGTH = 4_096;
/** Pieces that are sent at once, however fast they come: code that computes for long tells where it is before. */
const BURST = 16;
/** How soon one more may be, in milliseconds; for as long text waits, unless the code never lets a timer fire. */
const REFILL_MS = 10;

/** Sends a batch. */
export type SendOutput = (stream: ConsoleStream, text: string) => void;

/** Time as the worker has it. */
export interface OutputClock {
  /** Monotonic, in milliseconds. */
  nowMs(): number;
  /** Calls back once. */
  later(callback: () => void, afterMs: number): void;
}

/** Collects what a task writes. */
export class BoundedOutput {
  readonly #send: SendOutput;
  readonly #clock: OutputClock;
  #left: number;
  #stream: ConsoleStream = "stdout";
  #pending = "";
  /** Pieces that may be sent at once, and since when that many. */
  #burst = BURST;
  #since: number;
  #isDue = false;

  /** @param maxBytes bytes of UTF-8 that are sent; what comes after is dropped, and a last line says so */
  constructor(maxBytes: number, send: SendOutput, clock: OutputClock) {
    this.#left = maxBytes;
    this.#send = send;
    this.#clock = clock;
    this.#since = clock.nowMs();
  }

  /** Takes text of a stream. */
  write(stream: ConsoleStream, text: string): void {
    if (this.#left <= 0) return;
    if (stream !== this.#stream) this.flush();
    // One UTF-16 unit takes at most three bytes; cut before it is encoded, since it may be a hundred megabytes long.
    const kept = text.length * 3 > this.#left ? text.slice(0, Math.floor(this.#left / 3)) : text;
    this.#left -= utf8Length(kept);
    this.#stream = stream;
    this.#pending += kept;
    if (kept.length < text.length) {
      this.#left = 0;
      this.#pending += "\n[output is cut off here: the limit is reached]\n";
    }
    if (this.#pending.length >= BATCH_LENGTH || this.#mayBurst()) return this.flush();
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.later(() => {
      this.#isDue = false;
      this.flush();
    }, REFILL_MS);
  }

  /** Sends what waits. */
  flush(): void {
    if (this.#pending === "") return;
    const text = this.#pending;
    this.#pending = "";
    this.#send(this.#stream, text);
  }

  #mayBurst(): boolean {
    const now = this.#clock.nowMs();
    this.#burst = Math.min(BURST, this.#burst + (now - this.#since) / REFILL_MS);
    this.#since = now;
    if (this.#burst < 1) return false;
    this.#burst--;
    return true;
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
