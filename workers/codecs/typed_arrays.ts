/**
 * JavaScript's typed arrays and the dtypes of their elements.
 * @module
 */

import { type DType, DTYPES } from "../values.ts";

/** The dtype of a typed array's elements; bytes and what has no counterpart give none. */
export function dtypeOf(view: ArrayBufferView): DType | undefined {
  if (view instanceof Float32Array) return DTYPES.float32;
  if (view instanceof Float64Array) return DTYPES.float64;
  if (view instanceof Int8Array) return DTYPES.int8;
  if (view instanceof Int16Array) return DTYPES.int16;
  if (view instanceof Uint16Array) return DTYPES.uint16;
  if (view instanceof Int32Array) return DTYPES.int32;
  if (view instanceof Uint32Array) return DTYPES.uint32;
  if (view instanceof BigInt64Array) return DTYPES.int64;
  return view instanceof BigUint64Array ? DTYPES.uint64 : undefined;
}
