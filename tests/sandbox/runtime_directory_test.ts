import assert from "node:assert/strict";
import { RuntimeDirectory } from "../../src/sandbox/runtime_directory.ts";

Deno.test("RuntimeDirectory.create() removes what a killed process left behind, and nothing of one that lives", async () => {
  const child = new Deno.Command("/bin/sh", { args: ["-c", "exit 0"] }).spawn();
  await child.status;
  const parent = await Deno.makeTempDir();
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", parent);
  try {
    for (const name of [`rexec-${child.pid}-a`, "rexec-1-b", "rexec-c", "other"]) await Deno.mkdir(`${parent}/${name}`);
    await using directory = await RuntimeDirectory.create();
    const names = Array.from(Deno.readDirSync(parent), ({ name }) => name).sort();
    const own = directory.path.slice(directory.path.lastIndexOf("/") + 1);
    assert.deepEqual(names, ["other", "rexec-1-b", own, "rexec-c"].sort());
    assert.equal((await Deno.stat(directory.path)).mode! & 0o077, 0);
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
    await Deno.remove(parent, { recursive: true });
  }
});
