/**
 * A look at a PNG before it is decoded: how large it becomes, and whether its data is what it says.
 * @module
 */

import { TaskError } from "../../task_error.ts";
import { FormatError } from "./format.ts";

const SIGNATURE = Uint8Array.fromHex("89504e470d0a1a0a");
/** What a picture consists of; all else, compressed texts and profiles among it, is left out. */
const CHUNKS = new Set(["IHDR", "PLTE", "tRNS", "IDAT", "IEND"]);
/** Samples of a pixel by colour type. */
const CHANNELS: ReadonlyMap<number, number> = new Map([[0, 1], [2, 3], [3, 1], [4, 2], [6, 4]]);
/** Compressed bytes that are inflated at once: at most 1032 times as many come out. */
const SLICE_BYTES = 16 * 1024;

interface Chunk {
  readonly type: string;
  /** With length, type and checksum. */
  readonly bytes: Uint8Array;
  readonly data: Uint8Array;
}

/**
 * The chunks that make the picture, whose data has been checked to be no more than the picture's size.
 *
 * @throws {FormatError} for what is no PNG
 * @throws {TaskError} `RESOURCE_LIMIT` for a picture that does not fit into memory
 */
export async function checkedPng(source: Uint8Array, memoryLimitBytes: number): Promise<Uint8Array> {
  const chunks = readChunks(source);
  const [header] = chunks;
  if (header?.type !== "IHDR" || header.data.length !== 13) throw new FormatError("it is no PNG: it has no header");
  const view = new DataView(header.data.buffer, header.data.byteOffset, 13);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colorType] = [view.getUint8(8), view.getUint8(9)];
  const channels = CHANNELS.get(colorType);
  if (channels === undefined || width === 0 || height === 0) throw new FormatError("it is no PNG: its header is wrong");
  const rowBytes = Math.ceil(width * channels * depth / 8) + 1;
  // Rows, and for the worst case what a palette or a conversion to RGBA makes of them.
  const bytes = rowBytes * height + width * height * 8;
  if (bytes > memoryLimitBytes) {
    throw new TaskError(
      "RESOURCE_LIMIT",
      `Cannot read PNG: ${width} × ${height} pixels need ${bytes} bytes, the task may use ${memoryLimitBytes}`,
    );
  }
  // The seven passes of interlacing add at most as many filter bytes and padding.
  await requireInflatedSize(chunks.filter(({ type }) => type === "IDAT"), rowBytes * height + 16 * height + 1024);
  return join([SIGNATURE, ...chunks.map((chunk) => chunk.bytes)]);
}

function readChunks(source: Uint8Array): Chunk[] {
  if (!SIGNATURE.every((byte, at) => source[at] === byte)) throw new FormatError("it is no PNG");
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const chunks: Chunk[] = [];
  for (let at = SIGNATURE.length; at + 12 <= source.length;) {
    const length = view.getUint32(at);
    const end = at + 12 + length;
    if (end > source.length) break;
    const type = String.fromCharCode(...source.subarray(at + 4, at + 8));
    if (CHUNKS.has(type)) {
      chunks.push({ type, bytes: source.subarray(at, end), data: source.subarray(at + 8, end - 4) });
    }
    if (type === "IEND") return chunks;
    at = end;
  }
  throw new FormatError("it is no PNG: it ends too early");
}

/** Inflates the data once for its size alone, in slices, so that a small file cannot become a large one in memory. */
async function requireInflatedSize(chunks: readonly Chunk[], maxBytes: number): Promise<void> {
  const slices = (function* () {
    for (const { data } of chunks) {
      for (let at = 0; at < data.length; at += SLICE_BYTES) yield data.slice(at, at + SLICE_BYTES);
    }
  })();
  const compressed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const { value, done } = slices.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
  });
  let size = 0;
  try {
    for await (const piece of compressed.pipeThrough(new DecompressionStream("deflate"))) {
      size += piece.length;
      if (size > maxBytes) break;
    }
  } catch (error) {
    throw new FormatError("it is no PNG: its data cannot be inflated", { cause: error });
  }
  if (size > maxBytes) throw new FormatError("it is no PNG: it has more data than pixels");
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
