/**
 * VideoResizer.
 * @module
 */

import * as z from "zod";
import { loadResizer, METHODS, resizeFrame } from "./_frame_resize.ts";
import { fromFrame, NOT_A_FRAME, parseResolution, Resolution, tryFrame } from "./_video.ts";
import { defineNode } from "./node.ts";

const PARAMETERS = z.object({
  target_resolution: Resolution.default([1920, 1080]).describe(
    'Size of the output in pixels, (width, height) or "1280x720"; the aspect ratio is not kept',
  ),
  method: z.enum(METHODS).nullable().default("lanczos").describe(
    "lanczos (three lobes), bicubic (Catmull-Rom), bilinear, mitchell or nearest; all but the last average when shrinking",
  ),
});

export default defineNode({
  type: "VideoResizer",
  category: "video",
  description: "Resizes video frames",
  parameters: PARAMETERS,
  streaming: false,
  async create(parameters, context) {
    const size = parseResolution(parameters.target_resolution);
    const method = parameters.method ?? "lanczos";
    await loadResizer(method);
    return {
      process(item) {
        const frame = tryFrame(item);
        if (frame !== undefined) return fromFrame(resizeFrame(frame, size, { method, context }), frame);
        context.warn(`VideoResizer passed an item through: ${NOT_A_FRAME}`);
        return item;
      },
    };
  },
});
