/**
 * Resizing of frames.
 * @module
 */

import { requireMemory } from "./_memory.ts";
import type { NodeContext } from "./node.ts";
import { type Filter, loadSquooshResize, resizeRgba } from "./_squoosh_resize.ts";
import type { Frame } from "./_video.ts";

/** Methods by the names that people know, with the filter of the resize crate that does it. */
const FILTER_OF = {
  lanczos: "lanczos3",
  bicubic: "catrom",
  bilinear: "triangle",
  mitchell: "mitchell",
} as const satisfies Record<string, Filter>;

export const METHODS = ["lanczos", "bicubic", "bilinear", "mitchell", "nearest"] as const;

export type Method = (typeof METHODS)[number];

/** Bytes for each pixel of the input or output: RGBA on both sides of the wasm, and the frame itself. */
const BYTES_PER_PIXEL = 12;

/** Bytes for each pixel of the wasm's picture between its two passes, which has floats of four channels. */
const BYTES_PER_INTERMEDIATE_PIXEL = 16;

/** What a frame is to become. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Gets what a method resizes with.
 * @throws {TaskError} `TASK_FAILED` when it is missing, `RESOURCE_LIMIT` when there is no memory for it
 */
export async function loadResizer(method: Method): Promise<void> {
  if (method !== "nearest") await loadSquooshResize();
}

/**
 * The frame in another size, its channels resized each for itself. A frame of that size already is given as it is.
 * {@linkcode loadResizer} has to have resolved.
 *
 * @throws {TaskError} `RESOURCE_LIMIT` when the task may not use the memory that it takes.
 */
export function resizeFrame(frame: Frame, size: Size, options: { method: Method; context: NodeContext }): Frame {
  const { width, height } = size;
  if (frame.width === width && frame.height === height) return frame;
  const pixels = frame.width * frame.height + width * height;
  const between = frame.width * height;
  requireMemory(options.context, {
    bytes: pixels * BYTES_PER_PIXEL + between * BYTES_PER_INTERMEDIATE_PIXEL,
    action: `resize a frame from ${frame.width} × ${frame.height} to ${width} × ${height}`,
  });
  if (options.method === "nearest") return nearest(frame, size);
  const filter = FILTER_OF[options.method];
  const resized = resizeRgba({
    pixels: toRgba(frame),
    width: frame.width,
    height: frame.height,
    toWidth: width,
    toHeight: height,
  }, filter);
  return { pixels: fromRgba(resized, frame.channels), width, height, channels: frame.channels };
}

/** Each pixel from the one that its centre falls on. */
function nearest(frame: Frame, { width, height }: Size): Frame {
  const { channels } = frame;
  const columns = Array.from({ length: width }, (_, x) => Math.floor((x + 0.5) * frame.width / width) * channels);
  const pixels = new Uint8Array(width * height * channels);
  let target = 0;
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y + 0.5) * frame.height / height) * frame.width * channels;
    for (const column of columns) {
      for (let channel = 0; channel < channels; channel++) {
        pixels[target++] = frame.pixels[row + column + channel]!;
      }
    }
  }
  return { pixels, width, height, channels };
}

function toRgba({ pixels, width, height, channels }: Frame): Uint8Array {
  if (channels === 4) return pixels;
  const rgba = new Uint8Array(width * height * 4).fill(255);
  for (let from = 0, to = 0; from < pixels.length; from += channels, to += 4) {
    for (let channel = 0; channel < channels; channel++) rgba[to + channel] = pixels[from + channel]!;
  }
  return rgba;
}

function fromRgba(rgba: Uint8Array, channels: number): Uint8Array {
  if (channels === 4) return rgba;
  const pixels = new Uint8Array(rgba.length / 4 * channels);
  for (let from = 0, to = 0; to < pixels.length; from += 4, to += channels) {
    for (let channel = 0; channel < channels; channel++) pixels[to + channel] = rgba[from + channel]!;
  }
  return pixels;
}
