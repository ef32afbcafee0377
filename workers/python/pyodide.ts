/**
 * Loads CPython: Pyodide (https://pyodide.org) in a worker that may read nothing and reach nothing. Its files are handed
 * to it, and what it looks for on the global object while it loads is there for that long.
 * @module
 */

import type { PythonFiles } from "../protocol.ts";
import { unpackSnapshot } from "./memory_snapshot.ts";

/** The part of Emscripten's file system that is used; see https://emscripten.org/docs/api_reference/Filesystem-API.html */
export interface FileSystem {
  mkdirTree(path: string): void;
  writeFile(path: string, data: Uint8Array, options?: { readonly canOwn?: boolean }): void;
  readFile(path: string): Uint8Array;
  stat(path: string): { readonly size: number };
  unlink(path: string): void;
  makedev(major: number, minor: number): number;
  registerDevice(device: number, operations: Readonly<Record<string, unknown>>): void;
  mkdev(path: string, device: number): void;
}

/** A module of Python's, as JavaScript sees it. */
export interface PythonModule {
  destroy(): void;
}

/** The part of Pyodide's API that is used, the same in all versions. */
export interface Pyodide {
  readonly FS: FileSystem;
  runPython(code: string): unknown;
  pyimport(name: string): PythonModule;
  setStdin(options: { readonly stdin: () => null }): void;
  setStdout(options: { readonly write: (bytes: Uint8Array) => number }): void;
  setStderr(options: { readonly write: (bytes: Uint8Array) => number }): void;
  setInterruptBuffer(flags: Int32Array): void;
  /** Newer versions only. */
  makeMemorySnapshot?(): Uint8Array;
}

/** What the npm package exports. */
export interface PyodideDistribution {
  loadPyodide(options: Readonly<Record<string, unknown>>): Promise<Pyodide>;
  /** The factory that Emscripten generates. */
  createPyodideModule(settings: ModuleSettings): Promise<unknown>;
  /** Whether this version can give its memory, and start from it, and is to. */
  readonly hasSnapshots: boolean;
  /** `pyodide-lock.json` without packages. */
  readonly lockFile: object;
}

/** The part of Emscripten's settings that is used; see https://emscripten.org/docs/api_reference/module.html */
export interface ModuleSettings {
  /** Called when there is a file system, and before Python starts. */
  readonly preRun: ((module: { readonly FS: FileSystem }) => void)[];
  /** The interpreter's memory, once there is one. */
  readonly HEAP8?: Int8Array;
}

/** Nothing is ever fetched from there: it only has to look like an address. */
const INDEX_URL = "https://pyodide.invalid/";

/** Compiled modules, which Python looks for before the sources. */
const COMPILED_PATH = "/precompiled.zip";

/** As much of the Fetch standard's Response as Pyodide reads. */
interface LoadedFile {
  readonly ok: true;
  arrayBuffer(): Promise<ArrayBuffer>;
  json(): Promise<unknown>;
}

/**
 * What Pyodide takes for a browser's worker. It looks at these when its modules are evaluated, so they are put in place
 * before, and taken away when it has been loaded.
 */
const browser = {
  self: globalThis,
  location: new URL(INDEX_URL),
  WorkerGlobalScope: class {
    static [Symbol.hasInstance](): boolean {
      return true;
    }
  },
  importScripts: () => {
    throw new TypeError("Cannot import scripts into a module worker");
  },
  fetch: (url: unknown): Promise<LoadedFile> => Promise.resolve(loadFile(String(url))),
};
Object.assign(globalThis, browser);

/** What is instantiated in place of what it would be fetched from. */
const WASM_NAME = "pyodide.asm.wasm";
const NO_FILE: LoadedFile = {
  ok: true,
  arrayBuffer: () => Promise.resolve(new ArrayBuffer(0)),
  json: () => Promise.resolve(undefined),
};

/** Each is given away once, so that no copy of it stays. */
const files = new Map<string, Uint8Array<ArrayBuffer>>();

function loadFile(url: string): LoadedFile {
  const name = url.slice(url.lastIndexOf("/") + 1);
  if (name === WASM_NAME) return NO_FILE;
  const file = files.get(name);
  if (file === undefined) throw new Error(`Cannot load "${name}": it is no file of Pyodide's`);
  files.delete(name);
  return {
    ok: true,
    arrayBuffer: () => Promise.resolve(file.buffer),
    json: () => Promise.resolve(JSON.parse(new TextDecoder().decode(file))),
  };
}

/** @param mustSnapshot whether {@linkcode Pyodide.makeMemorySnapshot} is to work, which costs time */
export async function loadPyodide(
  { loadPyodide, createPyodideModule, lockFile, hasSnapshots }: PyodideDistribution,
  { wasm, standardLibrary, snapshot }: PythonFiles & { readonly wasm: Promise<WebAssembly.Module> },
  mustSnapshot: boolean,
): Promise<Pyodide> {
  files.set("python_stdlib.zip", standardLibrary);
  files.set("pyodide-lock.json", new TextEncoder().encode(JSON.stringify(lockFile)));
  const compiled = hasSnapshots ? undefined : snapshot;
  /** Emscripten's module: it becomes what the settings are. */
  let emscripten: ModuleSettings | undefined;
  const create = (settings: ModuleSettings) => {
    emscripten = settings;
    if (compiled !== undefined) {
      settings.preRun.push(({ FS }) => FS.writeFile(COMPILED_PATH, compiled, { canOwn: true }));
    }
    return createPyodideModule(settings);
  };
  // Older versions find it by this name, newer ones are given it.
  Object.assign(globalThis, { _createPyodideModule: create });
  const { instantiateStreaming } = WebAssembly;
  // It has been compiled already, and what would have been fetched is not there.
  WebAssembly.instantiateStreaming = async (_source, imports) => {
    const module = await wasm;
    return { module, instance: await WebAssembly.instantiate(module, imports) };
  };
  try {
    return await loadPyodide({
      indexURL: INDEX_URL,
      createPyodideModule: create,
      // What Pyodide's own modules import while they load. Nothing else of JavaScript is to be seen from Python.
      jsglobals: { Object, setTimeout, clearTimeout },
      stdin: () => null,
      ...(compiled === undefined ? {} : { env: { PYTHONPATH: COMPILED_PATH } }),
      ...(mustSnapshot && hasSnapshots ? { _makeSnapshot: true } : {}),
      ...(hasSnapshots && snapshot !== undefined
        ? { _loadSnapshot: unpackSnapshot(snapshot, () => emscripten?.HEAP8 ?? new Int8Array()) }
        : {}),
    });
  } finally {
    WebAssembly.instantiateStreaming = instantiateStreaming;
    for (const name of [...Object.keys(browser), "_createPyodideModule"]) Reflect.deleteProperty(globalThis, name);
  }
}
