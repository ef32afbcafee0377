/**
 * The central directory of a zip, which alone says what is in it.
 *
 * Structures and section numbers are those of PKWARE's APPNOTE 6.3.10,
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 *
 * @module
 */

import { parseEntryName, PathRegister } from "./entry_name.ts";
import { IN_ZIP64_32, readExtra, readUint64, Zip64Fields } from "./_zip_extra.ts";
import { hostile, malformed, overLimit, type PackageLimits, RATIO_FREE_BYTES, show } from "./limits.ts";

/** An entry as the central directory has it. */
export interface ZipEntry {
  readonly path: string;
  readonly isDirectory: boolean;
  /** The name as it is in the file, for comparison with the local header. */
  readonly nameBytes: Uint8Array;
  readonly flags: number;
  /** 0 stored, 8 deflated. */
  readonly method: number;
  readonly crc: number;
  readonly packedSize: number;
  readonly size: number;
  /** Where the local header starts. */
  readonly offset: number;
}

/** The directory, and where it starts: entries fill all that lies before. */
export interface ZipDirectory {
  readonly entries: readonly ZipEntry[];
  readonly start: number;
}

const END_SIGNATURE = 0x06054b50;
const END_LENGTH = 22;
const END64_SIGNATURE = 0x06064b50;
const END64_LENGTH = 56;
const LOCATOR64_SIGNATURE = 0x07064b50;
const LOCATOR64_LENGTH = 20;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_LENGTH = 46;
const MAX_COMMENT_LENGTH = 0xffff;
/** Stands in a field whose value is in the zip64 record. */
const IN_ZIP64_16 = 0xffff;

const FLAG_ENCRYPTED = 1 << 0;
/** CRC and sizes follow the data. */
export const FLAG_DESCRIPTOR = 1 << 3;
const FLAG_UTF8 = 1 << 11;
const FLAG_STRONG_ENCRYPTION = 1 << 6;
const FLAG_MASKED_HEADERS = 1 << 13;
/** Bits 1 and 2 tell how hard the compressor tried. */
const KNOWN_FLAGS = FLAG_DESCRIPTOR | FLAG_UTF8 | 0b110;

/** Deflate cannot do better: 258 bytes for two bits. */
const MAX_DEFLATE_RATIO = 1032;

const FILE_TYPE_MASK = 0o170000;
const REGULAR_FILE = 0o100000;
const FOLDER = 0o040000;
const DOS_FOLDER = 0x10;

/**
 * Reads the central directory.
 *
 * Everything that two readers could understand differently is refused: data after the end record, several disks,
 * records that overlap or that leave bytes unclaimed, names that collide.
 *
 * @throws {TaskError} `INVALID_TASK`, `SECURITY_VIOLATION` or `RESOURCE_LIMIT`
 */
export function readDirectory(bytes: Uint8Array, limits: PackageLimits): ZipDirectory {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = readEnd(view);
  if (end.count > limits.maxFiles) throw overLimit("the number of files", limits.maxFiles, end.count, "entries");
  const entries: ZipEntry[] = [];
  const paths = new PathRegister();
  let totalSize = 0;
  let at = end.start;
  while (at < end.stop) {
    if (entries.length >= end.count) throw malformed(`it has more entries than the ${end.count} that it claims`);
    const { entry, next } = readEntry(view, bytes, at, end.stop, limits);
    paths.add(entry.path, entry.isDirectory);
    totalSize += entry.size;
    if (totalSize > limits.maxUnpackedBytes) {
      throw overLimit("its unpacked size", limits.maxUnpackedBytes, totalSize, "bytes");
    }
    entries.push(entry);
    at = next;
  }
  if (entries.length !== end.count) throw malformed(`it claims ${end.count} entries and has ${entries.length}`);
  if (totalSize > RATIO_FREE_BYTES && totalSize > bytes.length * limits.maxRatio) {
    const ratio = Math.ceil(totalSize / bytes.length);
    throw overLimit("the ratio of its unpacked to its packed size", limits.maxRatio, ratio, "to 1");
  }
  return { entries, start: end.start };
}

interface End {
  /** Entries claimed; not to be trusted. */
  readonly count: number;
  readonly start: number;
  readonly stop: number;
}

/** Finds the end record (4.3.16), with its zip64 form (4.3.14) where there is one. */
function readEnd(view: DataView): End {
  const at = findEnd(view);
  const disks = [view.getUint16(at + 4, true), view.getUint16(at + 6, true)];
  const countHere = view.getUint16(at + 8, true);
  const count = view.getUint16(at + 10, true);
  const size = view.getUint32(at + 12, true);
  const start = view.getUint32(at + 16, true);
  const locator = at - LOCATOR64_LENGTH;
  if (locator >= 0 && view.getUint32(locator, true) === LOCATOR64_SIGNATURE) {
    return readEnd64(view, locator, { count, size, start });
  }
  if (disks.some((disk) => disk !== 0) || countHere !== count) throw malformed("it spans several disks");
  if (start + size !== at) throw malformed("its central directory does not end where its end record starts");
  return { count, start, stop: at };
}

function findEnd(view: DataView): number {
  const last = view.byteLength - END_LENGTH;
  for (let at = last; at >= Math.max(0, last - MAX_COMMENT_LENGTH); at--) {
    if (view.getUint32(at, true) !== END_SIGNATURE) continue;
    if (at + END_LENGTH + view.getUint16(at + 20, true) === view.byteLength) return at;
    throw malformed("it has bytes after its end, or its comment is cut off");
  }
  throw malformed("it has no end record, as a zip that was cut off");
}

function readEnd64(view: DataView, locator: number, end: { count: number; size: number; start: number }): End {
  const at = readUint64(view, locator + 8);
  if (view.getUint32(locator + 4, true) !== 0 || view.getUint32(locator + 16, true) !== 1) {
    throw malformed("it spans several disks");
  }
  // Exactly the 56 bytes of version 1: neither an extensible data sector nor anything between record and locator.
  if (at !== locator - END64_LENGTH || view.getUint32(at, true) !== END64_SIGNATURE) {
    throw malformed("its zip64 end record is not where it should be");
  }
  if (readUint64(view, at + 4) !== END64_LENGTH - 12) throw malformed("its zip64 end record has an unusual size");
  if (view.getUint32(at + 16, true) !== 0 || view.getUint32(at + 20, true) !== 0) {
    throw malformed("it spans several disks");
  }
  const count = readUint64(view, at + 32);
  const size = readUint64(view, at + 40);
  const start = readUint64(view, at + 48);
  if (
    readUint64(view, at + 24) !== count ||
    ![count, IN_ZIP64_16].includes(end.count) || ![size, IN_ZIP64_32].includes(end.size) ||
    ![start, IN_ZIP64_32].includes(end.start)
  ) throw hostile("its zip64 end record contradicts its end record");
  if (start + size !== at) throw malformed("its central directory does not end where its end record starts");
  return { count, start, stop: at };
}

/** Reads one header of the directory (4.3.12). */
function readEntry(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  stop: number,
  limits: PackageLimits,
): { entry: ZipEntry; next: number } {
  if (at + ENTRY_LENGTH > stop || view.getUint32(at, true) !== ENTRY_SIGNATURE) {
    throw malformed("its central directory is damaged");
  }
  const nameLength = view.getUint16(at + 28, true);
  const extraLength = view.getUint16(at + 30, true);
  const nameEnd = at + ENTRY_LENGTH + nameLength;
  const next = nameEnd + extraLength + view.getUint16(at + 32, true);
  if (next > stop) throw malformed("its central directory is damaged");

  const flags = view.getUint16(at + 8, true);
  const nameBytes = bytes.subarray(at + ENTRY_LENGTH, nameEnd);
  const { path, isDirectory } = parseEntryName(nameBytes, { isUtf8: (flags & FLAG_UTF8) !== 0, limits });
  const method = view.getUint16(at + 10, true);
  checkKind({ path, isDirectory, flags, method, attributes: view.getUint32(at + 38, true) });

  const extra = readExtra(view, nameEnd, extraLength, path);
  const zip64 = new Zip64Fields(view, extra, path);
  const size = zip64.resolve(view.getUint32(at + 24, true));
  const packedSize = zip64.resolve(view.getUint32(at + 20, true));
  const offset = zip64.resolve(view.getUint32(at + 42, true));
  zip64.finish([]);
  const disk = view.getUint16(at + 34, true);
  if (disk !== 0) throw malformed("it spans several disks");
  if (method === 0 ? size !== packedSize : size > packedSize * MAX_DEFLATE_RATIO) {
    throw hostile(`the sizes of entry ${show(path)} cannot be true: ${packedSize} bytes that become ${size}`);
  }
  if (isDirectory && size !== 0) throw malformed(`the folder ${show(path)} has content`);
  const entry = {
    path,
    isDirectory,
    nameBytes,
    flags,
    method,
    crc: view.getUint32(at + 16, true),
    packedSize,
    size,
    offset,
  };
  return { entry, next };
}

/** Refuses what is neither a regular file nor a folder, and what cannot be unpacked here. */
function checkKind(
  entry: { path: string; isDirectory: boolean; flags: number; method: number; attributes: number },
): void {
  const { path, isDirectory, flags, method, attributes } = entry;
  if ((flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED_HEADERS)) !== 0) {
    throw malformed(`the entry ${show(path)} is encrypted`);
  }
  if ((flags & ~KNOWN_FLAGS) !== 0) throw malformed(`the entry ${show(path)} uses a feature that is not supported`);
  if (method !== 0 && method !== 8) {
    throw malformed(`the entry ${show(path)} is packed by method ${method}; only stored (0) and deflated (8) are read`);
  }
  // The upper half is the Unix mode. Writers on other systems leave it 0, and so do some on Unix.
  const type = (attributes >>> 16) & FILE_TYPE_MASK;
  const isFolder = type === FOLDER || (type === 0 && (attributes & DOS_FOLDER) !== 0);
  if (type !== 0 && type !== REGULAR_FILE && type !== FOLDER) {
    const kind = type === 0o120000 ? "a symbolic link" : "a device, pipe or socket";
    throw hostile(`the entry ${show(path)} is ${kind}`);
  }
  if (isFolder ? !isDirectory : isDirectory && type === REGULAR_FILE) {
    throw hostile(`the name and the attributes of entry ${show(path)} disagree on whether it is a folder`);
  }
}
