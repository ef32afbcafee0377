/**
 * YAML. Read as YAML 1.2's core schema, in which custom tags mean nothing; written so that readers of YAML 1.1, PyYAML
 * among them, read the same.
 *
 * @module
 */

import { Document, parseDocument, type ScalarTag } from "yaml";
import type { Value } from "../../values.ts";
import { type Format, FormatError, toText } from "./format.ts";
import { type PlainData, toPlainData } from "./plain_data.ts";

/** Aliases that may be resolved: a few lines of them could stand for billions of values. */
const MAX_ALIASES = 100;

/** Every JavaScript number is a float here, ints are bigint. */
const FLOAT: ScalarTag = {
  tag: "tag:yaml.org,2002:float",
  default: true,
  identify: (value) => typeof value === "number",
  // Never read with; without a test, the library's own tag for numbers would come first.
  test: /^$/,
  resolve: Number,
  stringify: ({ value }) => floatText(Number(value)),
};

/** Texts that mean something else to YAML 1.1, which the library does not know of; its line breaks among them. */
const RESERVED_TEXT: ScalarTag = {
  tag: "tag:yaml.org,2002:str",
  default: true,
  identify: (value) => typeof value === "string" && /^(?:=|<<)$|[\x85\u2028\u2029\ufeff]/.test(value),
  test: /^$/,
  resolve: (text) => text,
  stringify: ({ value }) =>
    JSON.stringify(value).replace(
      /[\x85\u2028\u2029\ufeff]/g,
      (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
};

export const yaml: Format = {
  binary: false,
  read: (source) => readYaml(toText(source, "YAML")),
  write: (value, { memoryLimitBytes }) => writeYaml(toPlainData(value, { memoryLimitBytes, bytes: "base64" })),
};

function readYaml(text: string): Value {
  // Unique keys would be checked in quadratic time; the last of equal ones wins, as in JSON.
  const document = parseDocument(text, { schema: "core", intAsBigInt: true, uniqueKeys: false, logLevel: "error" });
  const [fault] = document.errors;
  if (fault !== undefined) throw new FormatError(`it is no YAML: ${firstLine(fault.message)}`, { cause: fault });
  try {
    // The core schema gives null, booleans, bigints, numbers, strings, and with these options arrays and maps of them.
    return document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES }) as Value;
  } catch (error) {
    throw new FormatError(`it is no YAML: ${firstLine(error instanceof Error ? error.message : "")}`, { cause: error });
  }
}

function writeYaml(value: PlainData): string {
  try {
    const document = new Document(value, {
      schema: "core",
      compat: "yaml-1.1",
      customTags: (tags) => [FLOAT, RESERVED_TEXT, ...tags],
      aliasDuplicateObjects: false,
    });
    return document.toString({ lineWidth: 0 });
  } catch (error) {
    if (error instanceof RangeError) throw new FormatError("it is nested too deeply for YAML", { cause: error });
    throw error;
  }
}

/** YAML 1.1 wants a point in every float, and a sign in every exponent. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return ".nan";
  if (!Number.isFinite(value)) return value > 0 ? ".inf" : "-.inf";
  if (Object.is(value, -0)) return "-0.0";
  const text = String(value);
  if (text.includes("e")) return text.includes(".") ? text : text.replace("e", ".0e");
  return text.includes(".") ? text : `${text}.0`;
}

function firstLine(message: string): string {
  return message.split("\n", 1)[0]?.replace(/:$/, "") ?? "";
}
