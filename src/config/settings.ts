/**
 * The schema as a tree of settings, for everything that needs to know a setting by its key: sources, faults, docs.
 * @module
 */
import { z } from "zod";

/** How a setting's value is written as text (in the environment and on the command line). */
export type SettingKind = "boolean" | "number" | "choice" | "text" | "list" | "table";

/** One leaf of the configuration. */
export interface Setting {
  readonly kind: SettingKind;
  /** Path from the root, joined by dots: `server.port`. */
  readonly key: string;
  readonly description: string;
  /** What is allowed, as a phrase that follows `must be`. */
  readonly allowed: string;
  readonly defaultValue: unknown;
  /** Members of a choice, or of a table's values when they are choices; otherwise empty. */
  readonly choices: readonly string[];
  /** Whether the value is never shown. */
  readonly secret: boolean;
}

/** A section of the configuration. */
export interface SettingGroup {
  readonly kind: "group";
  readonly key: string;
  readonly description: string;
  readonly children: ReadonlyMap<string, SettingNode>;
}

/** A section or a leaf. */
export type SettingNode = Setting | SettingGroup;

type JsonSchema = z.core.JSONSchema.JSONSchema;

/**
 * Turns an object schema into a tree of settings.
 *
 * Besides `description`, a schema's metadata may hold `allowed` (a phrase that follows `must be`) and `secret`.
 *
 * @throws {TypeError} When the schema is no object
 */
export function settingsOf(schema: z.ZodType): SettingGroup {
  const root = toNode("", z.toJSONSchema(schema, { io: "input" }));
  if (root.kind !== "group") throw new TypeError("Cannot list settings: the schema is no object");
  return root;
}

/** Every leaf below a node, in the schema's order. */
export function leavesOf(node: SettingNode): Setting[] {
  return node.kind === "group" ? [...node.children.values()].flatMap(leavesOf) : [node];
}

function toNode(key: string, schema: JsonSchema): SettingNode {
  const description = schema.description ?? "";
  if (schema.properties !== undefined) {
    const children = new Map<string, SettingNode>();
    for (const [name, child] of Object.entries(schema.properties)) {
      if (typeof child !== "boolean") children.set(name, toNode(key === "" ? name : `${key}.${name}`, child));
    }
    return { kind: "group", key, description, children };
  }
  const kind = kindOf(schema);
  return {
    kind,
    key,
    description,
    allowed: typeof schema["allowed"] === "string" ? schema["allowed"] : allowedBy(kind, schema),
    defaultValue: schema.default,
    choices: choicesOf(schema),
    secret: schema["secret"] === true,
  };
}

function kindOf(schema: JsonSchema): SettingKind {
  if (schema.enum !== undefined) return "choice";
  const alternatives = schema.anyOf ?? [];
  for (const alternative of alternatives) {
    if (typeof alternative !== "boolean" && alternative.type !== "null") return kindOf(alternative);
  }
  switch (schema.type) {
    case "boolean":
      return "boolean";
    case "integer":
    case "number":
      return "number";
    case "array":
      return "list";
    case "object":
      return "table";
    default:
      return "text";
  }
}

function choicesOf(schema: JsonSchema): string[] {
  const values = schema.additionalProperties;
  const members = schema.enum ?? (typeof values === "object" ? values.enum : undefined) ?? [];
  return members.filter((choice) => typeof choice === "string");
}

function allowedBy(kind: SettingKind, schema: JsonSchema): string {
  switch (kind) {
    case "boolean":
      return "true or false";
    case "number":
      return `a ${schema.type === "integer" ? "whole number" : "number"} from ${schema.minimum} to ${schema.maximum}`;
    case "choice":
      return `one of ${choicesOf(schema).join(", ")}`;
    case "list":
      return "a list";
    case "table":
      return "a table";
    case "text":
      return "text";
  }
}
