/**
 * Colours, mirror images and quarter turns of frames.
 * @module
 */

import type { Frame } from "./_video.ts";

export const COLORS = ["keep", "rgb", "bgr", "gray"] as const;

export type Color = (typeof COLORS)[number];

export const FLIPS = ["horizontal", "vertical", "both"] as const;

export type Flip = (typeof FLIPS)[number];

/** Quarter turns clockwise. */
export type Turns = 0 | 1 | 2 | 3;

/** 0.299 R + 0.587 G + 0.114 B of ITU-R BT.601, in 1/2¹⁵ as OpenCV's cvtColor computes it for bytes. */
const RED_WEIGHT = 9798;
const GREEN_WEIGHT = 19235;
const BLUE_WEIGHT = 3735;
const WEIGHT_BITS = 15;

/**
 * The frame in other colours. A frame of three or four channels is taken for RGB or RGBA, one of one channel for gray:
 *
 * - `rgb` has three channels: alpha is dropped, gray repeated;
 * - `bgr` is the same with the first and the third channel swapped;
 * - `gray` is one channel of luma, rounded, as OpenCV's `COLOR_RGB2GRAY` gives it
 *   (https://docs.opencv.org/4.x/de/d25/imgproc_color_conversions.html);
 * - `keep` is the frame itself.
 */
export function convertColor(frame: Frame, color: Color): Frame {
  const { pixels, channels } = frame;
  if (color === "keep") return frame;
  if (color === "gray") return channels === 1 ? frame : { ...frame, pixels: luma(frame), channels: 1 };
  if (color === "rgb" && channels === 3) return frame;
  const red = color === "rgb" ? 0 : 2;
  const converted = new Uint8Array(pixels.length / channels * 3);
  for (let from = 0, to = 0; to < converted.length; from += channels, to += 3) {
    converted[to + red] = pixels[from]!;
    converted[to + 1] = pixels[channels === 1 ? from : from + 1]!;
    converted[to + 2 - red] = pixels[channels === 1 ? from : from + 2]!;
  }
  return { ...frame, pixels: converted, channels: 3 };
}

/** The frame's mirror image: `horizontal` swaps left and right, `vertical` top and bottom. */
export function flipFrame(frame: Frame, flip: Flip): Frame {
  const { width, height } = frame;
  const columns = flip !== "vertical";
  const rows = flip !== "horizontal";
  return rearranged(frame, { width, height }, (x, y) => {
    return (rows ? height - 1 - y : y) * width + (columns ? width - 1 - x : x);
  });
}

/** The frame turned clockwise by quarter turns; odd ones swap width and height. */
export function rotateFrame(frame: Frame, turns: Turns): Frame {
  const { width, height } = frame;
  switch (turns) {
    case 0:
      return frame;
    case 1:
      return rearranged(frame, { width: height, height: width }, (x, y) => (height - 1 - x) * width + y);
    case 2:
      return flipFrame(frame, "both");
    case 3:
      return rearranged(frame, { width: height, height: width }, (x, y) => x * width + width - 1 - y);
  }
}

/** A frame of the same pixels in other places: `source` gives the index of the pixel that comes to (x, y). */
function rearranged(
  { pixels, channels }: Frame,
  { width, height }: { width: number; height: number },
  source: (x: number, y: number) => number,
): Frame {
  const moved = new Uint8Array(pixels.length);
  let target = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = source(x, y) * channels;
      for (let channel = 0; channel < channels; channel++) moved[target++] = pixels[from + channel]!;
    }
  }
  return { pixels: moved, width, height, channels };
}

function luma({ pixels, channels }: Frame): Uint8Array {
  const gray = new Uint8Array(pixels.length / channels);
  const half = 1 << (WEIGHT_BITS - 1);
  for (let from = 0, to = 0; to < gray.length; from += channels, to++) {
    const sum = RED_WEIGHT * pixels[from]! + GREEN_WEIGHT * pixels[from + 1]! + BLUE_WEIGHT * pixels[from + 2]!;
    gray[to] = (sum + half) >> WEIGHT_BITS;
  }
  return gray;
}
