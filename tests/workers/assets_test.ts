import { deepEqual, doesNotMatch, equal, rejects } from "node:assert/strict";
import { AssetRequests } from "../../workers/asset_requests.ts";
import { loadAsset, loadWasm, setAssetLoader } from "../../workers/assets.ts";
import type { AssetName } from "../../workers/protocol.ts";
import { readAsset } from "../../workers/read_asset.ts";

const NAME: AssetName = "squoosh_resize.wasm";

/** The shortest module there is: the magic number and the version of the format. */
const EMPTY_MODULE = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

// Before any other test has set a loader.
Deno.test("loadAsset() says that nothing loads assets where no loader was set", async () => {
  await rejects(loadAsset(NAME), { code: "TASK_FAILED", message: /Cannot load "squoosh_resize.wasm": nothing loads/ });
});

Deno.test("loadAsset() gives what the loader gives, and its reason when there is nothing", async () => {
  setAssetLoader((name) => Promise.resolve(new TextEncoder().encode(name)));
  equal(new TextDecoder().decode(await loadAsset(NAME)), NAME);
  setAssetLoader(() => Promise.reject(new Error("the sandbox was built without it")));
  await rejects(loadAsset(NAME), {
    name: "TaskError",
    code: "TASK_FAILED",
    message: 'Cannot load "squoosh_resize.wasm": the sandbox was built without it',
  });
});

Deno.test("loadWasm() loads and compiles once for all who ask", async () => {
  let loads = 0;
  setAssetLoader(() => {
    loads++;
    return Promise.resolve(EMPTY_MODULE.slice());
  });
  const [first, second] = await Promise.all([loadWasm(NAME), loadWasm(NAME)]);
  equal(first, second);
  equal(await loadWasm(NAME), first);
  equal(loads, 1);
});

Deno.test("loadWasm() tries again after a failure", async () => {
  const answers = [
    () => Promise.reject(new Error("not yet")),
    () => Promise.resolve(EMPTY_MODULE.subarray(0, 5)),
    () => Promise.resolve(EMPTY_MODULE),
  ];
  setAssetLoader(() => answers.shift()!());
  await rejects(loadWasm(NAME), { code: "TASK_FAILED", message: /not yet/ });
  await rejects(loadWasm(NAME), { code: "TASK_FAILED", message: 'Cannot load "squoosh_resize.wasm": it is damaged' });
  equal(await loadWasm(NAME) instanceof WebAssembly.Module, true);
});

Deno.test("AssetRequests.load() asks once for all who wait, and anew after the answer", async () => {
  const sent: string[] = [];
  const requests = new AssetRequests((name) => void sent.push(name));
  const both = [requests.load(NAME), requests.load(NAME)];
  const other = requests.load("libsamplerate.wasm");
  deepEqual(sent, [NAME, "libsamplerate.wasm"]);
  requests.settle({ name: "libsamplerate.wasm", bytes: Uint8Array.of(2) });
  requests.settle({ name: NAME, bytes: Uint8Array.of(1) });
  deepEqual(await Promise.all([...both, other]), [Uint8Array.of(1), Uint8Array.of(1), Uint8Array.of(2)]);
  const again = requests.load(NAME);
  requests.settle({ name: NAME, error: "it is gone" });
  await rejects(again, /it is gone/);
  equal(sent.length, 3);
});

Deno.test("AssetRequests.settle() drops an answer that nobody waits for", async () => {
  const requests = new AssetRequests(() => {});
  requests.settle({ name: NAME, bytes: Uint8Array.of(1) });
  const asked = requests.load(NAME);
  requests.settle({ name: NAME, bytes: Uint8Array.of(2) });
  deepEqual(await asked, Uint8Array.of(2));
});

Deno.test("readAsset() gives the file, and no path when there is none", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const folder = new URL(`file://${directory}/`);
    const missing = await readAsset(NAME, new URL(NAME, folder));
    deepEqual(missing, { name: NAME, error: "the sandbox was built without it" });
    await Deno.writeFile(new URL(NAME, folder), EMPTY_MODULE);
    deepEqual(await readAsset(NAME, new URL(NAME, folder)), { name: NAME, bytes: EMPTY_MODULE });
    await Deno.remove(new URL(NAME, folder));
    await Deno.mkdir(new URL(NAME, folder));
    const unreadable = await readAsset(NAME, new URL(NAME, folder));
    doesNotMatch(JSON.stringify(unreadable), new RegExp(directory));
    equal("error" in unreadable, true);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
