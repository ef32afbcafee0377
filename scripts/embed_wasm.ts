/**
 * Writes the WebAssembly of the media nodes as TypeScript modules, `workers/nodes/_wasm/*_wasm.ts`.
 *
 * A worker may neither read files nor fetch, so the binaries have to lie in its code, and the same source has to run
 * bundled and unbundled: base64 in a string does both, and costs nothing until a node decodes it.
 *
 * ```sh
 * deno run --allow-read --allow-write --allow-env scripts/embed_wasm.ts            # after raising a package's version
 * deno run --allow-read --allow-env scripts/embed_wasm.ts --check                  # fails when a module is out of date
 * ```
 *
 * @module
 */

import { createRequire } from "node:module";

const { resolve } = createRequire(import.meta.url);

/** One embedded binary. */
interface Embedded {
  /** The module that holds it, from the repository's root. */
  readonly path: string;
  /** Name of the constant. */
  readonly constant: string;
  /** Where it comes from and under which licence, for the module's head. */
  readonly notice: string;
  /** Reads the binary, as base64, from the npm package that `deno.json` pins. */
  read(): Promise<string>;
}

const EMBEDDED: readonly Embedded[] = [
  {
    path: "workers/nodes/_wasm/libsamplerate_wasm.ts",
    constant: "LIBSAMPLERATE_WASM",
    notice:
      "libsamplerate, Copyright (c) 2002-2021 Erik de Castro Lopo, BSD-2-Clause; built by @toots/libsamplerate.js",
    async read() {
      // The package has its wasm only as a data URL inside its JavaScript.
      const script = await Deno.readTextFile(resolve("@toots/libsamplerate.js"));
      const match = /data:application\/octet-stream;base64,([A-Za-z0-9+/=]+)/.exec(script);
      if (match?.[1] === undefined) throw new Error("Cannot find the wasm in @toots/libsamplerate.js");
      return match[1];
    },
  },
  {
    path: "workers/nodes/_wasm/squoosh_resize_wasm.ts",
    constant: "SQUOOSH_RESIZE_WASM",
    notice: "Squoosh's build of the resize crate, Copyright 2020 Google Inc., Apache-2.0, from @jsquash/resize",
    async read() {
      const bytes = await Deno.readFile(resolve("@jsquash/resize/lib/resize/pkg/squoosh_resize_bg.wasm"));
      return bytes.toBase64();
    },
  },
];

/** The text that each module should have, by path from the repository's root. */
export async function wasmModules(): Promise<Map<string, string>> {
  const modules = new Map<string, string>();
  for (const { path, constant, notice, read } of EMBEDDED) {
    modules.set(
      path,
      `// deno-fmt-ignore-file\n// Made by scripts/embed_wasm.ts, do not edit. ${notice}.\n` +
        `export const ${constant}: string =\n  "${await read()}";\n`,
    );
  }
  return modules;
}

if (import.meta.main) {
  const check = Deno.args.includes("--check");
  for (const [path, text] of await wasmModules()) {
    const file = new URL(`../${path}`, import.meta.url);
    const current = await Deno.readTextFile(file).catch(() => undefined);
    if (current === text) continue;
    if (check) {
      console.error(`${path} is out of date: run scripts/embed_wasm.ts`);
      Deno.exit(1);
    }
    await Deno.writeTextFile(file, text);
    console.log(`wrote ${path}`);
  }
}
