import assert from "node:assert/strict";
import { PolicyOptions } from "../../src/config/schema.ts";
import { reuseKeyOf } from "../../src/execution/reuse.ts";
import { NO_GRANTS } from "../../src/sandbox/grants.ts";

const CODE = new TextEncoder().encode("export {};");

function keyOf(dependencies: readonly string[], codePackage = CODE): Promise<string | null> {
  const policy = PolicyOptions.parse({ reuse: "same-caller" });
  return reuseKeyOf({ codePackage, dependencies }, { caller: "ann", grants: NO_GRANTS, policy });
}

Deno.test("reuseKeyOf() tells apart packages, and what they depend on", async () => {
  const keys = await Promise.all([keyOf([]), keyOf(["npm:a@1"]), keyOf(["npm:a@2"]), keyOf([], CODE.slice(1))]);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(await keyOf(["npm:a@1"]), keys[1]);
});
