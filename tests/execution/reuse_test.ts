import assert from "node:assert/strict";
import { PolicyOptions } from "../../src/config/schema.ts";
import { packageDigestOf } from "../../src/execution/package_digest.ts";
import { reuseKeyOf } from "../../src/execution/reuse.ts";
import { NO_GRANTS } from "../../src/sandbox/grants.ts";

const CODE = new TextEncoder().encode("export {};");

async function keyOf(dependencies: readonly string[], codePackage = CODE): Promise<string | null> {
  const policy = PolicyOptions.parse({ reuse: "same-caller" });
  const packageDigest = await packageDigestOf(codePackage);
  return reuseKeyOf({ packageDigest, dependencies }, { caller: "ann", grants: NO_GRANTS, policy });
}

Deno.test("reuseKeyOf() tells apart packages, and what they depend on", async () => {
  const keys = await Promise.all([keyOf([]), keyOf(["npm:a@1"]), keyOf(["npm:a@2"]), keyOf([], CODE.slice(1))]);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(await keyOf(["npm:a@1"]), keys[1]);
});

Deno.test("packageDigestOf() is SHA-256, whichever way a length takes", async () => {
  for (const length of [0, 3, 64 * 1024, 64 * 1024 + 1]) {
    const bytes = Uint8Array.from({ length }, (_, index) => index);
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    assert.equal(await packageDigestOf(bytes), new Uint8Array(digest).toHex(), `${length} bytes`);
  }
});
