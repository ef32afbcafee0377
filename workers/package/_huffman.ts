/**
 * Codes of deflate (RFC 1951, 3.2.2): canonical Huffman codes, which their lengths tell.
 * @module
 */

/** Longest code of deflate. */
export const MAX_CODE_BITS = 15;

/** Codes up to this length, nearly all that occur, are looked up at once; a larger table takes longer to fill. */
const FAST_BITS = 9;

/** A code for symbols. */
export class HuffmanCode {
  /** By the next bits: `symbol << 4 | length` where a short code begins with them, else 0. */
  readonly #fast = new Uint16Array(1 << FAST_BITS);
  /** How many codes there are of each length. */
  readonly #counts = new Uint16Array(MAX_CODE_BITS + 1);
  /** Symbols by code. */
  readonly #symbols: Uint16Array;

  private constructor(lengths: Uint8Array) {
    this.#symbols = new Uint16Array(lengths.length);
    for (const length of lengths) this.#counts[length]!++; // a length has at most four bits
    this.#counts[0] = 0;
  }

  /**
   * The code whose symbols have these lengths, 0 for those that do not occur. As in zlib, a code must use all words of
   * its length, unless it has one symbol or none.
   *
   * @returns `undefined` for lengths that no such code has
   */
  static tryFrom(lengths: Uint8Array): HuffmanCode | undefined {
    const code = new HuffmanCode(lengths);
    let free = 1;
    let count = 0;
    for (const ofLength of code.#counts.subarray(1)) {
      free = 2 * free - ofLength;
      count += ofLength;
      if (free < 0) return undefined;
    }
    const isLone = count === 0 || (count === 1 && code.#counts[1] === 1);
    if (free > 0 && !isLone) return undefined;
    code.#fill(lengths);
    return code;
  }

  #fill(lengths: Uint8Array): void {
    const places = new Uint16Array(MAX_CODE_BITS + 2);
    const words = new Uint16Array(MAX_CODE_BITS + 2);
    for (let length = 1; length <= MAX_CODE_BITS; length++) {
      const count = this.#counts[length]!; // one for each length
      places[length + 1] = places[length]! + count;
      words[length + 1] = (words[length]! + count) << 1;
    }
    for (const [symbol, length] of lengths.entries()) {
      if (length === 0) continue;
      this.#symbols[places[length]!++] = symbol;
      const word = words[length]!++;
      if (length > FAST_BITS) continue;
      for (let bits = reversed(word, length); bits < this.#fast.length; bits += 1 << length) {
        this.#fast[bits] = symbol << 4 | length;
      }
    }
  }

  /**
   * Finds the code that bits begin with, the first one lowest.
   * @returns `symbol << 4 | length`, `undefined` when there is none
   */
  find(bits: number): number | undefined {
    const entry = this.#fast[bits & ((1 << FAST_BITS) - 1)]!; // has an entry for each such number
    return entry !== 0 ? entry : this.#findLong(bits);
  }

  /** Codes of a length are consecutive numbers, and follow those of all shorter ones. */
  #findLong(bits: number): number | undefined {
    let word = 0;
    let first = 0;
    let place = 0;
    for (let length = 1; length <= MAX_CODE_BITS; length++) {
      word |= bits >> (length - 1) & 1;
      const count = this.#counts[length]!; // one for each length
      if (word - first < count) return this.#symbols[place + word - first]! << 4 | length;
      place += count;
      first = (first + count) << 1;
      word <<= 1;
    }
    return undefined;
  }
}

function reversed(word: number, length: number): number {
  let bits = 0;
  for (let at = 0; at < length; at++) bits = bits << 1 | word >> at & 1;
  return bits;
}
