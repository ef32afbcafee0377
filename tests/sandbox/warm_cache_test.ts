import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { cacheFiles } from "../../src/sandbox/cache_files.ts";
import { sandboxCode, sandboxDirectory } from "../../src/sandbox/code.ts";
import { selectJail } from "../../src/sandbox/jails/mod.ts";
import { fillCache } from "../../src/sandbox/warm_cache.ts";
import { hostOptions, RuntimeDirectory, startHost } from "../support/hosts.ts";

/** Contents of a folder's files, by name. */
function contentsOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    cacheFiles(directory).map((name) => [name, Deno.readFileSync(`${directory}/${name}`).toBase64()]),
  );
}

Deno.test("fillCache() waits until what a host loads is in the cache, the parser too", async () => {
  await using directory = new RuntimeDirectory();
  const from = await fillCache("task", hostOptions(directory));
  using database = new DatabaseSync(`${from}/v8_code_cache_v2`);
  const query = database.prepare("SELECT length(data) AS bytes FROM codecache WHERE specifier = ?");
  // The parser's functions are in it, which V8 would rather compile when they are called.
  const { taskWorker, packageReader, packageValidator } = sandboxCode(sandboxDirectory());
  for (const module of [taskWorker, packageReader]) assert(Number(query.get(module)?.["bytes"]) > 100_000, module);
  assert(Number(query.get(packageValidator)?.["bytes"]) > 700_000);
});

for (const type of ["auto", "process"] as const) {
  Deno.test(`fillCache() fills a cache that hosts start from and leave as it is: ${type}`, async () => {
    await using directory = new RuntimeDirectory();
    const jail = await selectJail({ enabled: true, type }, directory.path);
    const from = await fillCache("node", hostOptions(directory, { jail }));
    assert(from !== null);
    const filled = contentsOf(from);
    assert(Object.keys(filled).some((name) => name.startsWith("v8_code_cache")), "V8's code is in it");
    assert(!Object.keys(filled).some((name) => /-(?:wal|shm)$/.test(name)), "nothing of it waits in a log");
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
