/**
 * Loads the configuration: command line over environment over YAML files over defaults.
 * @module
 */
import type { z } from "zod";
import { messageOf } from "../errors.ts";
import { ENVIRONMENT } from "./environment.ts";
import { type ConfigFault, showValue, toConfigError, unknownKey } from "./faults.ts";
import { RULES } from "./rules.ts";
import { Config } from "./schema.ts";
import { leavesOf, type SettingGroup, settingsOf } from "./settings.ts";
import { fromAnyCase, fromText } from "./text_value.ts";
import { readYaml, type SourcedValue } from "./yaml_source.ts";

/** Folder that is looked for when nobody names one. */
export const DEFAULT_CONFIG_DIR = "config";

/** The files of the folder. Each holds the sections named, or is one section itself. */
export const CONFIG_FILES = [
  {
    name: "service.yaml",
    sections: ["server", "auth", "execution", "sessions", "sandbox", "pool", "python", "layers", "metrics"],
  },
  { name: "security.yaml", section: "policy" },
  { name: "logging.yaml", section: "logging" },
] as const;

/** Where a setting's value came from: `default`, `config/service.yaml:12`, `env GRPC_PORT` or `command line`. */
export type Origin = string;

/** A complete configuration. */
export interface LoadedConfig {
  readonly config: Config;
  /** Origin of each leaf, by its key. */
  readonly origins: ReadonlyMap<string, Origin>;
}

/** What {@linkcode loadConfig} reads from. */
export interface LoadConfigOptions {
  /** The environment. Empty variables count as unset, and names that are not ours are left alone. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder of the files, from the command line. Over `CONFIG_DIR`, over {@linkcode DEFAULT_CONFIG_DIR}. */
  readonly configDir?: string | undefined;
  /** Values from the command line by key (`server.port`); text is read as in the environment, `undefined` is skipped. */
  readonly overrides?: Readonly<Record<string, unknown>> | undefined;
  /** Text of a file, or `undefined` when there is none. Reads the file system unless told otherwise. */
  readonly readFile?: ((path: string) => string | undefined) | undefined;
}

/**
 * Loads and checks the configuration.
 *
 * @example
 * ```ts
 * import { loadConfig } from "./load.ts";
 *
 * const { config, origins } = loadConfig({ env: { GRPC_PORT: "6000" }, readFile: () => undefined });
 * console.assert(config.server.port === 6000 && origins.get("server.port") === "env GRPC_PORT");
 * ```
 *
 * @throws {ServiceError} `CONFIG_INVALID`, with a line for every fault in every source
 */
export function loadConfig(options: LoadConfigOptions): LoadedConfig {
  const loader = new Loader();
  loader.readFiles(options);
  loader.readEnvironment(options.env);
  loader.readOverrides(options.overrides ?? {});
  return loader.finish();
}

/** The tree of all settings. Built once, when first asked for. */
export function allSettings(): SettingGroup {
  return settings ??= settingsOf(Config);
}
let settings: SettingGroup | undefined;

class Loader {
  readonly #root = allSettings();
  readonly #leaves = new Map(leavesOf(this.#root).map((leaf) => [leaf.key, leaf]));
  readonly #values = new Map<string, SourcedValue>();
  readonly #faults: ConfigFault[] = [];

  readFiles({ env, configDir, readFile = readConfigFile }: LoadConfigOptions): void {
    const named = configDir ?? (env["CONFIG_DIR"] || undefined);
    const folder = named ?? DEFAULT_CONFIG_DIR;
    let found = 0;
    for (const file of CONFIG_FILES) {
      const path = `${folder.replace(/\/+$/, "")}/${file.name}`;
      let text: string | undefined;
      try {
        text = readFile(path);
      } catch (error) {
        found++;
        this.#faults.push({ source: path, key: "", problem: `cannot be read: ${messageOf(error)}` });
      }
      if (text === undefined) continue;
      found++;
      const { values, faults } = readYaml(text, path, this.#groupOf(file));
      this.#faults.push(...faults);
      values.forEach((value) => this.#set(value));
    }
    if (named !== undefined && found === 0) {
      const names = CONFIG_FILES.map(({ name }) => name).join(", ");
      const source = configDir === undefined ? "env CONFIG_DIR" : "command line";
      this.#faults.push({ source, key: "", problem: `folder "${folder}" holds none of ${names}` });
    }
  }

  readEnvironment(env: LoadConfigOptions["env"]): void {
    for (const { name, key, scale, lowers } of ENVIRONMENT) {
      const text = env[name]?.trim();
      const leaf = this.#leaves.get(key);
      if (!text || leaf === undefined) continue;
      const origin = `env ${name}`;
      const value = fromText(text, leaf, scale);
      this.#set({ key, value, origin, localKey: key });
      if (lowers === undefined || typeof value !== "number") continue;
      const lower = this.#values.get(lowers)?.value ?? this.#leaves.get(lowers)?.defaultValue;
      if (typeof lower === "number" && lower > value) {
        this.#set({ key: lowers, value, origin, localKey: lowers, derived: true });
      }
    }
  }

  readOverrides(overrides: Readonly<Record<string, unknown>>): void {
    for (const [key, given] of Object.entries(overrides)) {
      if (given === undefined) continue;
      const leaf = this.#leaves.get(key);
      if (leaf === undefined) {
        this.#faults.push({ source: "command line", key, problem: unknownKey(key, this.#leaves.keys()) });
        continue;
      }
      const value = typeof given === "string" ? fromText(given, leaf) : given;
      this.#set({ key, value, origin: "command line", localKey: key });
    }
  }

  finish(): LoadedConfig {
    const bad = this.#checkValues();
    for (const key of bad) this.#values.delete(key);
    // What is left is good and what was bad has its default, so that rules find the faults that do not follow from others.
    const config = Config.parse(this.#tree());
    for (const { keys, check } of RULES) {
      const problem = keys.some((key) => bad.has(key)) ? undefined : check(config);
      if (problem !== undefined) this.#faults.push({ ...this.#blame(keys), problem });
    }
    if (this.#faults.length > 0) throw toConfigError(this.#faults);
    const origins = [...this.#leaves.keys()].map((key): [string, Origin] => [
      key,
      this.#values.get(key)?.origin ?? "default",
    ]);
    return { config, origins: new Map(origins) };
  }

  /** The file's settings: a section's own, or a group of sections. */
  #groupOf(file: (typeof CONFIG_FILES)[number]): SettingGroup {
    if ("section" in file) {
      const section = this.#root.children.get(file.section);
      if (section?.kind === "group") return section;
    }
    const names: readonly string[] = "sections" in file ? file.sections : [];
    return { ...this.#root, children: new Map([...this.#root.children].filter(([name]) => names.includes(name))) };
  }

  #set(value: SourcedValue): void {
    const leaf = this.#leaves.get(value.key);
    if (leaf !== undefined) this.#values.set(value.key, { ...value, value: fromAnyCase(value.value, leaf) });
  }

  /** Adds a fault for each value that the schema refuses, and gives their keys. */
  #checkValues(): Set<string> {
    const bad = new Set<string>();
    const result = Config.safeParse(this.#tree());
    for (const issue of result.error?.issues ?? []) {
      const found = this.#valueAt(issue.path);
      if (found === undefined) throw result.error;
      const { setting, value, inner } = found;
      bad.add(setting.key);
      if (value.derived) continue;
      const whole = inner.suffix === "" ? "" : "the setting ";
      const problem = `${showValue(inner.value, setting.secret)} is not allowed: ${whole}must be ${setting.allowed}`;
      this.#faults.push({ source: value.origin, key: value.localKey + inner.suffix, problem });
    }
    return bad;
  }

  /** The setting that an issue is about, with the part of its value that is wrong. */
  #valueAt(path: readonly PropertyKey[]) {
    for (let length = path.length; length > 0; length--) {
      const key = path.slice(0, length).map(String).join(".");
      const setting = this.#leaves.get(key);
      const value = this.#values.get(key);
      if (setting === undefined || value === undefined) continue;
      const rest = path.slice(length);
      const inner = rest.reduce<unknown>(memberOf, value.value);
      const suffix = rest.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("");
      return { setting, value, inner: { value: inner, suffix } };
    }
    return undefined;
  }

  /** Source and key of the first of some settings that somebody set. */
  #blame(keys: readonly string[]): { source: Origin; key: string } {
    const value = keys.map((key) => this.#values.get(key)).find((value) => value !== undefined);
    return { source: value?.origin ?? "default", key: value?.key === keys[0] ? value?.localKey ?? "" : keys[0] ?? "" };
  }

  /** All values as the nested object that the schema takes. */
  #tree(): z.input<typeof Config> {
    return toTree(this.#root, this.#values);
  }
}

function toTree(group: SettingGroup, values: ReadonlyMap<string, SourcedValue>): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const [name, child] of group.children) {
    if (child.kind === "group") tree[name] = toTree(child, values);
    else if (values.has(child.key)) tree[name] = values.get(child.key)?.value;
  }
  return tree;
}

function memberOf(value: unknown, name: PropertyKey): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** Text of a file, or `undefined` when it or its folder does not exist. @throws {Error} when it cannot be read */
export function readConfigFile(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
