import assert from "node:assert/strict";
import { cacheFiles } from "../../src/sandbox/cache_files.ts";
import { selectJail } from "../../src/sandbox/jails/mod.ts";
import { fillCache } from "../../src/sandbox/warm_cache.ts";
import { hostOptions, RuntimeDirectory, startHost } from "../support/hosts.ts";

/** Contents of a folder's files, by name. */
function contentsOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    cacheFiles(directory).map((name) => [name, Deno.readFileSync(`${directory}/${name}`).toBase64()]),
  );
}

for (const type of ["auto", "process"] as const) {
  Deno.test(`fillCache() fills a cache that hosts start from and leave as it is: ${type}`, async () => {
    await using directory = new RuntimeDirectory();
    const jail = await selectJail({ enabled: true, type }, directory.path);
    const from = await fillCache("node", hostOptions(directory));
    assert(from !== null);
    const filled = contentsOf(from);
    assert(Object.keys(filled).some((name) => name.startsWith("v8_code_cache")), "V8's code is in it");
    for (const id of ["first", "second"]) {
      await using host = await startHost(directory, { id, jail, cache: { kind: "copy", from } });
      assert(host.nodes.length > 0);
    }
    assert.deepEqual(contentsOf(from), filled);
    const left = Array.from(Deno.readDirSync(directory.path), ({ name }) => name).filter((name) =>
      !/\.bpf$/.test(name)
    );
    assert.deepEqual(left, ["node.warm-cache"], "hosts leave nothing of their own");
  });
}
