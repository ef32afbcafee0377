/**
 * The arguments of pickle's opcodes, off the bytes.
 * @module
 */

import { malformed } from "./pickle_heap.ts";
import { decodeLatin1 } from "./pickle_text.ts";
import { tryDecodeUtf8 } from "./utf8.ts";

const FLOAT_BYTES = new DataView(new ArrayBuffer(8));

/** Reads on through `bytes`; every method fails with "pickle is cut off" where too few are left. */
export class PickleReader {
  /** Where to read on. */
  at = 0;

  constructor(readonly bytes: Uint8Array) {}

  /** Fails unless `count` bytes are left, before anything of that size is made. */
  requireBytes(count: number): void {
    const left = this.bytes.length - this.at;
    if (count > left) malformed(`pickle is cut off: ${count} bytes announced, ${left} left,`);
  }

  byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined) return malformed("pickle is cut off");
    this.at++;
    return value;
  }

  /** An unsigned int of 2 or 4 bytes. */
  uint(size: 2 | 4): number {
    const at = this.at;
    if (at + size > this.bytes.length) malformed("pickle is cut off");
    this.at = at + size;
    const low = this.bytes[at]! | this.bytes[at + 1]! << 8;
    return size === 2 ? low : (low | this.bytes[at + 2]! << 16 | this.bytes[at + 3]! << 24) >>> 0;
  }

  /** An unsigned int of 8 bytes; beyond 2^53 it is not exact, and too long for any input all the same. */
  uint64(): number {
    const low = this.uint(4);
    return this.uint(4) * 2 ** 32 + low;
  }

  /** A length of 4 bytes with a sign, which must not be negative. */
  signedLength(): number {
    const length = this.uint(4) | 0;
    if (length < 0) malformed(`negative length ${length}`);
    return length;
  }

  /** A big-endian double. */
  float(): number {
    this.requireBytes(8);
    for (let at = 0; at < 8; at++) FLOAT_BYTES.setUint8(at, this.bytes[this.at++]!);
    return FLOAT_BYTES.getFloat64(0);
  }

  /** A view on the next bytes. */
  take(length: number): Uint8Array {
    this.requireBytes(length);
    return this.bytes.subarray(this.at, this.at += length);
  }

  utf8(length: number): string {
    this.requireBytes(length);
    const text = tryDecodeUtf8(this.bytes, this.at, this.at + length);
    if (text === undefined) return malformed("a str is not UTF-8");
    this.at += length;
    return text;
  }

  latin1(length: number): string {
    this.requireBytes(length);
    return decodeLatin1(this.bytes, this.at, this.at += length);
  }

  /** Latin-1 up to a newline, which is read as well. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) return malformed("pickle is cut off");
    const line = decodeLatin1(this.bytes, this.at, end);
    this.at = end + 1;
    return line;
  }
}
