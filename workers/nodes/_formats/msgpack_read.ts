/**
 * Reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md), of extensions none.
 * @module
 */

import { tryDecodeUtf8 } from "../../codecs/utf8.ts";
import type { Dict, Value } from "../../values.ts";
import { FormatError } from "./format.ts";

const MAX_DEPTH = 500;

/** @throws {FormatError} */
export function readMsgpack(source: Uint8Array): Value {
  const reader = new MsgpackReader(source);
  const value = reader.read(0);
  if (!reader.isAtEnd) throw new FormatError("it is no MessagePack: bytes follow its end");
  return value;
}

class MsgpackReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  read(depth: number): Value {
    if (depth > MAX_DEPTH) throw new FormatError(`it is nested deeper than ${MAX_DEPTH} levels`);
    const view = this.#view;
    const code = view.getUint8(this.#take(1));
    if (code <= 0x7f) return BigInt(code);
    if (code <= 0x8f) return this.#dict(code & 0x0f, depth);
    if (code <= 0x9f) return this.#list(code & 0x0f, depth);
    if (code <= 0xbf) return this.#text(code & 0x1f);
    if (code >= 0xe0) return BigInt(code - 256);
    switch (code) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#raw(this.#length(1 << (code - 0xc4)));
      case 0xca:
        return view.getFloat32(this.#take(4));
      case 0xcb:
        return view.getFloat64(this.#take(8));
      case 0xcc:
        return BigInt(view.getUint8(this.#take(1)));
      case 0xcd:
        return BigInt(view.getUint16(this.#take(2)));
      case 0xce:
        return BigInt(view.getUint32(this.#take(4)));
      case 0xcf:
        return view.getBigUint64(this.#take(8));
      case 0xd0:
        return BigInt(view.getInt8(this.#take(1)));
      case 0xd1:
        return BigInt(view.getInt16(this.#take(2)));
      case 0xd2:
        return BigInt(view.getInt32(this.#take(4)));
      case 0xd3:
        return view.getBigInt64(this.#take(8));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#text(this.#length(1 << (code - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.#list(this.#length(2 << (code - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.#dict(this.#length(2 << (code - 0xde)), depth);
      default:
        throw new FormatError(`it is no MessagePack that can be read: code 0x${code.toString(16)} at ${this.#at - 1}`);
    }
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) throw new FormatError("it is no MessagePack: it ends too early");
    this.#at += count;
    return at;
  }

  #length(size: number): number {
    const at = this.#take(size);
    return size === 1 ? this.#view.getUint8(at) : size === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.slice(at, at + length);
  }

  #text(length: number): string {
    const at = this.#take(length);
    const text = tryDecodeUtf8(this.#bytes, at, at + length);
    if (text === undefined) throw new FormatError("it is no MessagePack: a str is not UTF-8");
    return text;
  }

  #list(length: number, depth: number): Value[] {
    // Nothing is allocated by the length alone: every item takes a byte at least.
    const items: Value[] = [];
    for (let at = 0; at < length; at++) items.push(this.read(depth + 1));
    return items;
  }

  #dict(length: number, depth: number): Dict {
    const dict: Dict = new Map();
    for (let at = 0; at < length; at++) {
      const key = this.read(depth + 1);
      if (typeof key === "object" && key !== null) throw new FormatError("a dict's key is a list, dict or bytes");
      dict.set(key, this.read(depth + 1));
    }
    return dict;
  }
}
