/**
 * Values written as text: in the environment and on the command line.
 * @module
 */
import type { Setting } from "./settings.ts";

const WORDS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["1", true],
  ["yes", true],
  ["on", true],
  ["false", false],
  ["0", false],
  ["no", false],
  ["off", false],
]);

/**
 * Reads a setting's value from text. Text that does not fit the setting comes back as it is, for the schema to refuse.
 *
 * Booleans are `true/false`, `1/0`, `yes/no` or `on/off`; numbers plain decimals; lists are separated by commas, and
 * tables are lists of `name=value`. Letter case matters to text, lists and the names of a table only.
 *
 * @param text The text, which is not empty
 * @param setting The setting it is for
 * @param scale What a number is multiplied with
 */
export function fromText(text: string, setting: Setting, scale = 1): unknown {
  const trimmed = text.trim();
  switch (setting.kind) {
    case "boolean":
      return WORDS.get(trimmed.toLowerCase()) ?? text;
    case "number":
      return /^-?\d{1,15}(\.\d{1,6})?$/.test(trimmed) ? Number(trimmed) * scale : text;
    case "choice":
      return trimmed;
    case "text":
      return text;
    case "list":
      return splitList(text);
    case "table":
      return toTable(text);
  }
}

/**
 * Gives choices the case in which the schema spells them: `info` becomes `INFO`, and the number that YAML takes `3.14`
 * for becomes the text again. Anything else stays as it is.
 *
 * @param value The value of a choice, or of a table of choices
 */
export function fromAnyCase(value: unknown, setting: Setting): unknown {
  if (setting.kind === "choice") return toChoice(value, setting.choices);
  if (setting.kind !== "table" || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toChoice(item, setting.choices)]));
}

function toChoice(value: unknown, choices: readonly string[]): unknown {
  if (typeof value !== "string" && typeof value !== "number") return value;
  const lower = String(value).toLowerCase();
  return choices.find((choice) => choice.toLowerCase() === lower) ?? value;
}

function splitList(text: string): string[] {
  return text.split(",").map((item) => item.trim()).filter((item) => item !== "");
}

function toTable(text: string): unknown {
  const table: [string, string][] = [];
  for (const item of splitList(text)) {
    const equals = item.indexOf("=");
    if (equals < 1) return text;
    table.push([item.slice(0, equals).trim(), item.slice(equals + 1).trim()]);
  }
  return Object.fromEntries(table);
}
