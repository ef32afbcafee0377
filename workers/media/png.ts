/**
 * PNG files: read to frames of bytes, written from them.
 * @module
 */

import { convertIndexedToRgb, decode, type DecodedPng, encode } from "fast-png";
import { MediaError } from "./media_error.ts";

/** A picture in memory. */
export interface Picture {
  /** Rows from the top, pixels from the left, channels interleaved: shape (height, width, channels). */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** 1 (gray), 3 (RGB) or 4 (RGBA). */
  readonly channels: number;
}

/** Largest picture that is read, in pixels: what its header says decides how much is allocated. */
const MAX_PIXELS = 2 ** 28;

/** Where a PNG's width and height lie: after the signature and the head of the first chunk, IHDR. */
const WIDTH_OFFSET = 16;
const HEIGHT_OFFSET = 20;

/**
 * Reads a PNG file. Palettes become RGB or RGBA, gray with alpha RGBA, 16 bits a channel the upper 8, fewer than 8 bits
 * the full range of 8.
 *
 * @throws {MediaError} for anything that is no PNG, a malformed one, or one of more than 2²⁸ pixels.
 */
export function decodePng(bytes: Uint8Array): Picture {
  checkSize(bytes);
  try {
    return toPicture(decode(bytes, { checkCrc: true }));
  } catch (cause) {
    throw new MediaError(`Malformed PNG file: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/**
 * Writes a PNG file.
 * @throws {MediaError} for a picture that is empty, or whose channels are not 1, 3 or 4.
 */
export function encodePng({ pixels, width, height, channels }: Picture): Uint8Array {
  if (![1, 3, 4].includes(channels)) {
    throw new MediaError(`A PNG file has 1 (gray), 3 (RGB) or 4 (RGBA) channels, not ${channels}`);
  }
  if (width < 1 || height < 1) throw new MediaError(`A PNG file has at least one pixel, not ${width} × ${height}`);
  if (pixels.length !== width * height * channels) {
    throw new RangeError("pixels.length must be width · height · channels");
  }
  return encode({ width, height, channels, depth: 8, data: pixels });
}

function checkSize(bytes: Uint8Array): void {
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  if (signature.some((byte, index) => bytes[index] !== byte)) {
    throw new MediaError("Not a PNG file: it does not start with the PNG signature");
  }
  if (bytes.length < HEIGHT_OFFSET + 4) throw new MediaError("Malformed PNG file: it ends within its header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = view.getUint32(WIDTH_OFFSET);
  const height = view.getUint32(HEIGHT_OFFSET);
  if (width === 0 || height === 0) throw new MediaError(`Malformed PNG file: it is ${width} × ${height} pixels`);
  if (width * height > MAX_PIXELS) {
    throw new MediaError(`PNG file is too large: ${width} × ${height} pixels, at most ${MAX_PIXELS} are read`);
  }
}

function toPicture(png: DecodedPng): Picture {
  const { width, height } = png;
  if (png.palette !== undefined) {
    return { pixels: convertIndexedToRgb(png), width, height, channels: png.palette[0]?.length ?? 3 };
  }
  const pixels = toBytes(png);
  if (png.channels !== 2) return { pixels, width, height, channels: png.channels };
  return { pixels: grayAlphaToRgba(pixels), width, height, channels: 4 };
}

function toBytes({ data, depth, width, height, channels }: DecodedPng): Uint8Array {
  if (data instanceof Uint16Array) return Uint8Array.from(data, (sample) => sample >> 8);
  if (depth === 8) return new Uint8Array(data.buffer, data.byteOffset, data.length);
  // Only gray pictures have fewer bits; each row starts at a byte of its own.
  const samples = width * channels;
  const rowBytes = Math.ceil(samples * depth / 8);
  const highest = 2 ** depth - 1;
  const pixels = new Uint8Array(samples * height);
  for (let row = 0, target = 0; row < height; row++) {
    for (let sample = 0; sample < samples; sample++) {
      const bit = sample * depth;
      const byte = data[row * rowBytes + (bit >> 3)]!;
      pixels[target++] = (byte >> (8 - depth - (bit & 7)) & highest) * 255 / highest;
    }
  }
  return pixels;
}

function grayAlphaToRgba(pixels: Uint8Array): Uint8Array {
  const rgba = new Uint8Array(pixels.length * 2);
  for (let source = 0, target = 0; source < pixels.length; source += 2, target += 4) {
    rgba.fill(pixels[source]!, target, target + 3);
    rgba[target + 3] = pixels[source + 1]!;
  }
  return rgba;
}
