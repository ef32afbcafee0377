/**
 * Unpacking within bounds, and the checksum of zips.
 * @module
 */

import { Inflate } from "fflate";

/** Input given to the decompressor at once: it can make a thousand times as many bytes of it before anyone counts. */
const CHUNK_BYTES = 4096;

/** Why data did not unpack to what was promised. */
export type InflateFault = "damaged" | "too long" | "too short";

/**
 * Unpacks raw deflate data to exactly `size` bytes, and stops as soon as there are more.
 * Bytes after the end of the deflate stream are ignored; the checksum vouches for what came before.
 */
export function inflateExactly(packed: Uint8Array, size: number): Uint8Array | InflateFault {
  const output = new Uint8Array(size);
  let length = 0;
  let isTooLong = false;
  const inflate = new Inflate((chunk) => {
    if (length + chunk.length > size) {
      isTooLong = true;
      throw new RangeError("Cannot inflate: more data than declared");
    }
    output.set(chunk, length);
    length += chunk.length;
  });
  try {
    for (let at = 0; at < packed.length; at += CHUNK_BYTES) {
      inflate.push(packed.subarray(at, at + CHUNK_BYTES), at + CHUNK_BYTES >= packed.length);
    }
  } catch {
    return isTooLong ? "too long" : "damaged";
  }
  return length === size ? output : "too short";
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
