import assert from "node:assert/strict";
import type { TaskEnd } from "../../src/sandbox/task.ts";
import { RuntimeDirectory, startHost } from "../support/hosts.ts";
import { zipOf } from "../support/packages.ts";

const encoder = new TextEncoder();
const SUM = encoder.encode("export default (n: number): number => n + 1;");
/** Validation refuses it; where it is not validated, it is run until its import is denied. */
const REACHING_OUT = encoder.encode('import "node:fs";\nexport default () => 1;');
const DEPENDING = zipOf({
  "manifest.json": JSON.stringify({
    version: "1.0",
    type: "code_package",
    runtime: "deno",
    dependencies: ["npm:left-pad@1.3.0"],
  }),
  "main.ts": "export default () => 1;",
});

/** Runs a package in a host of its own. */
async function open(codePackage: Uint8Array, validated: boolean) {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { role: "task" });
  const { promise, resolve } = Promise.withResolvers<TaskEnd>();
  let vouched = 0;
  host.run({
    message: {
      format: "json",
      memoryLimitBytes: 2 ** 28,
      maxOutputBytes: 1_000,
      maxConsoleBytes: 1_000,
      options: {
        entryPoint: "",
        dependencies: [],
        maxPackageBytes: 2 ** 20,
        maxUnpackedBytes: 2 ** 20,
        maxFiles: 10,
        blockedImports: [],
        validated,
        environment: {},
      },
      input: encoder.encode("20"),
      layers: [],
      codePackage,
    },
    limits: { timeoutMs: 60_000, cpuMs: 60_000, cpuPercent: 400, memoryBytes: 2 ** 30, threads: 64 },
    onEnd: resolve,
    onLog() {},
    onValidated: () => vouched++,
  }, performance.now());
  const end = await promise;
  assert(end.kind === "result", JSON.stringify(end));
  const { outcome, message, output } = end.result;
  return { outcome, message, output: new TextDecoder().decode(output), vouched };
}

Deno.test("a host vouches once for a package that passes every check, and runs one that passed before without them", async () => {
  assert.deepEqual(await open(SUM, false), { outcome: "OK", message: "", output: "21", vouched: 1 });
  assert.deepEqual(await open(SUM, true), { outcome: "OK", message: "", output: "21", vouched: 0 });
});

Deno.test("a host vouches for no package that it refuses, and needs no validation to keep it from what it may not have", async () => {
  const refused = await open(REACHING_OUT, false);
  assert.deepEqual([refused.outcome, refused.vouched], ["SECURITY_VIOLATION", 0]);
  assert.match(refused.message, /main\.ts:1:\d+: the builtin "node:fs" is not offered/);
  const denied = await open(REACHING_OUT, true);
  assert.deepEqual([denied.outcome, denied.vouched], ["TASK_FAILED", 0]);
  assert.match(denied.message, /this sandbox does not offer it/);
});

Deno.test("a host validates a package with dependencies whatever it was told, and vouches for none", async () => {
  for (const validated of [false, true]) {
    const { outcome, message, vouched } = await open(DEPENDING, validated);
    assert.deepEqual([outcome, vouched], ["INVALID_TASK", 0]);
    assert.match(message, /Cannot install dependency "npm:left-pad@1\.3\.0"/);
  }
});
