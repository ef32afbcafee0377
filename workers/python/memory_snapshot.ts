/**
 * An interpreter's memory without what is empty in it: half of it is a stack that nothing has used yet, and room for what
 * is to come. Less is read, copied and held by each sandbox that starts from it.
 *
 * A packed snapshot is, in little endian: lengths of head and memory, number of runs, start and length of each run in the
 * memory, all as u32; the head as Pyodide wrote it; the bytes of the runs.
 *
 * @module
 */

/** Shorter stretches of zeros are kept: they are where memory has been in use, and may hold something else by then. */
const LEAST_GAP_BYTES = 1024 * 1024;
const PAGE_BYTES = 4_096;
/** Of the three numbers at the start. */
const NUMBERS_BYTES = 12;

/** Bytes of memory that are not all zero. */
interface Run {
  readonly start: number;
  readonly length: number;
}

/** Packs a snapshot of Pyodide's: a head, whose second u32 is its own length, and the memory. */
export function packSnapshot(snapshot: Uint8Array): Uint8Array {
  const headBytes = new DataView(snapshot.buffer, snapshot.byteOffset).getUint32(4, true);
  const head = snapshot.subarray(0, headBytes);
  const memory = snapshot.subarray(headBytes);
  const runs = runsOf(memory);
  const contents = runs.reduce((sum, { length }) => sum + length, 0);
  const packed = new Uint8Array(NUMBERS_BYTES + runs.length * 8 + headBytes + contents);
  const numbers = [headBytes, memory.length, runs.length, ...runs.flatMap(({ start, length }) => [start, length])];
  const view = new DataView(packed.buffer);
  for (const [index, number] of numbers.entries()) view.setUint32(index * 4, number, true);
  let at = numbers.length * 4;
  packed.set(head, at);
  at += headBytes;
  for (const { start, length } of runs) {
    packed.set(memory.subarray(start, start + length), at);
    at += length;
  }
  return packed;
}

/**
 * What Pyodide takes for a snapshot: it asks for the length, for what is in the head, and then for the memory, which it
 * copies. At that moment it is put in its place, and nothing is left for it to copy.
 *
 * @param memory of the interpreter, fresh; asked for when it is there
 * @throws {RangeError} when the interpreter has less memory than the snapshot, from within Pyodide
 */
export function unpackSnapshot(packed: Uint8Array, memory: () => Int8Array): Uint8Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const [headBytes, memoryBytes, count] = [0, 4, 8].map((at) => view.getUint32(at, true)) as [number, number, number];
  const headAt = NUMBERS_BYTES + count * 8;
  const head = packed.subarray(headAt, headAt + headBytes);
  const fill = () => {
    const target = new Uint8Array(memory().buffer);
    let at = headAt + headBytes;
    for (let run = 0; run < count; run++) {
      const start = view.getUint32(NUMBERS_BYTES + run * 8, true);
      const length = view.getUint32(NUMBERS_BYTES + run * 8 + 4, true);
      target.set(packed.subarray(at, at + length), start);
      at += length;
    }
  };
  const { subarray } = head;
  return Object.defineProperties(head, {
    length: { value: headBytes + memoryBytes },
    subarray: {
      value(start: number, end?: number): Uint8Array {
        if (end !== undefined) return subarray.call(head, start, end);
        fill();
        return new Uint8Array();
      },
    },
  });
}

/** All but long stretches of zeros, which are whole pages. */
function runsOf(memory: Uint8Array): Run[] {
  const runs: Run[] = [];
  let runStart = 0;
  let gapStart = 0;
  for (let start = 0; start <= memory.length; start += PAGE_BYTES) {
    const isEnd = start + PAGE_BYTES > memory.length;
    const end = Math.min(start + PAGE_BYTES, memory.length);
    const isEmpty = memory.subarray(start, end).every((byte) => byte === 0);
    if (isEmpty && !isEnd) continue;
    const gapEnd = isEmpty ? end : start;
    if (gapEnd - gapStart >= LEAST_GAP_BYTES) {
      if (gapStart > runStart) runs.push({ start: runStart, length: gapStart - runStart });
      runStart = gapEnd;
    }
    gapStart = end;
  }
  if (memory.length > runStart) runs.push({ start: runStart, length: memory.length - runStart });
  return runs;
}
