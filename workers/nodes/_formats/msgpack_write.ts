/**
 * Writes MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md).
 *
 * Written here because the packages for it have JavaScript's types: they make ints of floats like 1.0, and give both
 * back as number.
 *
 * @module
 */

import { ByteWriter } from "../../codecs/byte_writer.ts";
import { encodeUtf8 } from "../../codecs/utf8.ts";
import { FormatError } from "./format.ts";
import type { PlainData } from "./plain_data.ts";

/**
 * @throws {FormatError} for an int beyond 64 bits
 * @throws {TaskError} `RESOURCE_LIMIT` for more than `maxBytes`
 */
export function writeMsgpack(value: PlainData, maxBytes: number): Uint8Array {
  const writer = new MsgpackWriter(maxBytes);
  writer.write(value);
  return writer.finish();
}

/** The prefixes of a kind of value whose length follows in 1, 2 or 4 bytes; 0 where there is no such form. */
interface LengthCodes {
  readonly short: number;
  readonly maxShort: number;
  readonly byte: number;
  readonly two: number;
  readonly four: number;
}

const TEXT: LengthCodes = { short: 0xa0, maxShort: 31, byte: 0xd9, two: 0xda, four: 0xdb };
const BYTES: LengthCodes = { short: 0, maxShort: -1, byte: 0xc4, two: 0xc5, four: 0xc6 };
const LIST: LengthCodes = { short: 0x90, maxShort: 15, byte: 0, two: 0xdc, four: 0xdd };
const DICT: LengthCodes = { short: 0x80, maxShort: 15, byte: 0, two: 0xde, four: 0xdf };

class MsgpackWriter {
  readonly #out: ByteWriter;
  readonly #view = new DataView(new ArrayBuffer(9));

  constructor(maxBytes: number) {
    this.#out = new ByteWriter(maxBytes);
  }

  finish(): Uint8Array {
    return this.#out.finish();
  }

  write(value: PlainData): void {
    switch (typeof value) {
      case "boolean":
        return this.#out.byte(value ? 0xc3 : 0xc2);
      case "bigint":
        return this.#writeInt(value);
      case "number":
        this.#view.setUint8(0, 0xcb);
        this.#view.setFloat64(1, value);
        return this.#emit(9);
      case "string": {
        const bytes = encodeUtf8(value);
        this.#writeLength(bytes.length, TEXT);
        return this.#out.append(bytes);
      }
      default:
    }
    if (value === null) this.#out.byte(0xc0);
    else if (value instanceof Uint8Array) {
      this.#writeLength(value.length, BYTES);
      this.#out.append(value);
    } else if (Array.isArray(value)) {
      this.#writeLength(value.length, LIST);
      for (const item of value) this.write(item);
    } else {
      this.#writeLength(value.size, DICT);
      for (const [key, item] of value) {
        this.write(key);
        this.write(item);
      }
    }
  }

  #writeInt(value: bigint): void {
    if (value >= -32n && value <= 127n) return this.#out.byte(Number(value) & 0xff);
    const view = this.#view;
    if (value >= -(2n ** 31n) && value < 2n ** 32n) {
      const number = Number(value);
      const [code, size] = number >= 0
        ? number < 2 ** 8 ? [0xcc, 1] : number < 2 ** 16 ? [0xcd, 2] : [0xce, 4]
        : number >= -(2 ** 7)
        ? [0xd0, 1]
        : number >= -(2 ** 15)
        ? [0xd1, 2]
        : [0xd2, 4];
      view.setUint8(0, code);
      if (size === 1) view.setUint8(1, number & 0xff);
      else if (size === 2) view.setUint16(1, number & 0xffff);
      else view.setUint32(1, number >>> 0);
      return this.#emit(1 + size);
    }
    if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new FormatError("an int beyond 64 bits has no form in it");
    view.setUint8(0, value >= 0n ? 0xcf : 0xd3);
    view.setBigUint64(1, BigInt.asUintN(64, value));
    this.#emit(9);
  }

  #writeLength(length: number, codes: LengthCodes): void {
    const view = this.#view;
    if (length <= codes.maxShort) return this.#out.byte(codes.short | length);
    if (length < 2 ** 8 && codes.byte !== 0) {
      view.setUint8(0, codes.byte);
      view.setUint8(1, length);
      return this.#emit(2);
    }
    if (length < 2 ** 16) {
      view.setUint8(0, codes.two);
      view.setUint16(1, length);
      return this.#emit(3);
    }
    view.setUint8(0, codes.four);
    view.setUint32(1, length);
    this.#emit(5);
  }

  #emit(count: number): void {
    this.#out.append(new Uint8Array(this.#view.buffer, 0, count));
  }
}
