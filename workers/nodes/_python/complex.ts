/**
 * Complex arithmetic as CPython's Objects/complexobject.c does it.
 * @module
 */

import { Complex } from "../../values.ts";
import { PythonError } from "./error.ts";
import { floatPower } from "./float_math.ts";

export function addComplex(a: Complex, b: Complex): Complex {
  return new Complex(a.re + b.re, a.im + b.im);
}

export function subtractComplex(a: Complex, b: Complex): Complex {
  return new Complex(a.re - b.re, a.im - b.im);
}

export function multiplyComplex(a: Complex, b: Complex): Complex {
  return new Complex(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
}

/** @throws {PythonError} ZeroDivisionError */
export function divideComplex(a: Complex, b: Complex): Complex {
  // Smith's algorithm: the larger part of the divisor scales, so that its square cannot overflow.
  if (Math.abs(b.re) >= Math.abs(b.im)) {
    if (b.re === 0) throw new PythonError("ZeroDivisionError", "complex division by zero");
    const ratio = b.im / b.re;
    const denominator = b.re + b.im * ratio;
    return new Complex((a.re + a.im * ratio) / denominator, (a.im - a.re * ratio) / denominator);
  }
  if (Math.abs(b.im) >= Math.abs(b.re)) {
    const ratio = b.re / b.im;
    const denominator = b.re * ratio + b.im;
    return new Complex((a.re * ratio + a.im) / denominator, (a.im * ratio - a.re) / denominator);
  }
  return new Complex(NaN, NaN);
}

/**
 * `base ** exponent`. The last bit may differ from CPython's, because sine and cosine are V8's.
 *
 * @throws {PythonError} ZeroDivisionError, OverflowError
 */
export function complexPower(base: Complex, exponent: Complex): Complex {
  const small = exponent.im === 0 && Number.isInteger(exponent.re) && Math.abs(exponent.re) <= 100;
  const power = small ? smallPower(base, exponent.re) : polarPower(base, exponent);
  if (Math.abs(power.re) === Infinity || Math.abs(power.im) === Infinity) {
    throw new PythonError("OverflowError", "complex exponentiation");
  }
  return power;
}

function smallPower(base: Complex, exponent: number): Complex {
  if (exponent < 0) {
    if (base.re === 0 && base.im === 0) throw zeroPower();
    return divideComplex(new Complex(1, 0), smallPower(base, -exponent));
  }
  let power = new Complex(1, 0);
  let square = base;
  for (let mask = 1; mask <= exponent; mask *= 2) {
    if (exponent & mask) power = multiplyComplex(power, square);
    square = multiplyComplex(square, square);
  }
  return power;
}

function polarPower(base: Complex, exponent: Complex): Complex {
  if (base.re === 0 && base.im === 0) {
    if (exponent.im !== 0 || exponent.re < 0) throw zeroPower();
    return new Complex(0, 0);
  }
  const modulus = Math.hypot(base.re, base.im);
  const angle = Math.atan2(base.im, base.re);
  let length = floatPower(modulus, exponent.re);
  let phase = angle * exponent.re;
  if (exponent.im !== 0) {
    length /= Math.exp(angle * exponent.im);
    phase += exponent.im * Math.log(modulus);
  }
  // C's cosine has no value there, which CPython reports in these words.
  if (Math.abs(phase) === Infinity) throw zeroPower();
  return new Complex(length * Math.cos(phase), length * Math.sin(phase));
}

function zeroPower(): PythonError {
  return new PythonError("ZeroDivisionError", "0.0 to a negative or complex power");
}
