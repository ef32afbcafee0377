/**
 * What a layer of npm packages holds: an index that says what may be imported by which name, and ready-made modules.
 *
 * It is no zip, as Python's is: it has thousands of files, of which a task needs a few, and those are found here without
 * looking at the others. A little-endian `u32` is the length of the index, which is JSON; the files' bytes follow.
 *
 * @module
 */

import { normalPath, type PackageFields } from "./package_fields.ts";
import { malformed } from "../limits.ts";

/** See the module. */
export interface LayerIndex {
  /** What was declared, in order, and the package that it became. */
  readonly roots: readonly LayerRoot[];
  /** What decides on the entries of the declared packages, by `name@version`. */
  readonly packages: Readonly<Record<string, PackageFields>>;
  /** The module to import for a file of a package, both as `name@version/path`. */
  readonly modules: Readonly<Record<string, string>>;
  /** What each module loads. */
  readonly loads: Readonly<Record<string, readonly string[]>>;
}

/** An index as it is stored. */
interface StoredIndex extends LayerIndex {
  /** Where each file's bytes lie behind the index: the first, and how many. */
  readonly files: Readonly<Record<string, readonly [start: number, length: number]>>;
}

/** A layer that was read. */
export interface Layer {
  readonly index: LayerIndex;
  /** Gives a file, a view; `undefined` when there is none. */
  readonly file: (path: string) => Uint8Array | undefined;
}

/** A declared package. */
export interface LayerRoot {
  readonly name: string;
  /** The range as declared; `null` for none. */
  readonly wanted: string | null;
  /** `name@version` */
  readonly key: string;
}

/** Makes a layer, the same for the same contents. */
export function encodeLayer(index: LayerIndex, files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const places: Record<string, [number, number]> = {};
  const inOrder = [...files].sort(([left], [right]) => left < right ? -1 : 1);
  let length = 0;
  for (const [path, content] of inOrder) {
    places[path] = [length, content.length];
    length += content.length;
  }
  const stored: StoredIndex = { ...index, files: places };
  const head = new TextEncoder().encode(JSON.stringify(stored));
  const bytes = new Uint8Array(4 + head.length + length);
  new DataView(bytes.buffer).setUint32(0, head.length, true);
  bytes.set(head, 4);
  let at = 4 + head.length;
  for (const [, content] of inOrder) {
    bytes.set(content, at);
    at += content.length;
  }
  return bytes;
}

/**
 * Reads a layer. Who made it has read strangers' archives: nothing but its shape is relied on.
 * @throws {TaskError} `INVALID_TASK` when it is none
 */
export function decodeLayer(bytes: Uint8Array): Layer {
  const headEnd = bytes.length < 4 ? Infinity : 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (headEnd > bytes.length) throw malformed("the layer of its packages is cut off");
  let index: unknown;
  try {
    index = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(4, headEnd)));
  } catch (cause) {
    throw malformed("the index of its packages is not JSON", { cause });
  }
  if (!isIndex(index)) throw malformed("the index of its packages is malformed");
  const { files } = index;
  return {
    index,
    file: (path) => {
      const [start, length] = Object.hasOwn(files, path) ? files[path] ?? [] : [];
      return start === undefined || length === undefined
        ? undefined
        : bytes.subarray(headEnd + start, headEnd + start + length);
    },
  };
}

function isIndex(value: unknown): value is StoredIndex {
  if (!isRecord(value)) return false;
  const { roots, packages, modules, loads, files } = value;
  return Array.isArray(roots) && roots.every(isRoot) &&
    isRecord(packages) && Object.values(packages).every(isRecord) &&
    isRecord(modules) && Object.values(modules).every(isPath) &&
    isRecord(loads) && Object.values(loads).every((paths) => Array.isArray(paths) && paths.every(isPath)) &&
    isRecord(files) && Object.values(files).every(isPlace);
}

function isPlace(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((part) => Number.isSafeInteger(part) && part >= 0);
}

function isRoot(value: unknown): value is LayerRoot {
  return isRecord(value) && typeof value.name === "string" && typeof value.key === "string" &&
    (value.wanted === null || typeof value.wanted === "string");
}

function isPath(value: unknown): boolean {
  return typeof value === "string" && value !== "" && normalPath(value) === value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A path as it is imported from the folder of another file; both start at the same root. */
export function relativePath(fromFile: string, toFile: string): string {
  const from = fromFile.split("/").slice(0, -1);
  const to = toFile.split("/");
  let common = 0;
  while (common < from.length && common < to.length - 1 && from[common] === to[common]) common++;
  const up = from.length - common;
  // What a URL would read otherwise is escaped.
  const rest = to.slice(common).map((segment) => encodeURIComponent(segment).replaceAll("%40", "@")).join("/");
  return `${up === 0 ? "./" : "../".repeat(up)}${rest}`;
}
