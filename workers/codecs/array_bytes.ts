/**
 * The bytes of arrays in the order that formats other than pickle want them in.
 * @module
 */

import { TaskError } from "../task_error.ts";
import type { DType, NDArray } from "../values.ts";

/**
 * The elements in C order, in the array's own byte order; the array's own bytes where they lie so already.
 * @throws {TaskError} `TASK_FAILED` for an array whose bytes do not fit its shape.
 */
export function cOrderBytes(array: NDArray): Uint8Array {
  requireConsistent(array);
  const { shape, bytes, dtype: { itemSize }, size } = array;
  if (!array.fortranOrder || shape.length < 2 || size === 0) return bytes;
  const strides: number[] = [];
  let stride = itemSize;
  for (const length of shape) {
    strides.push(stride);
    stride *= length;
  }
  const result = new Uint8Array(bytes.length);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let to = 0; to < result.length; to += itemSize) {
    for (let byte = 0; byte < itemSize; byte++) result[to + byte] = bytes[from + byte]!;
    // Counts the index up, last dimension first; strides and shape have its length.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/** `bytes` of elements of `dtype` as little endian; themselves where they are so already. */
export function littleEndianBytes(bytes: Uint8Array, dtype: DType): Uint8Array {
  if (dtype.byteOrder !== ">") return bytes;
  // A complex number is two, each in its byte order; a U is characters of 4 bytes.
  const unit = dtype.kind === "c" ? dtype.itemSize / 2 : dtype.kind === "U" ? 4 : dtype.itemSize;
  const result = bytes.slice();
  for (let at = 0; unit > 1 && at < result.length; at += unit) result.subarray(at, at + unit).reverse();
  return result;
}

/**
 * Fails for an array whose parts contradict each other, before it goes out.
 * @throws {TaskError} `TASK_FAILED`
 */
export function requireConsistent(array: NDArray): void {
  const { dtype, size } = array;
  if (array.objects === undefined ? array.bytes.length === size * dtype.itemSize : array.objects.length === size) {
    return;
  }
  throw new TaskError(
    "TASK_FAILED",
    `Cannot encode array: shape (${
      array.shape.join(", ")
    }) and dtype ${dtype} do not fit its ${array.bytes.length} bytes`,
  );
}
