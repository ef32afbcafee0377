import assert from "node:assert/strict";
import { LayerStore } from "../../src/packages/layers/layer_store.ts";
import { TestFolder } from "../fakes/folder.ts";

const layerOf = (text: string) => ({
  layer: new TextEncoder().encode(text),
  installed: [`npm:${text}`],
  resolvedAtMs: 5,
});

function files(folder: TestFolder): string[] {
  return ["layers", "sets"].flatMap((name) =>
    Array.from(Deno.readDirSync(folder.file(`store/${name}`)), ({ name: file }) => folder.file(`store/${name}/${file}`))
  );
}

async function open(folder: TestFolder, maxBytes = 1_000): Promise<LayerStore> {
  return await LayerStore.open({ directory: folder.file("store"), maxBytes });
}

Deno.test("LayerStore gives what was kept, to who opens its folder later, too", async () => {
  await using folder = await TestFolder.make();
  const store = await open(folder);
  assert.equal(await store.find("a"), undefined);
  await store.keep("a", layerOf("one"));
  await store.keep("b", layerOf("one"));
  assert.deepEqual(await store.find("a"), layerOf("one"));
  assert.deepEqual(await (await open(folder)).find("b"), layerOf("one"));
  // Two sets, one layer, and nothing that was half written.
  assert.equal(files(folder).length, 3);
});

Deno.test("LayerStore gives nothing that has changed on disk", async () => {
  await using folder = await TestFolder.make();
  const store = await open(folder);
  await store.keep("a", layerOf("one"));
  const [layer = ""] = files(folder);
  await Deno.writeTextFile(layer, "two");
  assert.equal(await store.find("a"), undefined);
  await assert.rejects(Deno.stat(layer), Deno.errors.NotFound);
  await store.keep("a", layerOf("one"));
  const set = files(folder).find((path) => path.includes("/sets/")) ?? "";
  await Deno.writeTextFile(set, '{"digest": "../../../etc/passwd"}');
  assert.equal(await store.find("a"), undefined);
});

Deno.test("LayerStore lets go what was used longest ago", async () => {
  await using folder = await TestFolder.make();
  const store = await open(folder, 10);
  const past = (path: string, seconds: number) => Deno.utime(path, seconds, seconds);
  await store.keep("a", layerOf("aaaa"));
  await past(files(folder)[0] ?? "", 1_000);
  await store.keep("b", layerOf("bbbb"));
  for (const path of files(folder)) if ((await Deno.stat(path)).mtime?.getTime() !== 1_000_000) await past(path, 2_000);
  // Reading counts as use.
  assert.notEqual(await store.find("a"), undefined);
  await store.keep("c", layerOf("cccc"));
  assert.deepEqual(
    (await Promise.all(["a", "b", "c"].map((key) => store.find(key)))).map((found) => found !== undefined),
    [true, false, true],
  );
  await store.keep("d", layerOf("d".repeat(11)));
  assert.equal(await store.find("d"), undefined);
});
