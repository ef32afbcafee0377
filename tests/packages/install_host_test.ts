import assert from "node:assert/strict";
import { HostProcess } from "../../src/sandbox/host_process.ts";
import { probeSandbox } from "../../src/sandbox/probe.ts";
import { hostOptions, RuntimeDirectory } from "../support/hosts.ts";
import { jailTypes, TestJail } from "../support/jails.ts";

for (const type of await jailTypes()) {
  Deno.test(`The sandbox of an installer keeps it in (${type})`, async () => {
    await using jail = await TestJail.make(type);
    await using directory = new RuntimeDirectory();
    const options = hostOptions(directory, { role: "task", installs: true, jail: jail.jail });
    await using host = await HostProcess.start(options, { signal: new AbortController().signal });
    const outcomes = await probeSandbox(host, directory.path);
    assert(outcomes.length > 0 && outcomes.every(({ leaked }) => !leaked));
  });
}
