import { ok } from "node:assert/strict";
import { wasmModules } from "../../scripts/embed_wasm.ts";

Deno.test("embed_wasm.ts would write the modules that are there", async () => {
  for (const [path, text] of await wasmModules()) {
    // Not strictEqual, which would print two megabytes.
    ok(await Deno.readTextFile(new URL(`../../${path}`, import.meta.url)) === text, `${path} is out of date`);
  }
});
