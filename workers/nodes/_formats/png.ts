/**
 * PNG: written with 8 bits a channel; read into gray, RGB or RGBA of 8 bits.
 * @module
 */

import { convertIndexedToRgb, decode, type DecodedPng, encode } from "fast-png";
import { TaskError } from "../../task_error.ts";
import type { Value } from "../../values.ts";
import { fromFrame, tryFrame } from "../_video.ts";
import { type Format, FormatError, type FormatOptions } from "./format.ts";
import { checkedPng } from "./png_check.ts";

export const png: Format = { binary: true, read: readPng, write: writePng };

function writePng(value: Value, { memoryLimitBytes }: FormatOptions): Uint8Array {
  const frame = tryFrame(value);
  if (frame === undefined) {
    throw new FormatError("it is no uint8 array (height, width, channels) of 1, 3 or 4 channels");
  }
  // The filtered rows, then what they are compressed to.
  if (frame.pixels.length * 2 > memoryLimitBytes) {
    const message = `Cannot write PNG: it needs more than the task's ${memoryLimitBytes} bytes`;
    throw new TaskError("RESOURCE_LIMIT", message);
  }
  const { width, height, channels, pixels } = frame;
  return encode({ width, height, channels, depth: 8, data: pixels });
}

/** A frame (height, width, channels), or (height, width) for gray; transparency that is no channel is left out. */
async function readPng(source: Uint8Array, { memoryLimitBytes }: FormatOptions): Promise<Value> {
  const checked = await checkedPng(source, memoryLimitBytes);
  let image: DecodedPng;
  try {
    image = decode(checked);
  } catch (error) {
    throw new FormatError(`it is no PNG: ${error instanceof Error ? error.message : ""}`, { cause: error });
  }
  const { width, height } = image;
  const frame = image.palette === undefined ? toBytes(image) : fromPalette(image);
  const form = { form: "numpy", flat: frame.channels === 1 } as const;
  return fromFrame({ width, height, ...frame }, form);
}

interface Pixels {
  readonly pixels: Uint8Array;
  readonly channels: number;
}

function fromPalette(image: DecodedPng): Pixels {
  return { pixels: Uint8Array.from(convertIndexedToRgb(image)), channels: image.palette?.[0]?.length ?? 3 };
}

function toBytes({ data, depth, channels, width, height }: DecodedPng): Pixels {
  let pixels: Uint8Array;
  if (depth === 16) pixels = Uint8Array.from(data, (sample) => sample >> 8);
  else if (depth === 8) pixels = new Uint8Array(data.buffer, data.byteOffset, data.length);
  else pixels = unpack(data, { depth, width: width * channels, height });
  if (channels !== 2) return { pixels, channels };
  // Gray with alpha has no form of its own among frames.
  const rgba = new Uint8Array(width * height * 4);
  for (let at = 0; at < width * height; at++) {
    rgba.fill(pixels[at * 2] ?? 0, at * 4, at * 4 + 3);
    rgba[at * 4 + 3] = pixels[at * 2 + 1] ?? 0;
  }
  return { pixels: rgba, channels: 4 };
}

/** Samples of 1, 2 or 4 bits, each row starting with a byte of its own; scaled to 8 bits. */
function unpack(
  data: ArrayLike<number>,
  { depth, width, height }: { depth: number; width: number; height: number },
): Uint8Array {
  const pixels = new Uint8Array(width * height);
  const rowBytes = Math.ceil(width * depth / 8);
  const max = 2 ** depth - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const byte = data[y * rowBytes + (bit >> 3)] ?? 0;
      pixels[y * width + x] = ((byte >> (8 - depth - bit % 8)) & max) * 255 / max;
    }
  }
  return pixels;
}
