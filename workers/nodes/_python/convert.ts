/**
 * `int()`, `float()` and `round()`.
 * @module
 */

import { pythonTypeName } from "../../codecs/type_name.ts";
import { TaskError } from "../../task_error.ts";
import type { Value } from "../../values.ts";
import { toPythonNumber } from "./arithmetic.ts";
import { PythonError } from "./error.ts";
import { decompose, divideIntegers, toFloat } from "./float_math.ts";
import { pythonRepr } from "./repr.ts";
import { strip } from "./text.ts";

/** Digits that a text may have to become an int; CPython has the same bound. */
const MAX_DIGITS = 4300;

/** Python's `int(value)`. */
export function toIntValue(value: Value): bigint {
  const number = toPythonNumber(value);
  if (typeof number === "bigint") return number;
  if (typeof number === "number") {
    if (Number.isNaN(number)) throw new PythonError("ValueError", "cannot convert float NaN to integer");
    if (!Number.isFinite(number)) throw new PythonError("OverflowError", "cannot convert float infinity to integer");
    return BigInt(Math.trunc(number));
  }
  if (typeof number !== "string") {
    const type = pythonTypeName(value);
    throw new PythonError(
      "TypeError",
      `int() argument must be a string, a bytes-like object or a real number, not '${type}'`,
    );
  }
  const text = strip(number);
  if (!/^[+-]?\d+(?:_\d+)*$/.test(text)) {
    throw new PythonError("ValueError", `invalid literal for int() with base 10: ${pythonRepr(number)}`);
  }
  if (text.length > MAX_DIGITS) {
    throw new TaskError("RESOURCE_LIMIT", `Cannot convert to int: more than ${MAX_DIGITS} digits`);
  }
  return BigInt(text.replaceAll("_", "").replace(/^\+/, ""));
}

/** Python's `float(value)`. */
export function toFloatValue(value: Value): number {
  const number = toPythonNumber(value);
  if (typeof number === "number") return number;
  if (typeof number === "bigint") return toFloat(number);
  if (typeof number !== "string") {
    const type = pythonTypeName(value);
    throw new PythonError("TypeError", `float() argument must be a string or a real number, not '${type}'`);
  }
  const text = strip(number);
  const special = /^([+-]?)(?:(inf(?:inity)?)|nan)$/i.exec(text);
  if (special !== null) return special[2] === undefined ? NaN : special[1] === "-" ? -Infinity : Infinity;
  if (/^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+)?$/.test(text)) {
    return Number(text.replaceAll("_", ""));
  }
  throw new PythonError("ValueError", `could not convert string to float: ${pythonRepr(number)}`);
}

/** Python's `round(value)` and `round(value, digits)`: half to even, by the exact decimal value of a float. */
export function roundValue(value: Value, digits: Value): Value {
  const number = toPythonNumber(value);
  const places = toPythonNumber(digits);
  if (places !== null && typeof places !== "bigint") {
    throw new PythonError("TypeError", `'${pythonTypeName(digits)}' object cannot be interpreted as an integer`);
  }
  if (typeof number === "bigint") return places === null || places >= 0n ? number : roundInt(number, -places);
  if (typeof number !== "number") {
    throw new PythonError("TypeError", `type ${pythonTypeName(value)} doesn't define __round__ method`);
  }
  if (places === null) return roundScaled(toIntegral(number), 0n).quotient;
  if (!Number.isFinite(number) || places > 323n) return number;
  if (places < -308n) return number < 0 || Object.is(number, -0) ? -0 : 0;
  const { quotient, scale } = roundScaled(number, places);
  if (quotient === 0n) return number < 0 || Object.is(number, -0) ? -0 : 0;
  try {
    return scale >= 1n ? divideIntegers(quotient, scale) : toFloat(quotient * 10n ** -places);
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    throw new PythonError("OverflowError", "rounded value too large to represent");
  }
}

/** Only to refuse what has no int. */
function toIntegral(value: number): number {
  toIntValue(value);
  return value;
}

/** A float times 10^places, rounded; `scale` is 10^places, 0 for negative places. */
function roundScaled(value: number, places: bigint): { quotient: bigint; scale: bigint } {
  if (value === 0) return { quotient: 0n, scale: 1n };
  const { mantissa, exponent } = decompose(Math.abs(value));
  let numerator = exponent > 0 ? mantissa << BigInt(exponent) : mantissa;
  let denominator = exponent < 0 ? 1n << BigInt(-exponent) : 1n;
  if (places >= 0n) numerator *= 10n ** places;
  else denominator *= 10n ** -places;
  const quotient = halfEven(numerator, denominator);
  return { quotient: value < 0 ? -quotient : quotient, scale: places >= 0n ? 10n ** places : 0n };
}

function roundInt(value: bigint, zeros: bigint): bigint {
  // Rounding to more digits than there are is zero; 10^zeros would be needlessly long.
  if (zeros > 20_000n && zeros > BigInt(value.toString(16).length) * 2n) return 0n;
  const unit = 10n ** zeros;
  const rounded = halfEven(value < 0n ? -value : value, unit) * unit;
  return value < 0n ? -rounded : rounded;
}

function halfEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator - quotient * denominator) * 2n;
  return twice > denominator || (twice === denominator && (quotient & 1n) === 1n) ? quotient + 1n : quotient;
}
