/**
 * Snapshots of an interpreter's memory, without what is empty in it.
 * @module
 */

import assert from "node:assert/strict";
import { packSnapshot, unpackSnapshot } from "../../workers/python/memory_snapshot.ts";

const MEGABYTE = 1024 * 1024;
const HEAD_BYTES = 128;

/** A snapshot as Pyodide makes them: a head that says where the memory begins. */
function snapshotOf(memory: Uint8Array): Uint8Array {
  const snapshot = new Uint8Array(HEAD_BYTES + memory.length);
  new DataView(snapshot.buffer).setUint32(4, HEAD_BYTES, true);
  for (let at = 8; at < HEAD_BYTES; at++) snapshot[at] = at;
  snapshot.set(memory, HEAD_BYTES);
  return snapshot;
}

/** What Pyodide does with one; see `API.restoreSnapshot` of its `pyodide.asm.mjs`. */
function restore(snapshot: Uint8Array, heap: Int8Array): { readonly length: number; readonly head: Uint8Array } {
  const numbers = new Uint32Array(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength / 4);
  const head = snapshot.subarray(8, HEAD_BYTES);
  heap.set(snapshot.subarray(numbers[1] ?? 0));
  return { length: snapshot.length, head };
}

Deno.test("A snapshot is the same memory again, and half as long where half of it is empty", () => {
  const memory = new Uint8Array(8 * MEGABYTE);
  const fill = (from: number, to: number) => memory.subarray(from, to).fill(7);
  fill(100, MEGABYTE + 5);
  fill(3 * MEGABYTE, 3 * MEGABYTE + 1); // After a gap of its own.
  fill(3 * MEGABYTE + 500_000, 4 * MEGABYTE); // After one that is too short to be left out.
  const packed = packSnapshot(snapshotOf(memory));
  assert(packed.length < 2.2 * MEGABYTE, `${packed.length} bytes`);

  const heap = new Int8Array(new ArrayBuffer(9 * MEGABYTE));
  const { length, head } = restore(unpackSnapshot(packed, () => heap), heap);
  assert.equal(length, HEAD_BYTES + memory.length);
  assert.deepEqual(head, snapshotOf(memory).subarray(8, HEAD_BYTES));
  assert(memory.every((byte, at) => heap[at] === byte));
  assert(heap.subarray(memory.length).every((byte) => byte === 0));
});

Deno.test("A snapshot replaces what a fresh interpreter has, but for where a long stretch is empty", () => {
  const memory = new Uint8Array(3 * MEGABYTE + 1_000);
  memory[5_000] = 1;
  memory[900_000] = 1;
  memory[3 * MEGABYTE - 1] = 1;
  const heap = new Int8Array(memory.length).fill(9);
  restore(unpackSnapshot(packSnapshot(snapshotOf(memory)), () => heap), heap);
  const pages = Array.from({ length: Math.ceil(memory.length / 4_096) }, (_, page) => page * 4_096);
  const isSame = (start: number) =>
    memory.subarray(start, start + 4_096).every((byte, at) => byte === heap[start + at]);
  const kept = pages.filter((start) => !isSame(start));
  const gap = [Math.ceil(900_001 / 4_096) * 4_096, 3 * MEGABYTE - 4_096] as const;
  assert.deepEqual(kept, pages.filter((start) => start >= gap[0] && start < gap[1]));
});

Deno.test("A snapshot of more memory than there is says so", () => {
  const packed = packSnapshot(snapshotOf(new Uint8Array(2 * MEGABYTE).fill(1)));
  const heap = new Int8Array(MEGABYTE);
  assert.throws(() => restore(unpackSnapshot(packed, () => heap), heap), RangeError);
});
