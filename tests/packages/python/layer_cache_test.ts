import assert from "node:assert/strict";
import { LayerCache } from "../../../src/packages/python/layer_cache.ts";

Deno.test("LayerCache.get() drops what was used longest ago when there are too many bytes", async () => {
  const cache = new LayerCache(25);
  const made: string[] = [];
  const get = (key: string) =>
    cache.get(key, () => {
      made.push(key);
      return Promise.resolve(new Uint8Array(10));
    });
  await get("a");
  await get("b");
  await get("a");
  await get("c");
  assert.equal(cache.bytes, 20);
  await get("a");
  await get("b");
  assert.deepEqual(made, ["a", "b", "c", "b"]);
});

Deno.test("LayerCache.get() does not keep what is larger than all of it", async () => {
  const cache = new LayerCache(5);
  assert.equal((await cache.get("a", () => Promise.resolve(new Uint8Array(6)))).bytes.length, 6);
  assert.equal(cache.bytes, 0);
});

Deno.test("LayerCache.get() makes one at a time, each once, and tries again after a failure", async () => {
  const cache = new LayerCache(100);
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const make = (key: string) => async () => {
    log.push(`begin ${key}`);
    await gate.promise;
    log.push(`end ${key}`);
    if (key === "a" && log.length < 3) throw new Error("no");
    return new Uint8Array(1);
  };
  const first = cache.get("a", make("a"));
  const same = cache.get("a", make("a"));
  const other = cache.get("b", make("b"));
  gate.resolve();
  await assert.rejects(first, { message: "no" });
  await assert.rejects(same, { message: "no" });
  await other;
  await cache.get("a", make("a"));
  assert.deepEqual(log, ["begin a", "end a", "begin b", "end b", "begin a", "end a"]);
});
