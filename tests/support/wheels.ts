/**
 * Wheels for tests, honest ones and others.
 * @module
 */

import { DEFAULT_PACKAGE_LIMITS } from "../../workers/package/limits.ts";
import { readZip } from "../../workers/package/read_zip.ts";
import type { PythonVersion } from "../../workers/protocol.ts";
import type { PackageBounds } from "../../workers/package/python/distribution.ts";
import { type ResolvedPackages, Wheelhouse } from "../../src/packages/python/wheelhouse.ts";
import { TestFolder } from "../fakes/folder.ts";
import { bytesOf, writeZip, type ZipOptions, type ZipSource } from "./zip_writer.ts";

/** What a wheel has; what is left out is as an honest builder writes it. */
export interface WheelSource {
  files?: Record<string, string | Uint8Array>;
  /** Lines of `Requires-Dist`. */
  requires?: readonly string[];
  /** More headers of METADATA. */
  headers?: string;
  /** Texts of files of the metadata's folder in place of what belongs there; `undefined` leaves one out. */
  info?: Readonly<Record<string, string | undefined>>;
  /** More entries of the zip, which RECORD does not list. */
  unlisted?: readonly ZipSource[];
  zip?: ZipOptions;
}

/** Makes the wheel of a file name, `demo-1.0-py3-none-any.whl` say. */
export async function wheelBytes(fileName: string, source: WheelSource = {}): Promise<Uint8Array> {
  const [name = "", version = ""] = fileName.split("-");
  const info = `${name}-${version}.dist-info`;
  const requires = (source.requires ?? []).map((line) => `Requires-Dist: ${line}\n`).join("");
  const texts: Record<string, string | Uint8Array | undefined> = {
    ...source.files ?? { [`${name}/__init__.py`]: `__version__ = "${version}"\n` },
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n${
      source.headers ?? ""
    }${requires}\nAbout it.\n`,
    [`${info}/WHEEL`]: "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
  };
  for (const [path, text] of Object.entries(source.info ?? {})) texts[`${info}/${path}`] = text;
  const entries = Object.entries(texts).flatMap(([path, text]) => text === undefined ? [] : [{ path, text }]);
  const rows = await Promise.all(entries.map(async ({ path, text }) => {
    const data = bytesOf(text) as Uint8Array<ArrayBuffer>;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    return `${path},sha256=${digest.toBase64({ alphabet: "base64url", omitPadding: true })},${data.length}\n`;
  }));
  const sources: ZipSource[] = entries.map(({ path, text }) => ({ name: path, data: text }));
  const hasRecord = source.info !== undefined && "RECORD" in source.info;
  if (!hasRecord) sources.push({ name: `${info}/RECORD`, data: `${rows.join("")}${info}/RECORD,,\n` });
  return writeZip([...sources, ...source.unlisted ?? []], source.zip ?? {});
}

/** Bounds that no wheel of a test comes near. */
export const BOUNDS: PackageBounds = { maxCompressedBytes: 2 ** 24, maxUnpackedBytes: 2 ** 24, maxFiles: 1_000 };

/** What a task gets, when it asks for lines of requirements. */
export type Resolve = (
  requirements: string | readonly string[],
  version?: PythonVersion,
) => Promise<ResolvedPackages>;

/** A folder of packages for one test. */
export class TestWheelhouse implements AsyncDisposable {
  private constructor(readonly folder: TestFolder, readonly wheelhouse: Wheelhouse) {}

  /** @param wheels by file name; a list stands for the requirements of one */
  static async make(
    wheels: Readonly<Record<string, WheelSource | readonly string[]>>,
    options: { bounds?: Partial<PackageBounds>; files?: Record<string, string>; maxCacheBytes?: number } = {},
  ): Promise<TestWheelhouse> {
    const folder = await TestFolder.make(options.files);
    try {
      for (const [name, source] of Object.entries(wheels)) await writeWheel(folder, name, source);
      const bounds = { ...BOUNDS, ...options.bounds };
      const wheelhouse = await Wheelhouse.open(folder.path, {
        bounds,
        maxCacheBytes: options.maxCacheBytes ?? 2 ** 24,
      });
      return new TestWheelhouse(folder, wheelhouse);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  readonly resolve: Resolve = (requirements, version = "3.11") => {
    const lines = typeof requirements === "string" ? [requirements] : requirements;
    return this.wheelhouse.resolve({ version, requirements: lines, signal: new AbortController().signal });
  };

  async add(fileName: string, source: WheelSource | readonly string[] = {}): Promise<void> {
    await writeWheel(this.folder, fileName, source);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }
}

async function writeWheel(folder: TestFolder, name: string, source: WheelSource | readonly string[]): Promise<void> {
  const isList = (value: WheelSource | readonly string[]): value is readonly string[] => Array.isArray(value);
  const bytes = await wheelBytes(name, isList(source) ? { requires: source } : source);
  await Deno.writeFile(folder.file(name), bytes);
}

/** Texts of a layer's files by path. */
export function layerFiles(layer: Uint8Array): Record<string, string> {
  const files = readZip(layer, DEFAULT_PACKAGE_LIMITS);
  return Object.fromEntries([...files].map(([path, content]) => [path, new TextDecoder().decode(content)]));
}
