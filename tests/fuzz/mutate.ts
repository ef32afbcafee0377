/**
 * Damage to bytes that know nothing of their format.
 * @module
 */

import { concat } from "../support/zip_writer.ts";
import type { Random } from "./random.ts";

/** Numbers that readers of lengths, offsets and signs trip over. */
export const EDGES: readonly number[] = [
  0,
  1,
  2,
  8,
  0x7f,
  0x80,
  0xff,
  0x7fff,
  0x8000,
  0xfffe,
  0xffff,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fffe,
  0xffff_ffff,
];

/** Longest piece that one step copies or repeats, in bytes. */
const MAX_PIECE_BYTES = 64;

/**
 * Damages a copy in one to `maxSteps` places.
 *
 * @param donor another input of the same format, pieces of which may be put in
 */
export function mutate(bytes: Uint8Array, random: Random, options: { maxSteps?: number; donor?: Uint8Array } = {}) {
  const { maxSteps = 4, donor = bytes } = options;
  let result: Uint8Array = bytes.slice();
  for (let steps = random.between(1, maxSteps); steps > 0; steps--) result = damage(result, donor, random);
  return result;
}

function damage(bytes: Uint8Array, donor: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length);
  switch (random.below(9)) {
    case 0:
      bytes[at] = random.below(256);
      return bytes;
    case 1:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 2:
      writeNumber(bytes, at, random);
      return bytes;
    case 3:
      bytes[at] = ((bytes[at] ?? 0) + random.between(-2, 2)) & 0xff;
      return bytes;
    case 4: // a piece goes
      return concat(bytes.subarray(0, at), bytes.subarray(at + random.between(1, 20)));
    case 5: { // a piece comes twice
      const from = random.below(donor.length);
      const piece = donor.subarray(from, from + random.between(1, MAX_PIECE_BYTES));
      return concat(bytes.subarray(0, at), piece, bytes.subarray(at));
    }
    case 6: { // a piece comes again and again
      const piece = bytes.subarray(at, at + random.between(1, 8));
      return concat(
        bytes.subarray(0, at),
        ...Array.from({ length: random.skewed(200) }, () => piece),
        bytes.subarray(at),
      );
    }
    case 7: // the end is missing; seldom, since that is seldom interesting
      return random.chance(0.5) ? bytes.subarray(0, at) : bytes;
    default:
      return concat(bytes.subarray(0, at), random.bytes(random.between(1, 8)), bytes.subarray(at));
  }
}

/** Writes a number of 2, 4 or 8 bytes, in either order. */
function writeNumber(bytes: Uint8Array, at: number, random: Random): void {
  const width = random.pick([2, 4, 8]);
  const value = BigInt(random.pick(EDGES));
  const isLittle = random.chance(0.8);
  for (let index = 0; index < width && at + index < bytes.length; index++) {
    const place = isLittle ? index : width - 1 - index;
    bytes[at + index] = Number((value >> BigInt(8 * place)) & 0xffn);
  }
}
