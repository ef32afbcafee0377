/**
 * Where the sandbox's assets come from: files that a worker asks its host for, see workers/assets.ts.
 *
 * Each comes from the npm package that `deno.json` pins; the code that uses it knows the names and types of that build's
 * exports.
 *
 * @module
 */

import { createRequire } from "node:module";
import type { AssetName } from "../workers/protocol.ts";

const { resolve } = createRequire(import.meta.url);

/** An asset as it is built. */
interface AssetSource {
  /** Whose work it is and under which licence. */
  readonly notice: string;
  read(): Promise<Uint8Array>;
}

const SOURCES = {
  "libsamplerate.wasm": {
    notice:
      "libsamplerate, Copyright (c) 2002-2021 Erik de Castro Lopo, BSD-2-Clause; built by @toots/libsamplerate.js",
    async read() {
      // The package has its wasm only as a data URL inside its JavaScript.
      const script = await Deno.readTextFile(resolve("@toots/libsamplerate.js"));
      const match = /data:application\/octet-stream;base64,([A-Za-z0-9+/=]+)/.exec(script);
      if (match?.[1] === undefined) throw new Error("Cannot find the wasm in @toots/libsamplerate.js");
      return Uint8Array.fromBase64(match[1]);
    },
  },
  "squoosh_resize.wasm": {
    notice: "Squoosh's build of the resize crate, Copyright 2020 Google Inc., Apache-2.0, from @jsquash/resize",
    read: () => Deno.readFile(resolve("@jsquash/resize/lib/resize/pkg/squoosh_resize_bg.wasm")),
  },
} as const satisfies Record<AssetName, AssetSource>;

/** The files of the assets' folder: each asset, and whose work they are. */
export async function assetFiles(): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const notices: string[] = [];
  for (const [name, { notice, read }] of Object.entries(SOURCES)) {
    files.set(name, await read());
    notices.push(`${name}: ${notice}.\n`);
  }
  files.set("NOTICE.txt", new TextEncoder().encode(notices.join("")));
  return files;
}
