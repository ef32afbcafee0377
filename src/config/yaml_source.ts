/**
 * One YAML file as a source of settings: leaves with the line each stands on, and faults for what fits nowhere.
 * @module
 */
import { type Document, isAlias, isMap, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import { type ConfigFault, unknownKey } from "./faults.ts";
import type { SettingGroup, SettingNode } from "./settings.ts";

/** One value that a source gives. */
export interface SourcedValue {
  /** Key of the setting, from the root of the configuration. */
  readonly key: string;
  readonly value: unknown;
  /** Where the value is from: `config/service.yaml:12`. */
  readonly origin: string;
  /** The setting's key as that source spells it. */
  readonly localKey: string;
  /** Whether the value follows from another one, so that its faults are that one's. */
  readonly derived?: boolean;
}

/** What a file gives. */
export interface YamlSettings {
  readonly values: readonly SourcedValue[];
  readonly faults: readonly ConfigFault[];
}

/**
 * Reads a YAML file's settings.
 *
 * A section without a value (`server:` with nothing but comments below) counts as absent, and so does an empty file.
 * Values are not checked here.
 *
 * @param text The file's text
 * @param path The file's path, for origins
 * @param group The sections and settings that the file may hold
 */
export function readYaml(text: string, path: string, group: SettingGroup): YamlSettings {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  if (document.errors.length > 0) {
    const faults = document.errors.map((error) => ({
      source: `${path}:${lineCounter.linePos(error.pos[0]).line}`,
      key: "",
      problem: `not valid YAML: ${error.message}`,
    }));
    return { values: [], faults };
  }
  const reader = new YamlReader(document, path, lineCounter);
  reader.readGroup(document.contents, group, "");
  return reader;
}

class YamlReader implements YamlSettings {
  readonly values: SourcedValue[] = [];
  readonly faults: ConfigFault[] = [];
  readonly #document: Document.Parsed;
  readonly #path: string;
  readonly #lineCounter: LineCounter;

  constructor(document: Document.Parsed, path: string, lineCounter: LineCounter) {
    this.#document = document;
    this.#path = path;
    this.#lineCounter = lineCounter;
  }

  readGroup(node: Node | null, group: SettingGroup, localKey: string): void {
    if (node === null || (isScalar(node) && node.value === null)) return;
    const map = isAlias(node) ? node.resolve(this.#document) : node;
    if (!isMap(map)) {
      const names = [...group.children.keys()].join(", ");
      this.faults.push({ source: this.#at(node), key: localKey, problem: `must be a section with the keys ${names}` });
      return;
    }
    for (const pair of map.items) {
      const name = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
      const local = localKey === "" ? name : `${localKey}.${name}`;
      // The parser gives nodes for keys and values; a key without any value (`? name`) has null.
      const source = this.#at(pair.key as Node);
      const child = group.children.get(name);
      if (child === undefined) {
        this.faults.push({ source, key: local, problem: unknownKey(name, group.children.keys()) });
      } else this.#readChild(pair.value as Node | null, child, { local, source });
    }
  }

  #readChild(node: Node | null, child: SettingNode, at: { local: string; source: string }): void {
    if (child.kind === "group") return this.readGroup(node, child, at.local);
    const value: unknown = node?.toJS(this.#document) ?? null;
    this.values.push({ key: child.key, value, origin: at.source, localKey: at.local });
  }

  #at(node: Node): string {
    return `${this.#path}:${this.#lineCounter.linePos(node.range?.[0] ?? 0).line}`;
  }
}
