import assert from "node:assert/strict";
import { probeSandbox } from "../../src/sandbox/probe.ts";
import { processJail } from "../../src/sandbox/jails/process.ts";
import type { Jail } from "../../src/sandbox/jails/mod.ts";
import { fakeJail } from "../fakes/fake_jail.ts";
import { RuntimeDirectory, startHost } from "../support/hosts.ts";

/** A jail whose hosts get a right that they must not have. */
function granting(...flags: readonly string[]): Jail {
  return {
    ...processJail,
    enclose(spec) {
      const { command } = spec;
      // Deno's flags come after `run`; a right that is granted must not be denied as well.
      const names = flags.map((flag) => flag.replace(/^--allow-([a-z]+).*/, "$1"));
      const kept = command.args.filter((arg) => !names.some((name) => arg.match(`^--(allow|deny)-${name}(=|$)`)));
      return processJail.enclose({ ...spec, command: { ...command, args: ["run", ...flags, ...kept.slice(1)] } });
    },
  };
}

Deno.test("probeSandbox() gives what a sandbox refused, and cleans up", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  const outcomes = await probeSandbox(host, directory.path);
  assert(outcomes.length > 40);
  assert(outcomes.every(({ leaked }) => !leaked));
  assert(!directory.entries.includes("probe"));
  assert.equal(Deno.env.get("REXEC_PROBE_CANARY"), undefined);
});

const LEAKS: readonly [flags: readonly string[], leak: RegExp][] = [
  // A host gives up rights by itself once it has connected, but it keeps to read single folders, for its own code.
  [["--allow-read=/"], /host: read file \(canary\)/],
];

for (const [flags, leak] of LEAKS) {
  Deno.test(`probeSandbox() finds a host that was started with ${flags.join(" ")}`, async () => {
    await using directory = new RuntimeDirectory();
    await using host = await startHost(directory, { jail: granting(...flags) });
    await assert.rejects(probeSandbox(host, directory.path), (error: Error & { code?: string }) => {
      assert.equal(error.code, "SANDBOX_LEAK");
      assert.match(error.message, /^Cannot serve: the sandbox leaks: /);
      assert.match(error.message, leak);
      return true;
    });
    assert(!directory.entries.includes("probe"));
  });
}

for (const behaviour of ["leaks", "probes nothing"]) {
  Deno.test(`probeSandbox() refuses a host that ${behaviour}`, async () => {
    await using directory = new RuntimeDirectory();
    await using host = await startHost(directory, { jail: fakeJail(behaviour) });
    await assert.rejects(probeSandbox(host, directory.path), { code: "SANDBOX_LEAK" });
  });
}

Deno.test("probeSandbox() refuses a host that dies under the probe", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  const probing = probeSandbox(host, directory.path);
  Deno.kill(host.pid, "SIGKILL");
  await assert.rejects(probing, { code: "SANDBOX_LOST" });
  assert(!directory.entries.includes("probe"));
});
