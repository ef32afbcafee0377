/**
 * VideoBuffer.
 * @module
 */

import * as z from "zod";
import type { Value } from "../values.ts";
import { toArray } from "./arrays.ts";
import { requireMemory } from "./_memory.ts";
import { type Frame, type FrameForm, NOT_A_FRAME, tryFrame } from "./_video.ts";
import { defineNode, type Node, type NodeContext } from "./node.ts";

const PARAMETERS = z.object({
  buffer_size: z.int().min(1).max(1_000_000).default(10).describe("Frames of each group that comes out"),
});

/**
 * Groups frames to arrays (n, height, width, channels); the end gives the rest. A frame of another shape gives the rest
 * first, however few they are. Anything but a frame passes through, ahead of frames that still wait, with a warning.
 */
class VideoBuffer implements Node {
  readonly #size: number;
  readonly #context: NodeContext;
  #frames: (Frame & FrameForm)[] = [];

  constructor(parameters: z.output<typeof PARAMETERS>, context: NodeContext) {
    this.#size = parameters.buffer_size;
    this.#context = context;
  }

  *process(item: Value): Generator<Value> {
    const frame = tryFrame(item);
    if (frame === undefined) {
      this.#context.warn(`VideoBuffer passed an item through: ${NOT_A_FRAME}`);
      yield item;
      return;
    }
    const first = this.#frames[0];
    if (
      first !== undefined &&
      (first.width !== frame.width || first.height !== frame.height || first.channels !== frame.channels)
    ) {
      this.#context.warn("VideoBuffer gave what it held early: the frames' shape changed");
      yield* this.flush();
    }
    // Held once, and once more when they are joined.
    const bytes = 2 * (this.#frames.length + 1) * frame.pixels.length;
    requireMemory(this.#context, { bytes, action: `buffer ${this.#size} frames of ${frame.width} × ${frame.height}` });
    this.#frames.push(frame);
    if (this.#frames.length === this.#size) yield* this.flush();
  }

  *flush(): Generator<Value> {
    const frames = this.#frames;
    const first = frames[0];
    if (first === undefined) return;
    this.#frames = [];
    const { height, width, channels, pixels, form } = first;
    const joined = new Uint8Array(frames.length * pixels.length);
    frames.forEach((frame, index) => joined.set(frame.pixels, index * pixels.length));
    yield toArray(joined, [frames.length, height, width, channels], form);
  }

  cleanup(): void {
    this.#frames = [];
  }
}

export default defineNode({
  type: "VideoBuffer",
  category: "video",
  description: "Groups video frames to arrays of a fixed number of frames",
  parameters: PARAMETERS,
  streaming: true,
  create: (parameters, context) => new VideoBuffer(parameters, context),
});
