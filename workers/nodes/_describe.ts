/**
 * What ListNodes says of the nodes, all of it from their definitions.
 * @module
 */

import * as z from "zod";
import { parseLiteral } from "../codecs/literal.ts";
import { pythonFloat } from "../codecs/python_float.ts";
import type { NodeCategory, NodeDefinition } from "./node.ts";

/** A parameter of a node, for people. */
export interface ParameterDescription {
  readonly name: string;
  /** Python's name of the type: `int`, `float`, `str`, `bool`, `list`, `tuple`, `dict`, `Any`, `Literal['a', 'b']`, `int | None`. */
  readonly type: string;
  readonly description: string;
  readonly required: boolean;
  /** A text that, sent as config value, means the default; empty where there is none. */
  readonly defaultValue: string;
}

/** A node, for people. */
export interface NodeDescription {
  readonly nodeType: string;
  readonly category: NodeCategory;
  readonly description: string;
  /** Whether an item may give none or many outputs. */
  readonly streaming: boolean;
  /** What runs it. */
  readonly runtime: "typescript" | "python";
  readonly parameters: readonly ParameterDescription[];
}

/** The part of JSON schema that zod makes of parameters. */
interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly prefixItems?: readonly JsonSchema[];
  readonly items?: JsonSchema | false;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

/** Describes nodes as plain records, in the order given. */
export function describeDefinitions(definitions: Iterable<NodeDefinition>): NodeDescription[] {
  return [...definitions].map((definition) => ({
    nodeType: definition.type,
    category: definition.category,
    description: definition.description,
    streaming: definition.streaming,
    runtime: definition.runtime ?? "typescript",
    parameters: describeParameters(definition),
  }));
}

function describeParameters(definition: NodeDefinition): ParameterDescription[] {
  // What JSON schema cannot express becomes `{}`, which is Any here.
  const schema = z.toJSONSchema(definition.parameters, { io: "input", unrepresentable: "any" }) as JsonSchema;
  return Object.entries(schema.properties ?? {}).map(([name, parameter]) => ({
    name,
    type: typeText(parameter),
    description: parameter.description ?? "",
    required: schema.required?.includes(name) ?? false,
    defaultValue: parameter.default === undefined ? "" : defaultText(parameter.default, parameter),
  }));
}

function typeText(schema: JsonSchema): string {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) {
    const types = new Set(alternatives.map(typeText));
    // None comes last, as in Python's annotations.
    const none = types.delete("None");
    return [...types, ...(none ? ["None"] : [])].join(" | ");
  }
  const values = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (values !== undefined) return `Literal[${values.map(literalText).join(", ")}]`;
  switch (schema.type) {
    case "integer":
      return "int";
    case "number":
      return "float";
    case "string":
      return "str";
    case "boolean":
      return "bool";
    case "array":
      return schema.prefixItems === undefined ? "list" : "tuple";
    case "object":
      return "dict";
    case "null":
      return "None";
    default:
      return "Any";
  }
}

function literalText(value: unknown): string {
  return typeof value === "string" ? `'${value}'` : JSON.stringify(value);
}

function defaultText(value: unknown, schema: JsonSchema): string {
  if (Array.isArray(value) && value.length > 1 && mayBeTuple(schema)) {
    return `(${value.map((item) => JSON.stringify(item)).join(", ")})`;
  }
  if (typeof value === "string") return parseLiteral(value) === value ? value : JSON.stringify(value);
  if (typeof value === "number" && typeText(schema).startsWith("float")) return pythonFloat(value);
  return JSON.stringify(value);
}

function mayBeTuple(schema: JsonSchema): boolean {
  return schema.prefixItems !== undefined || (schema.anyOf ?? schema.oneOf ?? []).some(mayBeTuple);
}
