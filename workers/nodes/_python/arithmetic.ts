/**
 * Python's binary operators on {@linkcode Value}s, with Python's messages.
 *
 * A bool counts as int, a numpy scalar as the Python number of the same value (so that the result is one, too). `+` and
 * `*` also work on strings, bytes, lists and tuples. printf-style `%` on strings is not offered.
 *
 * @module
 */

import { pythonTypeName } from "../../codecs/type_name.ts";
import { elementReader } from "../../codecs/json_elements.ts";
import { TaskError } from "../../task_error.ts";
import { Complex, DType, NumpyScalar, type Value } from "../../values.ts";
import { addComplex, complexPower, divideComplex, multiplyComplex, subtractComplex } from "./complex.ts";
import { PythonError } from "./error.ts";
import { bitLength, divideIntegers, floatPower, toFloat } from "./float_math.ts";
import { concatenate, isSequence, repeat } from "./sequences.ts";

/** What one operation may make. */
export interface ArithmeticLimits {
  /** Bytes that a task may still allocate. */
  readonly memoryLimitBytes: number;
}

/** Operators by Python's signs. */
export type Operator = "+" | "-" | "*" | "/" | "//" | "%" | "**";

/** An int has at most this many bytes: more cannot be sent in any format, and takes long to compute. */
const MAX_INT_BYTES = 2 ** 20;
/** Ints in this range need no look at the size of what they make, by any operator but `**`. */
const SMALL = 2n ** 63n;

/**
 * `a operator b`.
 *
 * @throws {PythonError} what Python would raise
 * @throws {TaskError} `RESOURCE_LIMIT`, before it is computed, for a result beyond the limits
 */
export function binaryOperation(operator: Operator, a: Value, b: Value, limits: ArithmeticLimits): Value {
  const left = toPythonNumber(a);
  const right = toPythonNumber(b);
  if (typeof left === "bigint" && typeof right === "bigint") return intOperation(operator, left, right, limits);
  if (isReal(left) && isReal(right)) return floatOperation(operator, asFloat(left), asFloat(right));
  if (isNumber(left) && isNumber(right)) {
    if (operator === "//" || operator === "%") throw unsupported(operator, a, b);
    return complexOperation(operator, asComplex(left), asComplex(right));
  }
  if (operator === "+" && isSequence(left)) return concatenate(left, b, limits);
  if (operator === "*" && isSequence(left)) return repeat(left, right, limits);
  if (operator === "*" && isSequence(right)) return repeat(right, left, limits);
  throw unsupported(operator, a, b);
}

/** A bool as int and a numpy scalar as Python number; everything else as it is. */
export function toPythonNumber(value: Value): Value {
  if (typeof value === "boolean") return value ? 1n : 0n;
  if (!(value instanceof NumpyScalar) || !"biufc".includes(value.dtype.kind)) return value;
  if (value.dtype.kind === "c") return toComplex(value);
  const number = elementReader(value.dtype, value.bytes)?.(0) ?? value;
  return typeof number === "boolean" ? toPythonNumber(number) : number;
}

function toComplex({ dtype, bytes }: NumpyScalar): Value {
  const read = elementReader(new DType(`f${dtype.itemSize / 2}`, dtype.byteOrder), bytes);
  const [re, im] = [read?.(0), read?.(1)];
  return typeof re === "number" && typeof im === "number" ? new Complex(re, im) : new NumpyScalar(dtype, bytes);
}

type PythonNumber = bigint | number | Complex;

function isReal(value: Value): value is bigint | number {
  return typeof value === "number" || typeof value === "bigint";
}

/** Whether {@linkcode toPythonNumber} gave a number. */
export function isNumber(value: Value): value is PythonNumber {
  return isReal(value) || value instanceof Complex;
}

function asFloat(value: bigint | number): number {
  return typeof value === "number" ? value : toFloat(value);
}

function asComplex(value: PythonNumber): Complex {
  return value instanceof Complex ? value : new Complex(asFloat(value), 0);
}

function intOperation(operator: Operator, a: bigint, b: bigint, limits: ArithmeticLimits): Value {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      if (a > SMALL || a < -SMALL || b > SMALL || b < -SMALL) requireIntSize(bitLength(a) + bitLength(b), limits);
      return a * b;
    case "/":
      return divideIntegers(a, b);
    case "//":
      if (b === 0n) throw new PythonError("ZeroDivisionError", "integer division or modulo by zero");
      return floorDivide(a, b);
    case "%":
      if (b === 0n) throw new PythonError("ZeroDivisionError", "integer modulo by zero");
      return a - floorDivide(a, b) * b;
    case "**":
      return intPower(a, b, limits);
  }
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return quotient * b !== a && (a < 0n) !== (b < 0n) ? quotient - 1n : quotient;
}

function intPower(base: bigint, exponent: bigint, limits: ArithmeticLimits): Value {
  if (exponent < 0n) return floatOperation("**", toFloat(base), toFloat(exponent));
  if (base >= -1n && base <= 1n) return base === -1n ? (exponent % 2n === 0n ? 1n : -1n) : exponent === 0n ? 1n : base;
  // |base| ≥ 2^(bits - 1), so the power has at least this many bits.
  requireIntSize((bitLength(base) - 1) * Number(exponent), limits);
  return base ** exponent;
}

function requireIntSize(bits: number, { memoryLimitBytes }: ArithmeticLimits): void {
  const maxBytes = Math.min(MAX_INT_BYTES, memoryLimitBytes / 4);
  if (bits / 8 <= maxBytes) return;
  const megabits = bits < 1e9 ? `${Math.ceil(bits / 1e6)} million` : "more than a billion";
  throw new TaskError(
    "RESOURCE_LIMIT",
    `Cannot compute int: it would have ${megabits} bits, at most ${Math.floor(maxBytes * 8)} are allowed`,
  );
}

function floatOperation(operator: Operator, a: number, b: number): Value {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      if (b === 0) throw new PythonError("ZeroDivisionError", "float division by zero");
      return a / b;
    case "//":
      if (b === 0) throw new PythonError("ZeroDivisionError", "float floor division by zero");
      return floatFloorDivide(a, b);
    case "%":
      if (b === 0) throw new PythonError("ZeroDivisionError", "float modulo");
      return floatModulo(a, b);
    case "**":
      return floatPowerOrRaise(a, b);
  }
}

/** CPython's `float_rem`: C's remainder, moved to the divisor's sign. */
function floatModulo(a: number, b: number): number {
  const remainder = a % b;
  if (remainder === 0) return b < 0 ? -0 : 0;
  return (remainder < 0) !== (b < 0) ? remainder + b : remainder;
}

/** CPython's `_float_div_mod`. */
function floatFloorDivide(a: number, b: number): number {
  let remainder = a % b;
  let quotient = (a - remainder) / b;
  if (remainder !== 0 && (remainder < 0) !== (b < 0)) {
    remainder += b;
    quotient -= 1;
  }
  if (quotient === 0) return a / b < 0 || Object.is(a / b, -0) ? -0 : 0;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

/** CPython's `float_pow`. */
function floatPowerOrRaise(base: number, exponent: number): Value {
  if (base === 0 && exponent < 0 && Number.isFinite(exponent)) {
    throw new PythonError("ZeroDivisionError", "0.0 cannot be raised to a negative power");
  }
  if (base < 0 && Number.isFinite(base) && Number.isFinite(exponent) && !Number.isInteger(exponent)) {
    return complexPower(new Complex(base, 0), new Complex(exponent, 0));
  }
  const power = floatPower(base, exponent);
  if (!Number.isFinite(power) && Number.isFinite(base) && Number.isFinite(exponent)) {
    throw new PythonError("OverflowError", "(34, 'Numerical result out of range')");
  }
  return power;
}

function complexOperation(operator: Exclude<Operator, "//" | "%">, a: Complex, b: Complex): Complex {
  switch (operator) {
    case "+":
      return addComplex(a, b);
    case "-":
      return subtractComplex(a, b);
    case "*":
      return multiplyComplex(a, b);
    case "/":
      return divideComplex(a, b);
    case "**":
      return complexPower(a, b);
  }
}

function unsupported(operator: Operator, a: Value, b: Value): PythonError {
  const sign = operator === "**" ? "** or pow()" : operator;
  const types = `'${pythonTypeName(a)}' and '${pythonTypeName(b)}'`;
  return new PythonError("TypeError", `unsupported operand type(s) for ${sign}: ${types}`);
}
