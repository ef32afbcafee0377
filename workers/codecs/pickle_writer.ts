/**
 * Output of pickle protocol 4: opcodes in frames.
 *
 * Frames (PEP 3154) let a reader fetch 64 KB at once; bytes and text of that size stand between frames, so that the
 * reader need not copy them.
 * @module
 */

import { ByteWriter } from "./byte_writer.ts";
import { encodeUtf8 } from "./utf8.ts";

const FRAME = 0x95;
const FRAME_HEADER_BYTES = 9;
/** Shorter frames are not worth their header: `FRAME_SIZE_MIN` of CPython. */
const MIN_FRAME_BYTES = 4;
const TARGET_FRAME_BYTES = 64 * 1024;

const BINBYTES = 0x42;
const SHORT_BINBYTES = 0x43;
const BINFLOAT = 0x47;
const BINUNICODE = 0x58;
const SHORT_BINUNICODE = 0x8c;
const BINUNICODE8 = 0x8d;
const BINBYTES8 = 0x8e;

/** Texts up to this length are tried as ASCII in a loop, which beats the fixed price of TextEncoder. */
const SHORT_TEXT = 64;
const FLOAT = new Float64Array(1);
const FLOAT_BYTES = new Uint8Array(FLOAT.buffer);

/** Writes opcodes and their arguments. */
export class FramedWriter {
  readonly #out: ByteWriter;
  /** Where the header of the open frame is; -1 where none is open. */
  #frameAt = -1;

  constructor(maxBytes: number) {
    this.#out = new ByteWriter(maxBytes, FRAME_HEADER_BYTES); // the last frame may need no header
  }

  /** Writes the first two bytes, which belong to no frame. */
  header(opcode: number, protocol: number): void {
    this.#out.byte(opcode);
    this.#out.byte(protocol);
  }

  /** Says that an object begins here: a full frame ends. */
  boundary(): void {
    if (this.#frameAt >= 0 && this.#out.length - this.#frameAt >= TARGET_FRAME_BYTES) this.#closeFrame();
    if (this.#frameAt < 0) this.#openFrame();
  }

  byte(value: number): void {
    if (this.#frameAt < 0) this.#openFrame();
    this.#out.byte(value);
  }

  append(bytes: Uint8Array): void {
    if (this.#frameAt < 0) this.#openFrame();
    this.#out.append(bytes);
  }

  /** An opcode with an int of 1, 2, 4 or 8 bytes. */
  opcode(opcode: number, value: number, size: number): void {
    if (this.#frameAt < 0) this.#openFrame();
    this.#head(opcode, value, size);
  }

  float(value: number): void {
    const out = this.#out;
    if (this.#frameAt < 0) this.#openFrame();
    out.reserve(9);
    FLOAT[0] = value;
    let at = out.length;
    out.bytes[at++] = BINFLOAT;
    // Big endian out of the machine's order, which is little endian wherever V8 runs.
    for (let from = 7; from >= 0; from--) out.bytes[at++] = FLOAT_BYTES[from]!;
    out.length = at;
  }

  /** A Python bytes. */
  bytesValue(bytes: Uint8Array): void {
    this.#payload(bytes, SHORT_BINBYTES, BINBYTES, BINBYTES8);
  }

  /** A Python str. */
  text(text: string): void {
    if (text.length > SHORT_TEXT || !this.#tryAscii(text)) {
      this.#payload(encodeUtf8(text), SHORT_BINUNICODE, BINUNICODE, BINUNICODE8);
    }
  }

  /** Ends the pickle and gives its bytes. */
  finish(): Uint8Array {
    if (this.#frameAt >= 0) this.#closeFrame();
    return this.#out.finish();
  }

  #tryAscii(text: string): boolean {
    const out = this.#out;
    if (this.#frameAt < 0) this.#openFrame();
    out.reserve(2 + text.length);
    const { bytes } = out;
    let at = out.length;
    bytes[at++] = SHORT_BINUNICODE;
    bytes[at++] = text.length;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return false; // what was written lies beyond the length, where the payload overwrites it
      bytes[at++] = unit;
    }
    out.length = at;
    return true;
  }

  #payload(bytes: Uint8Array, short: number, medium: number, long: number): void {
    const { length } = bytes;
    const large = length >= TARGET_FRAME_BYTES;
    if (large && this.#frameAt >= 0) this.#closeFrame();
    if (!large && this.#frameAt < 0) this.#openFrame();
    this.#out.reserve((length <= 0xff ? 2 : length <= 0xffffffff ? 5 : 9) + length); // at once, to grow once
    if (length <= 0xff) this.#head(short, length, 1);
    else if (length <= 0xffffffff) this.#head(medium, length, 4);
    else this.#head(long, length, 8);
    this.#out.append(bytes);
  }

  #head(opcode: number, value: number, size: number): void {
    const out = this.#out;
    out.reserve(1 + size);
    out.bytes[out.length++] = opcode;
    putInt(out.bytes, out.length, value, size);
    out.length += size;
  }

  #openFrame(): void {
    this.#frameAt = this.#out.length;
    this.#out.reserve(FRAME_HEADER_BYTES);
    this.#out.length += FRAME_HEADER_BYTES;
  }

  #closeFrame(): void {
    const out = this.#out;
    const bodyAt = this.#frameAt + FRAME_HEADER_BYTES;
    const length = out.length - bodyAt;
    if (length >= MIN_FRAME_BYTES) {
      out.bytes[this.#frameAt] = FRAME;
      putInt(out.bytes, this.#frameAt + 1, length, 8);
    } else {
      out.bytes.copyWithin(this.#frameAt, bodyAt, out.length);
      out.length -= FRAME_HEADER_BYTES;
    }
    this.#frameAt = -1;
  }
}

/** Little endian; negative ints of 4 bytes in two's complement. */
function putInt(bytes: Uint8Array, at: number, value: number, size: number): void {
  bytes[at] = value;
  if (size === 1) return;
  bytes[at + 1] = value >> 8;
  if (size === 2) return;
  bytes[at + 2] = value >> 16;
  bytes[at + 3] = value >> 24;
  if (size === 8) putInt(bytes, at + 4, Math.floor(value / 2 ** 32), 4);
}
