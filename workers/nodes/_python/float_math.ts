/**
 * Conversions and powers of floats, rounded as CPython rounds them.
 *
 * CPython's powers come from the C library, which is all but correctly rounded; V8's `**` differs from it in the last
 * bit for one of a thousand arguments. So powers are computed here with big integers and rounded once, to nearest, ties
 * to even.
 *
 * @module
 */

import { PythonError } from "./error.ts";

/** Fraction bits of the fixed-point logarithm and exponential: 53 for the result, the rest so that rounding is safe. */
const FRACTION_BITS = 192;
const ONE = 1n << BigInt(FRACTION_BITS);

/** Bits of the magnitude of `value`; 0 for 0n. */
export function bitLength(value: bigint): number {
  const hex = (value < 0n ? -value : value).toString(16);
  return hex === "0" ? 0 : hex.length * 4 - (Math.clz32(Number.parseInt(hex.charAt(0), 16)) - 28);
}

/**
 * `numerator / denominator` as the nearest float, ties to even: Python's `int / int`.
 *
 * @throws {PythonError} ZeroDivisionError, and OverflowError where the quotient is beyond the largest float
 */
export function divideIntegers(numerator: bigint, denominator: bigint): number {
  if (denominator === 0n) throw new PythonError("ZeroDivisionError", "division by zero");
  if (isSafe(numerator) && isSafe(denominator)) return Number(numerator) / Number(denominator);
  const quotient = roundRatio(numerator, denominator);
  if (!Number.isFinite(quotient)) {
    throw new PythonError("OverflowError", "integer division result too large for a float");
  }
  return quotient;
}

function isSafe(value: bigint): boolean {
  return value >= -9007199254740991n && value <= 9007199254740991n;
}

/** The float nearest to a fraction, ties to even; infinite where it is too large. */
function roundRatio(numerator: bigint, denominator: bigint): number {
  const negative = (numerator < 0n) !== (denominator < 0n);
  if (numerator === 0n) return negative ? -0 : 0;
  const n = numerator < 0n ? -numerator : numerator;
  const d = denominator < 0n ? -denominator : denominator;
  // n / d lies in [2^exponent, 2^(exponent + 1)).
  let exponent = bitLength(n) - bitLength(d);
  if (exponent >= 0 ? n < (d << BigInt(exponent)) : (n << BigInt(-exponent)) < d) exponent--;
  if (exponent > 1023) return negative ? -Infinity : Infinity;
  const ulp = Math.max(exponent - 52, -1074);
  const scaled = ulp < 0 ? n << BigInt(-ulp) : n;
  const divisor = ulp > 0 ? d << BigInt(ulp) : d;
  let quotient = scaled / divisor;
  const twice = (scaled - quotient * divisor) * 2n;
  if (twice > divisor || (twice === divisor && (quotient & 1n) === 1n)) quotient++;
  const magnitude = Number(quotient) * 2 ** ulp;
  return negative ? -magnitude : magnitude;
}

/**
 * An int as float.
 *
 * @throws {PythonError} OverflowError when it is too large
 */
export function toFloat(value: bigint): number {
  const float = Number(value);
  if (!Number.isFinite(float)) throw new PythonError("OverflowError", "int too large to convert to float");
  return float;
}

/**
 * C's `pow`, correctly rounded. Infinite where the result overflows; NaN for a negative base with a fraction as exponent.
 */
export function floatPower(base: number, exponent: number): number {
  // C says 1 here where ECMAScript says NaN.
  if (base === 1 || (base === -1 && !Number.isFinite(exponent) && !Number.isNaN(exponent))) return 1;
  const trivial = base ** exponent;
  if (
    !Number.isFinite(base) || !Number.isFinite(exponent) || base === 0 || exponent === 0 || exponent === 1 ||
    Number.isNaN(trivial)
  ) {
    return trivial;
  }
  const negative = base < 0 && Math.abs(exponent) % 2 === 1;
  const magnitude = Math.abs(base);
  // log2 of the result, good enough to tell the hopeless cases, whose exact computation would be long.
  const log2 = Math.log2(magnitude) * exponent;
  let power: number;
  if (log2 > 1025) power = Infinity;
  else if (log2 < -1078) power = 0;
  else if (Number.isInteger(exponent) && Math.abs(exponent) <= 64) power = integerPower(magnitude, exponent);
  else power = realPower(magnitude, exponent);
  return negative ? -power : power;
}

/** A finite, non-negative float as `mantissa · 2^exponent`. */
export function decompose(value: number): { mantissa: bigint; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  return biased === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | 0x10000000000000n, exponent: biased - 1075 };
}

function integerPower(base: number, exponent: number): number {
  const { mantissa, exponent: scale } = decompose(base);
  const power = mantissa ** BigInt(Math.abs(exponent));
  const shift = scale * exponent;
  const numerator = exponent > 0 ? power : 1n;
  const denominator = exponent > 0 ? 1n : power;
  return shift >= 0
    ? roundRatio(numerator << BigInt(shift), denominator)
    : roundRatio(numerator, denominator << BigInt(-shift));
}

/** `base ** exponent` as `2 ** (log2(base) · exponent)` in fixed point. */
function realPower(base: number, exponent: number): number {
  const product = decompose(Math.abs(exponent));
  let log = log2Fixed(base) * product.mantissa;
  log = product.exponent >= 0 ? log << BigInt(product.exponent) : log >> BigInt(-product.exponent);
  if (exponent < 0) log = -log;
  const whole = log >> BigInt(FRACTION_BITS);
  const fraction = exp2Fixed(log - (whole << BigInt(FRACTION_BITS)));
  const shift = Number(whole) - FRACTION_BITS;
  // The error is some units of 2^-130; a result that near to the half of two floats, or to a float, is exactly there.
  const snapped = snap(fraction);
  return shift >= 0 ? roundRatio(snapped << BigInt(shift), 1n) : roundRatio(snapped, 1n << BigInt(-shift));
}

const SNAP_BITS = BigInt(FRACTION_BITS - 110);

function snap(value: bigint): bigint {
  const unit = 1n << SNAP_BITS;
  const rounded = ((value + (unit >> 1n)) >> SNAP_BITS) << SNAP_BITS;
  const distance = rounded > value ? rounded - value : value - rounded;
  return distance < (unit >> 16n) ? rounded : value;
}

/** log2 of a positive float, with {@linkcode FRACTION_BITS} bits. */
function log2Fixed(value: number): bigint {
  const { mantissa, exponent } = decompose(value);
  const length = bitLength(mantissa);
  // value = m · 2^(exponent + length), m in [0.5, 1); moved to [0.707, 1.414) so that the series is short.
  let m = mantissa << BigInt(FRACTION_BITS - length);
  let whole = exponent + length;
  if (m * m < ONE * ONE / 2n) {
    m <<= 1n;
    whole--;
  }
  return (BigInt(whole) << BigInt(FRACTION_BITS)) + naturalLog(m) * ONE / LN2;
}

/** ln(m) = 2 · atanh((m - 1) / (m + 1)), m near 1. */
function naturalLog(m: bigint): bigint {
  const z = ((m - ONE) << BigInt(FRACTION_BITS)) / (m + ONE);
  const square = (z * z) >> BigInt(FRACTION_BITS);
  let power = z;
  let sum = 0n;
  for (let k = 1n; power !== 0n && power !== -1n; k += 2n) {
    sum += power / k;
    power = (power * square) >> BigInt(FRACTION_BITS);
  }
  return 2n * sum;
}

/** ln 2 = 2 · atanh(1 / 3). */
const LN2 = naturalLog(2n * ONE);

/** 2 ** fraction for a fraction in [0, 1), by the exponential series. */
function exp2Fixed(fraction: bigint): bigint {
  // e^(x / 256), then squared eight times.
  const x = ((fraction * LN2) >> BigInt(FRACTION_BITS)) >> 8n;
  let term = ONE;
  let sum = ONE;
  for (let k = 1n; term !== 0n; k++) {
    term = ((term * x) >> BigInt(FRACTION_BITS)) / k;
    sum += term;
  }
  for (let i = 0; i < 8; i++) sum = (sum * sum) >> BigInt(FRACTION_BITS);
  return sum;
}
