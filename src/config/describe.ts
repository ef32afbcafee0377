/**
 * The configuration in force, for people and programs.
 * @module
 */
import { stringify } from "yaml";
import { allSettings, CONFIG_FILES, type LoadedConfig } from "./load.ts";
import { leavesOf, type Setting, type SettingGroup } from "./settings.ts";

/** How {@linkcode describeConfig} writes. */
export interface DescribeConfigOptions {
  /** Whether to write JSON (`{ key: { value, from } }`) instead of YAML with comments. */
  readonly json?: boolean | undefined;
}

/**
 * Writes each setting with its value and where that came from. Secrets are left out.
 *
 * The YAML is what the files of a configuration folder would hold, one after the other.
 *
 * @returns Text that ends in a line feed
 */
export function describeConfig({ config, origins }: LoadedConfig, options: DescribeConfigOptions = {}): string {
  const root = allSettings();
  const show = (setting: Setting): Shown => {
    const value = setting.secret ? "(redacted)" : valueAt(config, setting.key);
    return { value, from: origins.get(setting.key) ?? "default" };
  };
  if (options.json) {
    const entries = leavesOf(root).map((setting) => [setting.key, show(setting)]);
    return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
  }
  const blocks = CONFIG_FILES.map((file) => {
    const names: readonly string[] = "sections" in file ? file.sections : [];
    const section = "section" in file ? root.children.get(file.section) : undefined;
    const children = section?.kind === "group"
      ? section.children
      : new Map([...root.children].filter(([name]) => names.includes(name)));
    return [`# ${file.name}`, ...linesOf({ ...root, children }, show, "")].join("\n");
  });
  return `${blocks.join("\n\n")}\n`;
}

interface Shown {
  readonly value: unknown;
  readonly from: string;
}

function linesOf(group: SettingGroup, show: (setting: Setting) => Shown, indent: string): string[] {
  return [...group.children].flatMap(([name, child]) => {
    if (child.kind === "group") return [`${indent}${name}:`, ...linesOf(child, show, `${indent}  `)];
    const { value, from } = show(child);
    return [`${indent}${name}: ${toFlowYaml(value)} # from ${from}`];
  });
}

/** A value on one line. */
function toFlowYaml(value: unknown): string {
  // JSON is YAML, and never takes more than one line.
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  const text = stringify(value, { lineWidth: 0 }).trimEnd();
  return text.includes("\n") ? JSON.stringify(value) : text;
}

function valueAt(config: object, key: string): unknown {
  return key.split(".").reduce<unknown>(
    (value, name) => typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined,
    config,
  );
}
