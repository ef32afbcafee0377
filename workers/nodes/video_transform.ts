/**
 * VideoTransform.
 * @module
 */

import * as z from "zod";
import { Tuple, type Value } from "../values.ts";
import {
  type Color,
  COLORS,
  convertColor,
  type Flip,
  flipFrame,
  FLIPS,
  rotateFrame,
  type Turns,
} from "./_frame_pixels.ts";
import { FrameRateLimit, type FrameTime } from "./_frame_rate.ts";
import { loadResizer, resizeFrame, type Size } from "./_frame_resize.ts";
import { type Frame, type FrameForm, fromFrame, NOT_A_FRAME, parseResolution, Resolution, tryFrame } from "./_video.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const PARAMETERS = z.object({
  resolution: Resolution.nullable().default([1920, 1080]).describe(
    'Size to resize to in pixels, (width, height) or "1280x720"; the aspect ratio is not kept; None keeps the size',
  ),
  color: z.enum(COLORS).nullable().default("keep").describe(
    "Colours of the output: rgb, bgr, gray (BT.601 luma) or keep; input of three or four channels is taken for RGB(A)",
  ),
  flip: z.enum(FLIPS).nullable().default(null).describe(
    "Mirror image: horizontal (left to right), vertical (top to bottom) or both",
  ),
  rotate: z.int().multipleOf(90).nullable().default(null).describe(
    "Degrees to turn clockwise, in quarter turns; negative ones turn the other way. It comes last, so a quarter turn " +
      "swaps the resolution's width and height",
  ),
  fps: z.number().positive().max(1000).nullable().default(null).describe(
    "Frames per second to thin a stream out to, for frames that come with their time: as (frame, fps), or as a dict of " +
      "frame and fps or timestamp (seconds). None are repeated, and frames without a time all stay",
  ),
});

/** The method that every frame is resized with. */
const METHOD = "lanczos";

/** An item that holds a frame: where it lies, and how to put another in its place. */
interface Timed {
  readonly frame: Frame & FrameForm;
  readonly time: FrameTime | undefined;
  replace(frame: Value, fps: number | undefined): Value;
}

/**
 * Resizes (lanczos) a frame, converts its colours, flips it and turns it, in this order. Frames that `fps` drops give no
 * output. Anything but a frame passes through, with a warning.
 */
class VideoTransform implements Node {
  readonly #size: Size | undefined;
  readonly #color: Color;
  readonly #flip: Flip | null;
  readonly #turns: Turns;
  readonly #rateLimit: FrameRateLimit | undefined;
  readonly #context: NodeContext;
  #warnedOfTime = false;

  constructor(parameters: z.output<typeof PARAMETERS>, context: NodeContext) {
    const { resolution, color, flip, rotate, fps } = parameters;
    this.#size = resolution === null ? undefined : parseResolution(resolution);
    this.#color = color ?? "keep";
    this.#flip = flip;
    this.#turns = quarterTurns(rotate ?? 0);
    this.#rateLimit = fps === null ? undefined : new FrameRateLimit(fps);
    this.#context = context;
  }

  process(item: Value): Value {
    const timed = tryTimed(item);
    if (timed === undefined) {
      this.#context.warn(`VideoTransform passed an item through: ${NOT_A_FRAME}`);
      return item;
    }
    if (!this.#keeps(timed.time)) return null;
    let frame: Frame = timed.frame;
    if (this.#size !== undefined) {
      frame = resizeFrame(frame, this.#size, { method: METHOD, context: this.#context });
    }
    frame = convertColor(frame, this.#color);
    if (this.#flip !== null) frame = flipFrame(frame, this.#flip);
    frame = rotateFrame(frame, this.#turns);
    return timed.replace(fromFrame(frame, timed.frame), this.#rateLimit?.fps);
  }

  #keeps(time: FrameTime | undefined): boolean {
    if (this.#rateLimit === undefined) return true;
    if (time !== undefined) return this.#rateLimit.keeps(time);
    if (!this.#warnedOfTime) {
      this.#warnedOfTime = true;
      this.#context.warn("VideoTransform keeps every frame: they come without the time that fps needs");
    }
    return true;
  }
}

/** A bare frame, `(frame, fps)`, or a dict of `frame` and `fps` or `timestamp`. */
function tryTimed(item: Value): Timed | undefined {
  const bare = tryFrame(item);
  if (bare !== undefined) return { frame: bare, time: undefined, replace: (frame) => frame };
  if (item instanceof Map) {
    const frame = tryFrame(item.get("frame") ?? null);
    if (frame === undefined) return undefined;
    const timestamp = tryNumber(item.get("timestamp"));
    const rate = tryRate(item.get("fps"));
    const time = timestamp !== undefined ? { timestamp } : rate !== undefined ? { rate } : undefined;
    return {
      frame,
      time,
      replace(frame, fps) {
        const replaced = new Map(item).set("frame", frame);
        return rate !== undefined && fps !== undefined ? replaced.set("fps", Math.min(rate, fps)) : replaced;
      },
    };
  }
  const pair = item instanceof Tuple ? item.items : item;
  if (!Array.isArray(pair) || pair.length !== 2) return undefined;
  const rate = tryRate(pair[1]);
  const frame = tryFrame(pair[0]!);
  if (rate === undefined || frame === undefined) return undefined;
  return {
    frame,
    time: { rate },
    replace: (frame, fps) => new Tuple([frame, fps !== undefined && fps < rate ? fps : pair[1]!]),
  };
}

function tryRate(value: Value | undefined): number | undefined {
  const rate = tryNumber(value);
  return rate !== undefined && rate > 0 ? rate : undefined;
}

function tryNumber(value: Value | undefined): number | undefined {
  const number = typeof value === "bigint" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function quarterTurns(degrees: number): Turns {
  return (((degrees / 90) % 4 + 4) % 4) as Turns; // A multiple of 90, as the schema has checked.
}

export default defineNode({
  type: "VideoTransform",
  category: "video",
  description: "Resizes, recolours, flips and turns video frames, and thins a stream out to a frame rate",
  parameters: PARAMETERS,
  streaming: false,
  async create(parameters, context) {
    if (parameters.resolution !== null) await loadResizer(METHOD);
    return new VideoTransform(parameters, context);
  },
});
