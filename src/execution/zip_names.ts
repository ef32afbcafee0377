/**
 * Looks into a zip of unknown origin for where it should go. Nothing depends on what is found: the sandbox that it goes
 * to reads it again and validates all of it.
 *
 * Every step is bounded, nothing throws, and whatever is damaged or unusual is not found.
 *
 * @module
 */

import { constants, inflateRawSync } from "node:zlib";

const END_SIGNATURE = 0x06054b50;
const END_LENGTH = 22;
const MAX_COMMENT_LENGTH = 0xffff;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_LENGTH = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_LENGTH = 30;
const STORED = 0;
const DEFLATED = 8;
/** Names above this are none that anybody asks for, in bytes. */
const MAX_NAME_LENGTH = 1_024;

/** A file of a zip, as its directory has it. */
export interface ZipMember {
  readonly name: string;
  readonly method: number;
  readonly packedBytes: number;
  readonly headerAt: number;
}

/**
 * The entries of a zip's directory (APPNOTE 4.3.12).
 * @param maxEntries more than these are not looked at
 * @returns `undefined` for what is no zip, or has more entries
 */
export function listZip(bytes: Uint8Array, maxEntries: number): readonly ZipMember[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = findEnd(view);
  if (end === undefined) return undefined;
  const count = view.getUint16(end + 10, true);
  if (count > maxEntries) return undefined;
  const decoder = new TextDecoder();
  const members: ZipMember[] = [];
  let at = view.getUint32(end + 16, true);
  for (let left = count; left > 0; left--) {
    if (at + ENTRY_LENGTH > end || view.getUint32(at, true) !== ENTRY_SIGNATURE) return undefined;
    const nameLength = view.getUint16(at + 28, true);
    const nameAt = at + ENTRY_LENGTH;
    if (nameLength <= MAX_NAME_LENGTH) {
      members.push({
        name: decoder.decode(bytes.subarray(nameAt, nameAt + nameLength)),
        method: view.getUint16(at + 10, true),
        packedBytes: view.getUint32(at + 20, true),
        headerAt: view.getUint32(at + 42, true),
      });
    }
    at = nameAt + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return members;
}

/**
 * The beginning of a file of a zip.
 * @param maxPacked bytes of it that are looked at, as they are packed
 * @param maxBytes bytes that may come out of them
 * @returns `undefined` where it cannot be read, or is longer than that
 */
export function readZipMember(
  bytes: Uint8Array,
  { method, packedBytes, headerAt }: ZipMember,
  { maxPacked, maxBytes }: { readonly maxPacked: number; readonly maxBytes: number },
): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (headerAt + LOCAL_LENGTH > bytes.length || view.getUint32(headerAt, true) !== LOCAL_SIGNATURE) return undefined;
  const dataAt = headerAt + LOCAL_LENGTH + view.getUint16(headerAt + 26, true) + view.getUint16(headerAt + 28, true);
  const packed = bytes.subarray(dataAt, dataAt + Math.min(packedBytes, maxPacked));
  if (method === STORED) return packed.subarray(0, maxBytes);
  if (method !== DEFLATED) return undefined;
  try {
    // A beginning without its end is fine.
    return inflateRawSync(packed, { maxOutputLength: maxBytes, finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    // Damaged, or more than may come out.
    return undefined;
  }
}

function findEnd(view: DataView): number | undefined {
  const last = view.byteLength - END_LENGTH;
  for (let at = last; at >= Math.max(0, last - MAX_COMMENT_LENGTH); at--) {
    if (view.getUint32(at, true) === END_SIGNATURE) return at;
  }
  return undefined;
}
