/**
 * Manifests of code packages.
 * @module
 */

import assert from "node:assert/strict";
import { bytesOf } from "../../support/zip_writer.ts";
import { type Manifest, parseManifest, RUNTIMES } from "../../../workers/package/manifest.ts";
import { pureTarget, type Target } from "../engine.ts";
import { damageJson, type Json } from "../json_values.ts";
import { mutate } from "../mutate.ts";
import { attempt } from "../task_errors.ts";

const SEEDS: readonly Json[] = [
  { version: "1.0", type: "code_package" },
  {
    version: "1.0",
    type: "code_package",
    has_serialized_object: false,
    pip_requirements: ["numpy"],
    entry_files: ["main.ts"],
    dependencies: ["npm:zod@4"],
    runtime: "deno",
    python_version: "3.11",
    permissions: { net: ["example.com"], read: true, env: null },
  },
  { version: "1.0", type: "code_package", runtime: "python", permissions: ["net"], extra: { kept: [1, null] } },
];

/** What `openPackage()` reads first. */
export const manifest: Target = pureTarget({
  name: "manifest",
  description: "manifests of code packages",
  iterations: 4_000,
  reaches: ["fine", "INVALID_TASK"],
  generate(random) {
    let value = random.pick(SEEDS);
    for (let steps = random.between(0, 3); steps > 0; steps--) value = damageJson(value, random);
    const bytes = bytesOf(JSON.stringify(value));
    return random.chance(0.2) ? mutate(bytes, random) : bytes;
  },
  run(input) {
    const read = attempt(["INVALID_TASK"], () => parseManifest(input));
    if ("refused" in read) return read.refused;
    check(read.value);
    const text = JSON.stringify(read.value);
    assert.equal(JSON.stringify(parseManifest(bytesOf(text))), text, "it says the same when it is read again");
    return "fine";
  },
});

function check(value: Manifest): void {
  assert.deepEqual([value.version, value.type], ["1.0", "code_package"]);
  assert.equal(typeof value.has_serialized_object, "boolean");
  assert(value.runtime === undefined || RUNTIMES.includes(value.runtime));
  assert(value.python_version === undefined || value.python_version.length <= 40);
  for (const lines of [value.pip_requirements, value.entry_files, value.dependencies]) {
    assert(Array.isArray(lines) && lines.length <= 1_000);
    assert(lines.every((line) => typeof line === "string" && line !== "" && line.length <= 1_000));
  }
  assert.equal(Object.getPrototypeOf(value), Object.prototype, "a key has become the prototype");
}
