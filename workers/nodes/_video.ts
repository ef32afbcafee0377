/**
 * Video frames as nodes exchange them.
 * @module
 */

import * as z from "zod";
import { NDArray, type Value } from "../values.ts";
import { contiguousBytes, readNumbers, toArray, tryArray } from "./arrays.ts";

/** Longest side of a frame that nodes make, in pixels; that of the largest JPEG. */
export const MAX_SIDE = 65_535;

/** A picture in memory. */
export interface Frame {
  /** Rows from the top, pixels from the left, channels interleaved. For reading: it may be the input's memory. */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** 1 (gray), 3 (RGB) or 4 (RGBA). */
  readonly channels: number;
}

/** How a frame came, so that the answer can be alike. */
export interface FrameForm {
  readonly form: NDArray["form"];
  /** A gray frame that came without a dimension for its one channel. */
  readonly flat: boolean;
}

/** What a node says about an item that is not a frame. */
export const NOT_A_FRAME = "not a uint8 array (height, width, channels) of 1, 3 or 4 channels";

/**
 * The frame that a value holds: a uint8 array (height, width, channels) of 1, 3 or 4 channels, or (height, width) for
 * gray. JSON's nested lists may hold any integers from 0 to 255.
 *
 * @returns `undefined` for anything else, an empty frame included.
 */
export function tryFrame(value: Value): (Frame & FrameForm) | undefined {
  const array = tryArray(value);
  if (array === undefined) return undefined;
  const [height = 0, width = 0, channels = 1] = array.shape;
  if (array.shape.length !== 2 && array.shape.length !== 3) return undefined;
  if (height === 0 || width === 0 || ![1, 3, 4].includes(channels)) return undefined;
  const pixels = tryPixels(array);
  if (pixels === undefined) return undefined;
  return { pixels, width, height, channels, form: array.form, flat: array.shape.length === 2 };
}

/** The frame as an array in the form that it was asked in. */
export function fromFrame(frame: Frame, { form, flat }: FrameForm): NDArray {
  const { height, width, channels } = frame;
  return toArray(frame.pixels, flat && channels === 1 ? [height, width] : [height, width, channels], form);
}

function tryPixels(array: NDArray): Uint8Array | undefined {
  if (array.dtype.code === "u1") return contiguousBytes(array);
  if (array.form !== "json-list" || array.dtype.kind !== "i") return undefined;
  const numbers = readNumbers(array);
  return numbers.every((number) => number >= 0 && number <= 255) ? Uint8Array.from(numbers) : undefined;
}

const Side = z.int().min(1).max(MAX_SIDE);

/** A resolution as configurations give it: `(1280, 720)`, `[1280, 720]` or `"1280x720"`. */
export const Resolution = z.union([
  z.tuple([Side, Side]),
  z.string().refine(
    (text) => trySides(text) !== undefined,
    `a resolution looks like 1280x720, sides of 1 to ${MAX_SIDE}`,
  ),
]);

/** Width and height in pixels of a {@linkcode Resolution}. */
export function parseResolution(resolution: z.output<typeof Resolution>): { width: number; height: number } {
  const sides = typeof resolution === "string" ? trySides(resolution) : resolution;
  if (sides === undefined) throw new TypeError(`Cannot read "${resolution}" as a resolution`);
  return { width: sides[0], height: sides[1] };
}

function trySides(text: string): [number, number] | undefined {
  const match = /^\s*(\d{1,5})\s*[x×,]\s*(\d{1,5})\s*$/i.exec(text);
  const sides = z.tuple([Side, Side]).safeParse(match?.slice(1).map(Number));
  return sides.success ? sides.data : undefined;
}
