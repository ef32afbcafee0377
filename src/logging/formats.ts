/**
 * The two looks of a log line.
 * @module
 */
import type { LogRecord, TextFormatter } from "@logtape/logtape";
import { getPrettyFormatter } from "@logtape/pretty";
import { isPlainError, messageOfRecord, stringify } from "./log_line.ts";
import { escapeControls } from "./text.ts";

/**
 * One JSON object on each line: `time` (ISO 8601), `level`, `category`, `message`, then the record's properties.
 *
 * A property with one of these names is put under `properties` instead.
 */
export function formatJson(record: LogRecord): string {
  const line = new Map<string, unknown>([
    ["time", new Date(record.timestamp).toISOString()],
    ["level", record.level.toUpperCase()],
    ["category", record.category.join(".")],
    ["message", messageOfRecord(record.message)],
  ]);
  const clashing = new Map<string, unknown>();
  for (const [key, value] of Object.entries(record.properties)) {
    (RESERVED.has(key) ? clashing : line).set(key, value);
  }
  if (clashing.size > 0) line.set("properties", clashing);
  // One by one: a value that has no JSON does not take the others with it.
  const members = [...line].map(([key, value]) => `${JSON.stringify(key)}:${stringify(value)}`);
  // JSON leaves C1 controls and the like as they are, which a terminal obeys; inside strings an escape means the same.
  return `${escapeControls(`{${members.join(",")}}`)}\n`;
}

const RESERVED: ReadonlySet<string> = new Set(["time", "level", "category", "message", "properties"]);

/** Lines for people. Whatever strangers wrote stays on its line; only stacks take lines of their own, indented. */
export function prettyFormatter(colors: boolean): TextFormatter {
  const pretty = getPrettyFormatter({
    timestamp: "time",
    timeZone: null,
    icons: false,
    level: "FULL",
    levelStyle: null,
    messageColor: null,
    messageStyle: null,
    categorySeparator: ".",
    categoryWidth: 20,
    categoryTruncate: "middle",
    wordWrap: false,
    colors,
    sanitize: { newlines: "escape", sgr: "escape" },
  });
  return (record) => {
    const words = [escapeControls(messageOfRecord(record.message))];
    const stacks: string[] = [];
    for (const [key, value] of Object.entries(record.properties)) {
      if (isPlainError(value)) {
        words.push(`${key}=${escapeControls(`${value.name}: ${value.message}`)}`);
        stacks.push(...stackLines(value));
      } else words.push(`${escapeControls(key)}=${escapeControls(showProperty(value))}`);
    }
    const line = pretty({ ...record, message: [words.join(" ")], properties: {} });
    return [line.trimEnd(), ...stacks, ""].join("\n");
  };
}

function stackLines(error: unknown): string[] {
  if (!isPlainError(error)) return [`    caused by ${escapeControls(String(error))}`];
  const lines = (error.stack ?? "").split("\n").map((line) => `    ${escapeControls(line)}`);
  if (error.cause === undefined) return lines;
  const [first = "", ...rest] = stackLines(error.cause);
  return [...lines, first.replace(/^ {4}(caused by )?/, "    caused by "), ...rest];
}

function showProperty(value: unknown): string {
  return typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : stringify(value);
}
