/**
 * Operations of DataTransform as functions on records.
 * @module
 */

import { pythonTypeName } from "../../codecs/type_name.ts";
import { TaskError } from "../../task_error.ts";
import { type Dict, Tuple, type Value } from "../../values.ts";
import { ExpressionError } from "../_expression/expression_error.ts";
import { type Expression, parseExpression } from "../_expression/parse.ts";
import type { Scope } from "../_expression/scope.ts";
import { truth } from "../_python/compare.ts";
import { toFloatValue, toIntValue } from "../_python/convert.ts";
import { PythonError } from "../_python/error.ts";
import { pythonRepr, pythonStr } from "../_python/repr.ts";
import type { CastType, Operation } from "./operations.ts";

/** One step of the pipeline: what becomes of a record, none or many. */
export interface Step {
  /** `operations[2] (filter)`, for messages. */
  readonly label: string;
  /** Whether only dicts can be given to it. */
  readonly needsDict: boolean;
  /** @throws {TransformError} */
  apply(record: Value, scope: Scope): Value[];
}

/** An operation cannot be applied to a record. */
export class TransformError extends Error {
  override readonly name = "TransformError";
}

/** Levels of nesting that `flatten` goes into. */
const MAX_DEPTH = 100;

/**
 * Compiles operations.
 * @throws {TaskError} `INVALID_TASK` for an expression that is none
 */
export function compileOperations(operations: readonly Operation[]): Step[] {
  return operations.map((operation, index) => compile(operation, `operations[${index}] (${operation.op})`));
}

function compile(operation: Operation, label: string): Step {
  switch (operation.op) {
    case "pick":
      return dictStep(label, (dict) => pick(dict, operation.fields));
    case "drop": {
      const dropped = new Set<Value>(operation.fields);
      return dictStep(label, (dict) => new Map([...dict].filter(([key]) => !dropped.has(key))));
    }
    case "rename": {
      const names = new Map<Value, string>(Object.entries(operation.fields));
      return dictStep(label, (dict) => new Map([...dict].map(([key, value]) => [names.get(key) ?? key, value])));
    }
    case "cast": {
      const types = Object.entries(operation.fields);
      return dictStep(label, (dict) => castFields(dict, types, label));
    }
    case "map":
      return operation.fields === undefined
        ? expressionStep(label, operation.expression ?? "_", (_record, value) => [value])
        : mapFieldsStep(label, operation.fields);
    case "filter":
      return expressionStep(label, operation.expression, (record, value) => truth(value) ? [record] : []);
    case "flatten": {
      const { field, separator } = operation;
      if (field !== undefined) {
        return {
          label,
          needsDict: true,
          apply: (record) => unnest(record as Dict, field, label),
        };
      }
      return { label, needsDict: false, apply: (record, scope) => flatten(record, separator, scope) };
    }
  }
}

/** A step that only gets dicts, see {@linkcode Step.needsDict}. */
function dictStep(label: string, apply: (dict: Dict) => Dict): Step {
  return { label, needsDict: true, apply: (record) => record instanceof Map ? [apply(record)] : [record] };
}

function pick(dict: Dict, fields: readonly string[]): Dict {
  const picked: Dict = new Map();
  for (const field of fields) {
    const value = dict.get(field);
    if (value !== undefined) picked.set(field, value);
  }
  return picked;
}

function mapFieldsStep(label: string, fields: Readonly<Record<string, string>>): Step {
  const expressions = Object.entries(fields).map(([name, source]) => ({
    name,
    compute: compileExpression(source, `${label} field ${JSON.stringify(name)}`),
  }));
  return {
    label,
    needsDict: true,
    apply: (record, scope) => {
      if (!(record instanceof Map)) return [record];
      const computed = expressions.map(({ name, compute }): [Value, Value] => [name, compute(record, scope)]);
      return [new Map([...record, ...computed])];
    },
  };
}

function expressionStep(label: string, source: string, use: (record: Value, value: Value) => Value[]): Step {
  const compute = compileExpression(source, label);
  return {
    label,
    needsDict: false,
    apply: (record, scope) => asTransformError(label, () => use(record, compute(record, scope))),
  };
}

function compileExpression(source: string, label: string): (record: Value, scope: Scope) => Value {
  let expression: Expression;
  try {
    expression = parseExpression(source);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    const message = `Invalid config for DataTransform: ${label}: ${show(source)}: ${error.message}, at character ${
      error.at + 1
    }`;
    throw new TaskError("INVALID_TASK", message, { cause: error });
  }
  return (record, scope) => {
    scope.record = record;
    try {
      return expression(scope);
    } catch (error) {
      if (error instanceof ExpressionError) {
        const message = `${label}: ${show(source)}: ${error.message}, at character ${error.at + 1}`;
        throw new TransformError(message, { cause: error });
      }
      // `truth` of an array, which has no place of its own.
      if (error instanceof PythonError) throw new TransformError(`${label}: ${show(source)}: ${error.message}`);
      throw error;
    }
  };
}

function asTransformError<T>(label: string, compute: () => T): T {
  try {
    return compute();
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    throw new TransformError(`${label}: ${error.message}`, { cause: error });
  }
}

function show(source: string): string {
  return JSON.stringify(source.length > 120 ? `${source.slice(0, 120)}…` : source);
}

function castFields(dict: Dict, types: readonly (readonly [string, CastType])[], label: string): Dict {
  const result = new Map(dict);
  for (const [field, type] of types) {
    const value = dict.get(field);
    // What is not there, or None, has no type to change.
    if (value === undefined || value === null) continue;
    result.set(field, asTransformError(`${label} field ${JSON.stringify(field)}`, () => cast(value, type)));
  }
  return result;
}

function cast(value: Value, type: CastType): Value {
  switch (type) {
    case "int":
      return toIntValue(value);
    case "float":
      return toFloatValue(value);
    case "str":
      return pythonStr(value);
    case "bool":
      return typeof value === "string" ? parseBoolean(value) : truth(value);
  }
}

/** Unlike Python's `bool`, for which "false" is true. */
function parseBoolean(text: string): boolean {
  switch (text.trim().toLowerCase()) {
    case "true":
    case "yes":
    case "1":
      return true;
    case "false":
    case "no":
    case "0":
    case "":
      return false;
    default:
      throw new PythonError("ValueError", `could not convert string to bool: ${pythonRepr(text)}`);
  }
}

function flatten(record: Value, separator: string, scope: Scope): Value[] {
  if (Array.isArray(record)) return record;
  if (record instanceof Tuple) return record.items;
  if (!(record instanceof Map)) return [record];
  const flat: Dict = new Map();
  const visit = (dict: Dict, prefix: string, depth: number) => {
    for (const [key, value] of dict) {
      scope.step();
      const name = prefix + pythonStr(key);
      if (value instanceof Map && value.size > 0 && depth < MAX_DEPTH) {
        scope.charge(name);
        visit(value, name + separator, depth + 1);
      } else flat.set(prefix === "" ? key : name, value);
    }
  };
  visit(record, "", 0);
  return [flat];
}

function unnest(record: Dict, field: string, label: string): Value[] {
  const value = record.get(field);
  if (value === undefined) throw new TransformError(`${label}: the record has no field ${JSON.stringify(field)}`);
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items === undefined) {
    throw new TransformError(`${label}: field ${JSON.stringify(field)} is no list but ${pythonTypeName(value)}`);
  }
  return items.map((item) => new Map([...record].map(([key, old]) => [key, key === field ? item : old])));
}
