/**
 * A request's config as a node's parameters.
 * @module
 */

import { parseLiteral } from "../codecs/literal.ts";
import { TaskError } from "../task_error.ts";
import { ByteArray, Tuple, type Value } from "../values.ts";
import { describeIssue } from "./_config_issue.ts";
import type { NodeDefinition } from "./node.ts";

/** Parameters as the definition's schema gives them, and the rest. */
export interface ParsedConfig {
  readonly parameters: Record<string, unknown>;
  /** What the schema does not know by name, with Python's types. */
  readonly extraConfig: ReadonlyMap<string, Value>;
}

/** Configs remembered for each definition; clients send the same one with every call. */
const MEMO_SIZE = 64;
/** Longer configs are parsed each time. */
const MEMO_KEY_LENGTH = 4096;

const memos = new WeakMap<NodeDefinition, Map<string, ParsedConfig>>();

/**
 * Parses and checks a config. The result is shared between calls and frozen.
 * @throws {TaskError} `INVALID_TASK`, `Invalid config for <type>: <parameter>: <what is wrong>; …`
 */
export function parseConfig(definition: NodeDefinition, config: ReadonlyMap<string, string>): ParsedConfig {
  const key = memoKey(config);
  if (key === undefined) return parse(definition, config);
  let memo = memos.get(definition);
  if (memo === undefined) memos.set(definition, memo = new Map());
  let parsed = memo.get(key);
  if (parsed === undefined) {
    parsed = parse(definition, config);
    if (memo.size >= MEMO_SIZE) memo.delete(memo.keys().next().value!);
    memo.set(key, parsed);
  }
  return parsed;
}

function memoKey(config: ReadonlyMap<string, string>): string | undefined {
  if (config.size === 0) return "";
  let length = 0;
  for (const [name, text] of config) length += name.length + text.length;
  return length > MEMO_KEY_LENGTH ? undefined : JSON.stringify([...config]);
}

function parse(definition: NodeDefinition, config: ReadonlyMap<string, string>): ParsedConfig {
  const known: Record<string, unknown> = Object.create(null);
  const extraConfig = new Map<string, Value>();
  for (const [name, text] of config) {
    const value = parseLiteral(text);
    if (Object.hasOwn(definition.parameters.shape, name)) known[name] = toPlain(value);
    else extraConfig.set(name, value);
  }
  let result = definition.parameters.safeParse(known, { reportInput: true });
  if (!result.success) {
    // A text may look like a number, or a number's text be meant: `format` may be `123`.
    const texts = result.error.issues.filter((issue) =>
      issue.code === "invalid_type" && issue.expected === "string" && issue.path.length === 1
    ).flatMap(({ path: [name] }) => typeof name === "string" && config.has(name) ? [name] : []);
    for (const name of texts) known[name] = config.get(name);
    if (texts.length > 0) result = definition.parameters.safeParse(known, { reportInput: true });
  }
  if (!result.success) {
    const faults = result.error.issues.map(describeIssue);
    throw new TaskError("INVALID_TASK", `Invalid config for ${definition.type}: ${faults.join("; ")}`, {
      cause: result.error,
    });
  }
  return { parameters: deepFreeze(result.data), extraConfig };
}

/**
 * A config value as schemas expect it: ints that are safe as numbers, lists and tuples as arrays, dicts as objects
 * without a prototype. Everything else stays as it is.
 */
export function toPlain(value: Value): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Tuple) return value.items.map(toPlain);
  if (value instanceof ByteArray) return value.bytes;
  if (!(value instanceof Map)) return value;
  const plain: Record<string, unknown> = Object.create(null);
  // A dict with keys that are no str is no object of any schema.
  for (const [key, item] of value) {
    if (typeof key !== "string") return value;
    plain[key] = toPlain(item);
  }
  return plain;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
