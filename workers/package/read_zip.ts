/**
 * Reads a zip of unknown origin into memory.
 *
 * Only what every reader understands in the same way is accepted: local headers lie one after the other from the first
 * byte to the central directory, agree with it in every field, and do not share a byte. That rules out overlapping
 * entries (David Fifield, "A better zip bomb", https://www.bamsoftware.com/hacks/zipbomb/), hidden ones, data before
 * the first and after the last. Nothing is written anywhere, and no size is believed: memory is taken within the
 * limits, and unpacking stops at the first byte that was not declared.
 *
 * @module
 */

import { crc32, inflateExactly } from "./_inflate.ts";
import { FLAG_DESCRIPTOR, readDirectory, type ZipEntry } from "./_zip_directory.ts";
import { readExtra, readUint64, Zip64Fields } from "./_zip_extra.ts";
import { hostile, malformed, overLimit, type PackageLimits, show } from "./limits.ts";
import { TaskError } from "../task_error.ts";

const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_LENGTH = 30;
const DESCRIPTOR_SIGNATURE = 0x08074b50;

/** Whether bytes start like a zip: an entry, an empty archive, a spanned one or a directory. */
export function looksLikeZip(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) return false;
  return [0x0403, 0x0605, 0x0807, 0x0201].includes((bytes[3] ?? 0) << 8 | (bytes[2] ?? 0));
}

/**
 * Reads all files of a zip.
 *
 * @returns the content of each file by its path, in the order of the archive; stored files share memory with `bytes`
 * @throws {TaskError} `INVALID_TASK` when it is damaged or uses what is not supported, `SECURITY_VIOLATION` when it is
 * made to deceive, `RESOURCE_LIMIT` when it is too large, naming the limit
 */
export function readZip(bytes: Uint8Array, limits: PackageLimits): Map<string, Uint8Array> {
  if (bytes.length > limits.maxCompressedBytes) {
    throw overLimit("its size", limits.maxCompressedBytes, bytes.length, "bytes");
  }
  try {
    const { entries, start } = readDirectory(bytes, limits);
    const places = locate(bytes, entries, start);
    const files = new Map<string, Uint8Array>();
    for (const entry of entries) {
      const place = places.get(entry);
      if (place === undefined) continue;
      // A folder has no content, which must be true of what is packed in its place too.
      const content = unpack(entry, place);
      if (!entry.isDirectory) files.set(entry.path, content);
    }
    return files;
  } catch (error) {
    // A record that points outside the file; an array that there is no memory for.
    if (error instanceof RangeError) throw damagedOrTooLarge(error);
    throw error;
  }
}

function damagedOrTooLarge(cause: RangeError): TaskError {
  if (/allocation/i.test(cause.message)) {
    return new TaskError("RESOURCE_LIMIT", "Cannot accept code package: no memory to unpack it", { cause });
  }
  return malformed("one of its records lies outside the file", { cause });
}

/** Finds the packed data of each entry, and sees that entries and directory fill the file without gap or overlap. */
function locate(bytes: Uint8Array, entries: readonly ZipEntry[], stop: number): Map<ZipEntry, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const inOrder = entries.toSorted((a, b) => a.offset - b.offset);
  const places = new Map<ZipEntry, Uint8Array>();
  let expected = 0;
  for (const [index, entry] of inOrder.entries()) {
    if (entry.offset < expected) throw hostile(`the entry ${show(entry.path)} overlaps another one`);
    if (entry.offset > expected) {
      throw malformed(`there are bytes before entry ${show(entry.path)} that belong to none`);
    }
    const next = inOrder[index + 1]?.offset ?? stop;
    const dataStart = checkLocalHeader(view, bytes, entry, stop);
    const dataEnd = dataStart + entry.packedSize;
    if (dataEnd > next) throw hostile(`the entry ${show(entry.path)} overlaps what follows it`);
    if ((entry.flags & FLAG_DESCRIPTOR) !== 0) checkDescriptor(view, entry, dataEnd, next);
    else if (dataEnd !== next) throw malformed(`there are bytes after entry ${show(entry.path)} that belong to none`);
    places.set(entry, bytes.subarray(dataStart, dataEnd));
    expected = next;
  }
  if (expected !== stop) throw malformed("it has no entries, but bytes before its directory");
  return places;
}

/** Compares a local header (4.3.7) with the directory. @returns where the entry's data starts */
function checkLocalHeader(view: DataView, bytes: Uint8Array, entry: ZipEntry, stop: number): number {
  const at = entry.offset;
  if (at + LOCAL_LENGTH > stop || view.getUint32(at, true) !== LOCAL_SIGNATURE) {
    throw malformed(`the entry ${show(entry.path)} is not where the directory says`);
  }
  const nameLength = view.getUint16(at + 26, true);
  const extraLength = view.getUint16(at + 28, true);
  const nameEnd = at + LOCAL_LENGTH + nameLength;
  if (nameEnd + extraLength > stop) throw malformed(`the header of entry ${show(entry.path)} is damaged`);
  const differs = (field: string) =>
    hostile(`the ${field} of entry ${show(entry.path)} is one in its header and another in the directory`);
  const name = bytes.subarray(at + LOCAL_LENGTH, nameEnd);
  if (name.length !== entry.nameBytes.length || name.some((byte, index) => byte !== entry.nameBytes[index])) {
    throw differs("name");
  }
  if (view.getUint16(at + 6, true) !== entry.flags) throw differs("kind");
  if (view.getUint16(at + 8, true) !== entry.method) throw differs("packing method");

  const zip64 = new Zip64Fields(view, readExtra(view, nameEnd, extraLength, entry.path), entry.path);
  const size = zip64.resolve(view.getUint32(at + 22, true));
  const packedSize = zip64.resolve(view.getUint32(at + 18, true));
  zip64.finish([size, packedSize]);
  const crc = view.getUint32(at + 14, true);
  // A writer that cannot seek leaves these zero and tells them after the data.
  const isLater = (entry.flags & FLAG_DESCRIPTOR) !== 0 && size === 0 && packedSize === 0 && crc === 0;
  if (!isLater) {
    if (size !== entry.size || packedSize !== entry.packedSize) throw differs("size");
    if (crc !== entry.crc) throw differs("checksum");
  }
  return nameEnd + extraLength;
}

/** Compares a data descriptor (4.3.9), with or without signature, in 32 or 64 bits, with the directory. */
function checkDescriptor(view: DataView, entry: ZipEntry, start: number, stop: number): void {
  const length = stop - start;
  const hasSignature = length === 16 || length === 24;
  if (!hasSignature && length !== 12 && length !== 20) {
    throw malformed(`there are bytes after entry ${show(entry.path)} that belong to none`);
  }
  const at = hasSignature ? start + 4 : start;
  const isWide = length >= 20;
  const packedSize = isWide ? readUint64(view, at + 4) : view.getUint32(at + 4, true);
  const size = isWide ? readUint64(view, at + 12) : view.getUint32(at + 8, true);
  if (hasSignature && view.getUint32(start, true) !== DESCRIPTOR_SIGNATURE) {
    throw malformed(`there are bytes after entry ${show(entry.path)} that belong to none`);
  }
  if (view.getUint32(at, true) !== entry.crc || packedSize !== entry.packedSize || size !== entry.size) {
    throw hostile(`what follows entry ${show(entry.path)} contradicts the directory`);
  }
}

function unpack(entry: ZipEntry, packed: Uint8Array): Uint8Array {
  const content = entry.method === 0 ? packed : inflateExactly(packed, entry.size);
  if (typeof content === "string") {
    if (content === "damaged") throw malformed(`the data of entry ${show(entry.path)} is damaged`);
    throw hostile(`the entry ${show(entry.path)} is ${content} for the ${entry.size} bytes that it declares`);
  }
  if (crc32(content) !== entry.crc) {
    throw malformed(`the checksum of entry ${show(entry.path)} does not match its data`);
  }
  return content;
}
