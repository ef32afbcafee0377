/**
 * Squoosh's build of the resize crate (https://github.com/GoogleChromeLabs/squoosh, codecs/resize), called without its
 * loader, which would fetch, and without ImageData, which a worker need not have.
 *
 * @module
 */

import { loadWasm } from "../assets.ts";
import { TaskError } from "../task_error.ts";

/** Filters of the build; the index is its number of the filter. */
export const FILTERS = ["triangle", "catrom", "mitchell", "lanczos3"] as const;

export type Filter = (typeof FILTERS)[number];

/** What the build exports, by wasm-bindgen's names. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly resize: (
    result: number,
    pixels: number,
    bytes: number,
    width: number,
    height: number,
    toWidth: number,
    toHeight: number,
    filter: number,
    premultiply: boolean,
    linearRgb: boolean,
  ) => void;
  readonly __wbindgen_add_to_stack_pointer: (bytes: number) => number;
  readonly __wbindgen_malloc: (bytes: number, alignment: number) => number;
  readonly __wbindgen_free: (pointer: number, bytes: number, alignment: number) => void;
}

/** Wasm memory never shrinks: an instance that grew beyond this is not kept for the next frame. */
const MAX_KEPT_BYTES = 128 * 2 ** 20;

/** Bytes of the result's pointer and length on the build's stack, rounded to its alignment. */
const RESULT_BYTES = 16;

let compiled: WebAssembly.Module | undefined;
let kept: Exports | undefined;

/** An RGBA picture and the size that it is to have. */
export interface RgbaResize {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly toWidth: number;
  readonly toHeight: number;
}

/**
 * Gets the build, which {@linkcode resizeRgba} needs; does nothing when it is there.
 * @throws {TaskError} `TASK_FAILED` when it is missing, `RESOURCE_LIMIT` when there is no memory for it
 */
export async function loadSquooshResize(): Promise<void> {
  compiled ??= await loadWasm("squoosh_resize.wasm");
}

/**
 * Resizes RGBA bytes, each channel for itself: neither premultiplied by alpha nor taken to linear light.
 *
 * @throws {TaskError} `RESOURCE_LIMIT` when the picture does not fit into the memory of WebAssembly.
 */
export function resizeRgba({ pixels, width, height, toWidth, toHeight }: RgbaResize, filter: Filter): Uint8Array {
  if (compiled === undefined) throw new TypeError("Cannot resize a frame: loadSquooshResize() has not been awaited");
  let exports: Exports | undefined;
  try {
    exports = kept ?? instantiate(compiled);
    const result = exports.__wbindgen_add_to_stack_pointer(-RESULT_BYTES);
    const input = exports.__wbindgen_malloc(pixels.length, 1) >>> 0;
    new Uint8Array(exports.memory.buffer).set(pixels, input);
    // The build frees its input itself.
    const number = FILTERS.indexOf(filter);
    exports.resize(result, input, pixels.length, width, height, toWidth, toHeight, number, false, false);
    const view = new DataView(exports.memory.buffer);
    const pointer = view.getUint32(result, true);
    const length = view.getUint32(result + 4, true);
    const output = new Uint8Array(exports.memory.buffer, pointer, length).slice();
    exports.__wbindgen_free(pointer, length, 1);
    exports.__wbindgen_add_to_stack_pointer(RESULT_BYTES);
    kept = exports.memory.buffer.byteLength > MAX_KEPT_BYTES ? undefined : exports;
    return output;
  } catch (cause) {
    // After a trap the instance is not to be trusted.
    kept = undefined;
    throw new TaskError(
      "RESOURCE_LIMIT",
      `Cannot resize a frame from ${width} × ${height} to ${toWidth} × ${toHeight}: WebAssembly has no memory for it`,
      { cause },
    );
  }
}

function instantiate(module: WebAssembly.Module): Exports {
  // The names and types of this build's exports are known, see scripts/assets.ts.
  return new WebAssembly.Instance(module, {}).exports as unknown as Exports;
}
