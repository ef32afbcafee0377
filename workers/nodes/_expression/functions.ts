/**
 * The functions of the expression language.
 * @module
 */

import { pythonTypeName } from "../../codecs/type_name.ts";
import { TaskError } from "../../task_error.ts";
import { Complex, FrozenSet, Tuple, type Value } from "../../values.ts";
import { binaryOperation, toPythonNumber } from "../_python/arithmetic.ts";
import { ordered, truth } from "../_python/compare.ts";
import { roundValue, toFloatValue, toIntValue } from "../_python/convert.ts";
import { PythonError } from "../_python/error.ts";
import { pythonStr } from "../_python/repr.ts";
import { codePointCount, splitWords, strip, titleCase } from "../_python/text.ts";
import { tryIterate } from "./operations.ts";
import type { Scope } from "./scope.ts";

/** A function: how many arguments it takes, and what it makes of them. */
export interface ExpressionFunction {
  readonly min: number;
  readonly max: number;
  run(args: readonly Value[], scope: Scope): Value;
}

type Implementation = (args: readonly Value[], scope: Scope) => Value;

/** Every function that an expression can call. */
export const FUNCTIONS: ReadonlyMap<string, ExpressionFunction> = new Map(
  Object.entries({
    abs: define(1, 1, ([value]) => absolute(value ?? null)),
    all: define(1, 1, ([values], scope) => iterate(values ?? null, scope).every(truth)),
    any: define(1, 1, ([values], scope) => iterate(values ?? null, scope).some(truth)),
    bool: define(1, 1, ([value]) => truth(value ?? null)),
    ceil: define(1, 1, ([value]) => toIntegral(value ?? null, Math.ceil)),
    endswith: define(2, 2, ([value, end]) => text(value).endsWith(text(end))),
    float: define(1, 1, ([value]) => toFloatValue(value ?? null)),
    floor: define(1, 1, ([value]) => toIntegral(value ?? null, Math.floor)),
    get: define(2, 3, ([dict, key, fallback]) => getKey(dict ?? null, key ?? null, fallback ?? null)),
    int: define(1, 1, ([value]) => toIntValue(value ?? null)),
    join: define(2, 2, ([separator, parts], scope) => joinTexts(text(separator), iterate(parts ?? null, scope), scope)),
    keys: define(1, 1, ([dict]) => [...mapOf(dict).keys()]),
    len: define(1, 1, ([value]) => BigInt(lengthOf(value ?? null))),
    lower: define(1, 1, ([value]) => text(value).toLowerCase()),
    max: define(1, Infinity, (args, scope) => extreme(args, ">", scope)),
    min: define(1, Infinity, (args, scope) => extreme(args, "<", scope)),
    replace: define(3, 3, (args, scope) => replaceText(args.map(text), scope)),
    round: define(1, 2, ([value, digits]) => roundValue(value ?? null, digits ?? null)),
    sorted: define(1, 1, ([values], scope) => sortedList(iterate(values ?? null, scope), scope)),
    split: define(1, 2, ([value, separator]) => splitText(text(value), separator ?? null)),
    sqrt: define(1, 1, ([value]) => squareRoot(toFloatValue(value ?? null))),
    startswith: define(2, 2, ([value, start]) => text(value).startsWith(text(start))),
    str: define(1, 1, ([value]) => pythonStr(value ?? null)),
    strip: define(1, 1, ([value]) => strip(text(value))),
    sum: define(
      1,
      1,
      ([values], scope) =>
        iterate(values ?? null, scope).reduce<Value>((sum, value) => binaryOperation("+", sum, value, scope), 0n),
    ),
    title: define(1, 1, ([value]) => titleCase(text(value))),
    upper: define(1, 1, ([value]) => text(value).toUpperCase()),
    values: define(1, 1, ([dict]) => [...mapOf(dict).values()]),
  }),
);

function define(min: number, max: number, run: Implementation): ExpressionFunction {
  return { min, max, run };
}

function text(value: Value | undefined): string {
  if (typeof value === "string") return value;
  throw new PythonError("TypeError", `expected str, got ${pythonTypeName(value ?? null)}`);
}

function mapOf(value: Value | undefined): Map<Value, Value> {
  if (value instanceof Map) return value;
  throw new PythonError("TypeError", `expected dict, got ${pythonTypeName(value ?? null)}`);
}

function iterate(value: Value, scope: Scope): Value[] {
  const items = typeof value === "string" ? value : tryIterate(value);
  if (items === undefined) throw new PythonError("TypeError", `'${pythonTypeName(value)}' object is not iterable`);
  const list = [...items];
  scope.step(list.length);
  return list;
}

function absolute(value: Value): Value {
  const number = toPythonNumber(value);
  if (typeof number === "bigint") return number < 0n ? -number : number;
  if (typeof number === "number") return Math.abs(number);
  if (number instanceof Complex) return Math.hypot(number.re, number.im);
  throw new PythonError("TypeError", `bad operand type for abs(): '${pythonTypeName(value)}'`);
}

function toIntegral(value: Value, round: (value: number) => number): Value {
  const number = toPythonNumber(value);
  if (typeof number === "bigint") return number;
  if (typeof number !== "number") {
    throw new PythonError("TypeError", `must be real number, not ${pythonTypeName(value)}`);
  }
  return toIntValue(round(number));
}

function squareRoot(value: number): number {
  if (value < 0) throw new PythonError("ValueError", "math domain error");
  return Math.sqrt(value);
}

function lengthOf(value: Value): number {
  if (typeof value === "string") return codePointCount(value);
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Map || value instanceof Set) return value.size;
  if (value instanceof FrozenSet) return value.items.size;
  throw new PythonError("TypeError", `object of type '${pythonTypeName(value)}' has no len()`);
}

function getKey(dict: Value, key: Value, fallback: Value): Value {
  return dict instanceof Map ? dict.get(key) ?? fallback : fallback;
}

/** `min` and `max` of the arguments, or of the one argument's items. */
function extreme(args: readonly Value[], operator: "<" | ">", scope: Scope): Value {
  const [first] = args;
  const values = args.length === 1 ? iterate(first ?? null, scope) : args;
  const name = operator === "<" ? "min" : "max";
  const [start, ...rest] = values;
  if (start === undefined) throw new PythonError("ValueError", `${name}() arg is an empty sequence`);
  return rest.reduce<Value>((best, value) => ordered(operator, value, best) ? value : best, start);
}

function joinTexts(separator: string, parts: readonly Value[], scope: Scope): string {
  const texts = parts.map((part, at) => {
    if (typeof part === "string") return part;
    const type = pythonTypeName(part);
    throw new PythonError("TypeError", `sequence item ${at}: expected str instance, ${type} found`);
  });
  const length = texts.reduce((sum, part) => sum + part.length, separator.length * texts.length);
  requireLength(length, scope);
  return texts.join(separator);
}

function replaceText([value = "", old = "", replacement = ""]: readonly string[], scope: Scope): string {
  const times = old === "" ? value.length + 1 : value.split(old).length - 1;
  requireLength(value.length + times * replacement.length, scope);
  if (old !== "") return value.split(old).join(replacement);
  // Python replaces the empty text between all characters.
  return ["", ...value, ""].join(replacement);
}

/** Refuses a text before it is built. */
function requireLength(length: number, scope: Scope): void {
  if (length * 2 <= scope.memoryLimitBytes / 4) return;
  throw new TaskError("RESOURCE_LIMIT", `Cannot build str: it would have ${length} characters`);
}

function splitText(value: string, separator: Value): Value[] {
  if (separator === null) return splitWords(value);
  if (typeof separator !== "string") {
    throw new PythonError("TypeError", `must be str or None, not ${pythonTypeName(separator)}`);
  }
  if (separator === "") throw new PythonError("ValueError", "empty separator");
  return value.split(separator);
}

function sortedList(values: Value[], scope: Scope): Value[] {
  return values.sort((a, b) => {
    scope.step();
    return ordered("<", a, b) ? -1 : ordered("<", b, a) ? 1 : 0;
  });
}
