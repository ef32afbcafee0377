import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { sandboxDirectory } from "../../src/sandbox/code.ts";
import type { Jail } from "../../src/sandbox/jails/jail.ts";
import { processJail } from "../../src/sandbox/jails/process.ts";
import globals from "../data/sandbox-globals.json" with { type: "json" };
import { RuntimeDirectory, startHost } from "../support/hosts.ts";
import type { Findings } from "./attack_worker.ts";

/** Starts a real host, whose worker is the attacker, and gives what that found. */
async function attack(): Promise<Findings> {
  await using directory = new RuntimeDirectory();
  const code = `${directory.path}/code`;
  await Deno.mkdir(code);
  const bundled = sandboxDirectory()!;
  for (const { name, isFile } of Deno.readDirSync(bundled)) {
    if (isFile) await Deno.copyFile(`${bundled}/${name}`, `${code}/${name}`);
  }
  await bundle(fileURLToPath(new URL("attack_worker.ts", import.meta.url)), `${code}/worker.js`);
  // The process jail around a host whose code lies in another folder; all else is as ever.
  const jail: Jail = { ...processJail, inside: (paths) => ({ ...paths, bundle: code }) };
  await using host = await startHost(directory, { jail });
  return JSON.parse(host.nodes[0]!.description);
}

/** Bundles as scripts/bundle.ts does. */
async function bundle(entrypoint: string, output: string): Promise<void> {
  const result = await Deno.bundle({ entrypoints: [entrypoint], platform: "browser", format: "esm", write: false });
  assert(result.success, JSON.stringify(result.errors));
  await Deno.writeFile(output, result.outputFiles![0]!.contents!);
}

Deno.test("A hardened worker offers the globals that are listed, and its code reaches nothing else", async (test) => {
  const findings = await attack();
  await test.step("globals", () => assert.deepEqual(findings.names, globals.names));
  await test.step("symbols", () => assert.deepEqual(findings.symbols, globals.symbols));
  await test.step("nothing is left that should be gone", () => assert.deepEqual(findings.unremoved, []));
  assert(findings.attempts.length > 100);
  for (const { attempt, outcome } of findings.attempts) {
    await test.step(attempt, () => assert.equal(outcome, "refused"));
  }
});
