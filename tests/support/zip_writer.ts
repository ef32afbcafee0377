/**
 * Writes zips for tests, with any defect that a header can have (APPNOTE 6.3.10).
 * @module
 */

import { deflateSync } from "fflate";
import { crc32 } from "../../workers/package/_inflate.ts";

/** Fields of a header; each is written as it is given. */
export interface ZipHeader {
  name: string | Uint8Array;
  flags: number;
  method: number;
  crc: number;
  packedSize: number;
  size: number;
  extra: Uint8Array;
}

/** An entry to write. What is left out is what an honest writer would put there. */
export interface ZipSource {
  name: string | Uint8Array;
  data?: string | Uint8Array;
  /** 0 stored, 8 deflated. */
  method?: number;
  flags?: number;
  extra?: Uint8Array;
  /** Unix mode, in the upper half of the external attributes. */
  mode?: number;
  /** Lower half of the external attributes. */
  dosAttributes?: number;
  /** Packed data, instead of what `method` makes of `data`. */
  packed?: Uint8Array;
  /** What only the local header says. */
  local?: Partial<ZipHeader>;
  /** What only the directory says. */
  central?: Partial<ZipHeader> & { offset?: number; disk?: number };
  /** What follows the data. */
  after?: Uint8Array;
}

/** The zip as a whole. */
export interface ZipOptions {
  before?: Uint8Array;
  beforeDirectory?: Uint8Array;
  afterDirectory?: Uint8Array;
  comment?: Uint8Array;
  after?: Uint8Array;
  end?: { count?: number; countHere?: number; size?: number; start?: number; disk?: number; commentLength?: number };
  /** Writes a zip64 end record and locator. */
  zip64?: { count?: number; size?: number; start?: number; at?: number };
}

/** Little-endian numbers: `u(2, 1)` is a 16-bit one. */
export function u(length: 2 | 4 | 8, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes.slice(0, length);
}

/** Bytes one after the other. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** UTF-8 of a text, or the bytes themselves. */
export function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? new TextEncoder().encode(text) : text;
}

/** An extra field. */
export function extra(id: number, data: Uint8Array): Uint8Array {
  return concat(u(2, id), u(2, data.length), data);
}

/** A data descriptor with its signature. */
export function descriptor(crc: number, packedSize: number, size: number, width: 4 | 8 = 4): Uint8Array {
  return concat(u(4, 0x08074b50), u(4, crc), u(width, packedSize), u(width, size));
}

/** Writes a zip. */
export function writeZip(sources: readonly ZipSource[], options: ZipOptions = {}): Uint8Array {
  const parts: Uint8Array[] = [options.before ?? new Uint8Array()];
  const directory: Uint8Array[] = [];
  let at = parts[0]?.length ?? 0;
  for (const source of sources) {
    const { local, central } = writeEntry(source, at);
    parts.push(local);
    directory.push(central);
    at += local.length;
  }
  const gap = options.beforeDirectory ?? new Uint8Array();
  const records = concat(...directory);
  const start = at + gap.length;
  const { end = {}, zip64 } = options;
  const tail: Uint8Array[] = [options.afterDirectory ?? new Uint8Array()];
  if (zip64 !== undefined) {
    const count = u(8, zip64.count ?? sources.length);
    tail.push(
      concat(u(4, 0x06064b50), u(8, 44), u(2, 45), u(2, 45), u(4, 0), u(4, 0), count, count),
      u(8, zip64.size ?? records.length),
      u(8, zip64.start ?? start),
      concat(u(4, 0x07064b50), u(4, 0), u(8, zip64.at ?? start + records.length), u(4, 1)),
    );
  }
  const comment = options.comment ?? new Uint8Array();
  const whole = zip64 === undefined
    ? { count: sources.length, size: records.length, start }
    : { count: 0xffff, size: 0xffffffff, start: 0xffffffff };
  tail.push(
    u(4, 0x06054b50),
    u(2, end.disk ?? 0),
    u(2, 0),
    u(2, end.countHere ?? end.count ?? whole.count),
    u(2, end.count ?? whole.count),
    u(4, end.size ?? whole.size),
    u(4, end.start ?? whole.start),
    u(2, end.commentLength ?? comment.length),
    comment,
  );
  return concat(...parts, gap, records, ...tail, options.after ?? new Uint8Array());
}

function writeEntry(source: ZipSource, offset: number): { local: Uint8Array; central: Uint8Array } {
  const data = bytesOf(source.data ?? "");
  const method = source.method ?? 8;
  const packed = source.packed ?? (method === 8 ? deflateSync(data) : data);
  const isAscii = bytesOf(source.name).every((byte) => byte < 0x80);
  const header: ZipHeader = {
    name: source.name,
    flags: source.flags ?? (isAscii ? 0 : 1 << 11),
    method,
    crc: crc32(data),
    packedSize: packed.length,
    size: data.length,
    extra: source.extra ?? new Uint8Array(),
  };
  const local = { ...header, ...source.local };
  const central = { ...header, ...source.central };
  const attributes = ((source.mode ?? 0o100600) * 0x10000) + (source.dosAttributes ?? 0);
  return {
    local: concat(
      u(4, 0x04034b50),
      u(2, 20),
      shared(local),
      bytesOf(local.name),
      local.extra,
      packed,
      source.after ?? new Uint8Array(),
    ),
    central: concat(
      u(4, 0x02014b50),
      u(2, 3 << 8 | 20),
      u(2, 20),
      shared(central),
      u(2, 0),
      u(2, source.central?.disk ?? 0),
      u(2, 0),
      u(4, attributes),
      u(4, source.central?.offset ?? offset),
      bytesOf(central.name),
      central.extra,
    ),
  };
}

/** Fields that both headers have, flags to extra length. */
function shared(header: ZipHeader): Uint8Array {
  return concat(
    u(2, header.flags),
    u(2, header.method),
    u(4, 0),
    u(4, header.crc),
    u(4, header.packedSize),
    u(4, header.size),
    u(2, bytesOf(header.name).length),
    u(2, header.extra.length),
  );
}
