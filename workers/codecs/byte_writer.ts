/**
 * A buffer that grows while a document is written.
 * @module
 */

import { TaskError } from "../task_error.ts";

const SCRATCH_BYTES = 64 * 1024;

/** Documents up to this size are copied out of the scratch buffer; larger ones have a buffer of their own. */
let scratch: Uint8Array | undefined;

/** Collects output up to `maxBytes`. */
export class ByteWriter {
  /** The buffer; what counts are its first `length` bytes. */
  bytes: Uint8Array;
  length = 0;
  /** Bytes that fit without a look at the limit. */
  #capacity: number;
  #ownsScratch = true;

  /** `slackBytes` may be written beyond the limit for a while, by a writer that takes them back before the end. */
  constructor(readonly maxBytes: number, readonly slackBytes = 0) {
    this.bytes = scratch ?? new Uint8Array(SCRATCH_BYTES);
    scratch = undefined; // a writer that starts while this one is at work gets its own
    this.#capacity = Math.min(this.bytes.length, maxBytes + slackBytes);
  }

  /**
   * Makes room for `count` more bytes.
   * @throws {TaskError} `RESOURCE_LIMIT` where the output would exceed its limit.
   */
  reserve(count: number): void {
    if (this.length + count > this.#capacity) this.#grow(this.length + count);
  }

  /** Appends one byte. */
  byte(value: number): void {
    if (this.length >= this.#capacity) this.#grow(this.length + 1);
    this.bytes[this.length++] = value;
  }

  /** Appends bytes. */
  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /**
   * Ends the document and gives its bytes. The writer must not be used afterwards.
   * @throws {TaskError} `RESOURCE_LIMIT` where the output exceeds its limit.
   */
  finish(): Uint8Array {
    if (this.length > this.maxBytes) this.#fail();
    if (!this.#ownsScratch) return this.bytes.subarray(0, this.length);
    const result = this.bytes.slice(0, this.length);
    scratch = this.bytes;
    return result;
  }

  #grow(needed: number): void {
    const maxSize = this.maxBytes + this.slackBytes;
    if (needed > maxSize) this.#fail();
    // Half as much again: a document of one big array is copied once, with little left over.
    const size = Math.min(maxSize, Math.max(needed + 4096, Math.ceil(this.bytes.length * 1.5)));
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, this.length));
    if (this.#ownsScratch) scratch = this.bytes;
    this.#ownsScratch = false;
    this.bytes = bytes;
    this.#capacity = size;
  }

  #fail(): never {
    throw new TaskError("RESOURCE_LIMIT", `Cannot encode output: it exceeds the limit of ${this.maxBytes} bytes`);
  }
}
