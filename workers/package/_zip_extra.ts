/**
 * Extra fields of zip headers (APPNOTE 4.5), and 64-bit numbers in them.
 * @module
 */

import { hostile, malformed, show } from "./limits.ts";

/** Stands in a field whose value is in the zip64 field. */
export const IN_ZIP64_32 = 0xffffffff;

/** Where the zip64 field of an entry lies, if it has one; see {@linkcode readExtra}. */
export interface ExtraFields {
  readonly zip64: { readonly at: number; readonly length: number } | undefined;
}

/**
 * Walks the extra fields (4.5) of a header and refuses those that change what the entry is.
 * @throws {TaskError} `INVALID_TASK`
 */
export function readExtra(view: DataView, start: number, length: number, path: string): ExtraFields {
  const stop = start + length;
  let zip64: ExtraFields["zip64"];
  // Some writers pad with less than a header; it means nothing.
  for (let at = start; at + 4 <= stop;) {
    const id = view.getUint16(at, true);
    const size = view.getUint16(at + 2, true);
    at += 4;
    if (at + size > stop) throw malformed(`the extra fields of entry ${show(path)} are damaged`);
    if (id === 0x0001) {
      if (zip64 !== undefined) throw hostile(`the entry ${show(path)} has two zip64 fields`);
      zip64 = { at, length: size };
    } else if (id === 0x7075) {
      throw malformed(`the entry ${show(path)} has a second name, for readers that know the Unicode path field`);
    } else if (id === 0x9901 || id === 0x0017) throw malformed(`the entry ${show(path)} is encrypted`);
    at += size;
  }
  return { zip64 };
}

/** Replaces fields that are all ones by those of the zip64 extra field (4.5.3), in their fixed order. */
export class Zip64Fields {
  readonly #view: DataView;
  readonly #path: string;
  #at: number;
  readonly #stop: number;
  #isUsed = false;
  readonly #isPresent: boolean;

  constructor(view: DataView, extra: ExtraFields, path: string) {
    this.#view = view;
    this.#path = path;
    this.#isPresent = extra.zip64 !== undefined;
    this.#at = extra.zip64?.at ?? 0;
    this.#stop = this.#at + (extra.zip64?.length ?? 0);
  }

  resolve(value: number): number {
    if (value !== IN_ZIP64_32) return value;
    if (this.#at + 8 > this.#stop) throw malformed(`the zip64 field of entry ${show(this.#path)} is too short`);
    const resolved = readUint64(this.#view, this.#at);
    this.#at += 8;
    this.#isUsed = true;
    return resolved;
  }

  /**
   * Sees that the field held what was asked for and no more, or else the very values of the header: CPython before
   * 3.11.4 writes both where it is told to `force_zip64`.
   *
   * @param values what a header that asks for nothing may find repeated
   * @throws {TaskError} `SECURITY_VIOLATION` when the field says something else
   */
  finish(values: readonly number[]): void {
    if (!this.#isPresent || (this.#isUsed && this.#at === this.#stop)) return;
    const repeats = !this.#isUsed && values.length > 0 && this.#stop - this.#at === 8 * values.length &&
      values.every((value, index) => readUint64(this.#view, this.#at + 8 * index) === value);
    if (!repeats) throw hostile(`the zip64 field of entry ${show(this.#path)} says more than its header asks for`);
  }
}

/** A 64-bit number; one that no file can have is refused. */
export function readUint64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw hostile("a zip64 size or offset is impossibly large");
  return Number(value);
}
