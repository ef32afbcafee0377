import assert from "node:assert/strict";
import { probeSandbox, PYTHON_PROBED_PLACES } from "../../src/sandbox/probe.ts";
import { processJail } from "../../src/sandbox/jails/process.ts";
import type { Jail } from "../../src/sandbox/jails/mod.ts";
import { fakeJail } from "../fakes/fake_jail.ts";
import { RuntimeDirectory, startHost } from "../support/hosts.ts";

/** The process jail, but that the host may read one folder more. */
function readingToo(folder: string): Jail {
  return {
    ...processJail,
    enclose(spec) {
      const args = spec.command.args.map((arg) => arg.startsWith("--allow-read=") ? `${arg},${folder}` : arg);
      return processJail.enclose({ ...spec, command: { ...spec.command, args } });
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

// A host gives up rights by itself once it has connected, but it keeps to read single folders, for its own code.
Deno.test("probeSandbox() finds a host that may read a folder besides its own", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { jail: readingToo(`${directory.path}/probe`) });
  await assert.rejects(probeSandbox(host, directory.path), (error: Error & { code?: string }) => {
    assert.equal(error.code, "SANDBOX_LEAK");
    assert.match(error.message, /^Cannot serve: the sandbox leaks: /);
    assert.match(error.message, /host: read file \(canary\)/);
    return true;
  });
  assert(!directory.entries.includes("probe"));
});

Deno.test("probeSandbox() refuses a host for Python that tried nothing from inside its interpreter", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  await assert.rejects(probeSandbox(host, directory.path, PYTHON_PROBED_PLACES), {
    code: "SANDBOX_LEAK",
    message: "Cannot serve: the sandbox leaks: interpreter: nothing was tried",
  });
});

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
