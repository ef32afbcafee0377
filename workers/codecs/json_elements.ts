/**
 * The elements of numeric arrays as values.
 * @module
 */

import type { DType, Value } from "../values.ts";

/** Reads elements of `dtype` out of `bytes`, by their index in them; `undefined` for what JSON has no number for. */
export function elementReader(dtype: DType, bytes: Uint8Array): ((index: number) => Value) | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = dtype.byteOrder !== ">";
  switch (dtype.code) {
    case "b1":
      return (index) => view.getUint8(index) !== 0;
    case "i1":
      return (index) => BigInt(view.getInt8(index));
    case "u1":
      return (index) => BigInt(view.getUint8(index));
    case "i2":
      return (index) => BigInt(view.getInt16(index * 2, little));
    case "u2":
      return (index) => BigInt(view.getUint16(index * 2, little));
    case "i4":
      return (index) => BigInt(view.getInt32(index * 4, little));
    case "u4":
      return (index) => BigInt(view.getUint32(index * 4, little));
    case "i8":
      return (index) => view.getBigInt64(index * 8, little);
    case "u8":
      return (index) => view.getBigUint64(index * 8, little);
    case "f2":
      return (index) => view.getFloat16(index * 2, little);
    case "f4":
      return (index) => view.getFloat32(index * 4, little);
    case "f8":
      return (index) => view.getFloat64(index * 8, little);
    default:
      return undefined;
  }
}
