/**
 * Unpacking within bounds, and the checksum of zips.
 * @module
 */

import { HuffmanCode, MAX_CODE_BITS } from "./_huffman.ts";

/** Why data did not unpack to what was promised. */
export type InflateFault = "damaged" | "too long" | "too short";

/** Extra bits of length codes 257 to 285 (RFC 1951, 3.2.5); the lengths themselves follow from them, but for the last. */
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const LENGTH_BASE = basesOf(3, LENGTH_EXTRA).with(28, 258);
const DISTANCE_EXTRA = Array.from({ length: 30 }, (_, code) => Math.max(0, (code >> 1) - 1));
const DISTANCE_BASE = basesOf(1, DISTANCE_EXTRA);
/** The order in which lengths of the code for code lengths come (RFC 1951, 3.2.7). */
const LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const END_OF_BLOCK = 256;

/**
 * Unpacks raw deflate data (RFC 1951) to exactly `size` bytes, and stops as soon as there are more.
 * Bytes after the end of the deflate stream are ignored; the checksum vouches for what came before.
 *
 * By hand, because a package's sandbox lives for this one package: the tables that a library makes for its speed took
 * longer than a usual package takes here.
 */
export function inflateExactly(packed: Uint8Array, size: number): Uint8Array | InflateFault {
  const inflater = new Inflater(packed, size);
  try {
    inflater.run();
  } catch (error) {
    if (error instanceof Fault) return error.fault;
    throw error;
  }
  return inflater.length === size ? inflater.output : "too short";
}

/** Stops the unpacking. */
class Fault extends Error {
  override readonly name = "Fault";

  constructor(readonly fault: InflateFault) {
    super(`Cannot inflate: ${fault}`);
  }
}

class Inflater {
  readonly output: Uint8Array;
  length = 0;
  readonly #packed: Uint8Array;
  #at = 0;
  /** Bits that have been read and not been used, the next one lowest. */
  #held = 0;
  #heldBits = 0;
  /** How many of them lie behind the end of the data: a code's last bits may be looked at, but not used. */
  #missingBits = 0;

  constructor(packed: Uint8Array, size: number) {
    this.#packed = packed;
    this.output = new Uint8Array(size);
  }

  run(): void {
    let isLast = false;
    while (!isLast) {
      isLast = this.#bits(1) === 1;
      const type = this.#bits(2);
      if (type === 0) this.#copyStored();
      else if (type === 1) this.#unpack(fixedCodes().literals, fixedCodes().distances);
      else if (type === 2) this.#unpackDynamic();
      else throw new Fault("damaged");
    }
  }

  #copyStored(): void {
    this.#drop(this.#heldBits & 7);
    const length = this.#bits(16);
    if ((this.#bits(16) ^ length) !== 0xffff) throw new Fault("damaged");
    // Whole bytes that were read ahead are given back.
    const start = this.#at - (this.#heldBits >> 3);
    this.#held = this.#heldBits = this.#missingBits = 0;
    this.#at = start + length;
    if (this.#at > this.#packed.length) throw new Fault("damaged");
    if (this.length + length > this.output.length) throw new Fault("too long");
    this.output.set(this.#packed.subarray(start, this.#at), this.length);
    this.length += length;
  }

  #unpackDynamic(): void {
    const literals = this.#bits(5) + 257;
    const distances = this.#bits(5) + 1;
    const ordered = this.#bits(4) + 4;
    if (literals > 286 || distances > 30) throw new Fault("damaged");
    const lengthLengths = new Uint8Array(LENGTH_ORDER.length);
    for (const symbol of LENGTH_ORDER.slice(0, ordered)) lengthLengths[symbol] = this.#bits(3);
    const lengths = this.#codeLengths(codeOf(lengthLengths), literals + distances);
    if (lengths[END_OF_BLOCK] === 0) throw new Fault("damaged");
    this.#unpack(codeOf(lengths.subarray(0, literals)), codeOf(lengths.subarray(literals)));
  }

  /** Reads code lengths, in which runs are shortened. */
  #codeLengths(code: HuffmanCode, count: number): Uint8Array {
    const lengths = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const symbol = this.#symbol(code);
      if (symbol < 16) {
        lengths[at++] = symbol;
        continue;
      }
      if (symbol === 16 && at === 0) throw new Fault("damaged");
      const repeated = symbol === 16 ? lengths[at - 1] ?? 0 : 0;
      const run = symbol === 16 ? 3 + this.#bits(2) : symbol === 17 ? 3 + this.#bits(3) : 11 + this.#bits(7);
      if (at + run > count) throw new Fault("damaged");
      lengths.fill(repeated, at, at += run);
    }
    return lengths;
  }

  #unpack(literals: HuffmanCode, distances: HuffmanCode): void {
    const { output } = this;
    while (true) {
      const symbol = this.#symbol(literals);
      if (symbol === END_OF_BLOCK) return;
      if (symbol < END_OF_BLOCK) {
        if (this.length >= output.length) throw new Fault("too long");
        output[this.length++] = symbol;
        continue;
      }
      const length = this.#value(symbol - END_OF_BLOCK - 1, LENGTH_BASE, LENGTH_EXTRA);
      const distance = this.#value(this.#symbol(distances), DISTANCE_BASE, DISTANCE_EXTRA);
      if (distance > this.length) throw new Fault("damaged");
      if (this.length + length > output.length) throw new Fault("too long");
      // Byte by byte: what is copied may be what has just been written.
      for (const end = this.length + length; this.length < end; this.length++) {
        output[this.length] = output[this.length - distance] ?? 0;
      }
    }
  }

  #value(code: number, bases: readonly number[], extras: readonly number[]): number {
    const base = bases[code];
    const extra = extras[code];
    if (base === undefined || extra === undefined) throw new Fault("damaged");
    return base + this.#bits(extra);
  }

  #symbol(code: HuffmanCode): number {
    this.#hold(MAX_CODE_BITS);
    const entry = code.find(this.#held);
    if (entry === undefined) throw new Fault("damaged");
    this.#drop(entry & 15);
    return entry >> 4;
  }

  #bits(count: number): number {
    this.#hold(count);
    const bits = this.#held & ((1 << count) - 1);
    this.#drop(count);
    return bits;
  }

  /** Has at least so many bits read; at most 16 are ever asked for, so that 23 are held at most. */
  #hold(count: number): void {
    for (; this.#heldBits < count; this.#heldBits += 8) {
      const byte = this.#packed[this.#at++];
      if (byte === undefined) this.#missingBits += 8;
      else this.#held |= byte << this.#heldBits;
    }
  }

  #drop(count: number): void {
    this.#held >>>= count;
    this.#heldBits -= count;
    if (this.#heldBits < this.#missingBits) throw new Fault("damaged");
  }
}

function codeOf(lengths: Uint8Array): HuffmanCode {
  const code = HuffmanCode.tryFrom(lengths);
  if (code === undefined) throw new Fault("damaged");
  return code;
}

let fixed: { readonly literals: HuffmanCode; readonly distances: HuffmanCode } | undefined;

/** The codes of blocks that bring none (RFC 1951, 3.2.6). */
function fixedCodes() {
  return fixed ??= {
    literals: codeOf(new Uint8Array(288).fill(8).fill(9, 144, 256).fill(7, 256, 280)),
    distances: codeOf(new Uint8Array(32).fill(5)),
  };
}

/** First values of codes, each of which stands for as many as its extra bits tell apart. */
function basesOf(first: number, extras: readonly number[]): number[] {
  let next = first;
  return extras.map((extra) => {
    const base = next;
    next += 1 << extra;
    return base;
  });
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32 as zips use it (APPNOTE 4.4.7). */
export function crc32(bytes: Uint8Array): number {
  let crc = -1;
  // Indexes are in range: the table has an entry for each byte.
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
