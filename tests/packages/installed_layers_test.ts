import assert from "node:assert/strict";
import { ServiceError } from "../../src/errors.ts";
import { InstalledLayers } from "../../src/packages/layers/installed_layers.ts";
import { LayerStore } from "../../src/packages/layers/layer_store.ts";
import { TestFolder } from "../fakes/folder.ts";

const HOUR_MS = 3_600_000;
const RETRY_MS = 15_000;

/** Layers with a clock and an installer that the test drives. */
class DrivenLayers implements AsyncDisposable {
  nowMs = 1_000_000;
  installs = 0;
  error: Error | undefined;
  readonly #folder: TestFolder;
  readonly #layers: InstalledLayers;

  private constructor(folder: TestFolder, store: LayerStore) {
    this.#folder = folder;
    this.#layers = new InstalledLayers({ store, refreshHours: 1, now: () => this.nowMs });
  }

  static async start(): Promise<DrivenLayers> {
    const folder = await TestFolder.make();
    return new DrivenLayers(folder, await LayerStore.open({ directory: folder.file("store"), maxBytes: 1_000 }));
  }

  /** @returns what was installed */
  async get(key = "a"): Promise<readonly string[]> {
    const { installed } = await this.#layers.get(key, async () => {
      this.installs++;
      await Promise.resolve();
      if (this.error !== undefined) throw this.error;
      return { lines: [`npm:${key}@${this.installs}.0.0`], layer: new Uint8Array([this.installs]) };
    });
    return installed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

Deno.test("InstalledLayers installs once what many want at once, and anew when it is old", async () => {
  await using layers = await DrivenLayers.start();
  const all = await Promise.all([layers.get(), layers.get(), layers.get()]);
  assert.deepEqual(all, [["npm:a@1.0.0"], ["npm:a@1.0.0"], ["npm:a@1.0.0"]]);
  layers.nowMs += HOUR_MS - 1;
  assert.deepEqual(await layers.get(), ["npm:a@1.0.0"]);
  layers.nowMs += 1;
  assert.deepEqual(await layers.get(), ["npm:a@2.0.0"]);
});

for (const code of ["INVALID_TASK", "SECURITY_VIOLATION", "RESOURCE_LIMIT", "TASK_TIMEOUT", "SANDBOX_LOST"] as const) {
  Deno.test(`InstalledLayers says ${code} again without an installer, and tries again after a while`, async () => {
    await using layers = await DrivenLayers.start();
    layers.error = new ServiceError(code, "Cannot install packages: no");
    await assert.rejects(layers.get(), { code });
    layers.nowMs += RETRY_MS - 1;
    await assert.rejects(layers.get(), { code, message: "Cannot install packages: no" });
    assert.equal(layers.installs, 1);
    // What is wrong with one is nothing to the others.
    await assert.rejects(layers.get("b"), { code });
    assert.equal(layers.installs, 2);
    layers.nowMs += 1;
    layers.error = undefined;
    assert.deepEqual(await layers.get(), ["npm:a@3.0.0"]);
  });
}

Deno.test("InstalledLayers tries at once again what failed because of the service itself", async () => {
  await using layers = await DrivenLayers.start();
  for (const error of [new ServiceError("INTERNAL", "no"), new ServiceError("DRAINING", "no"), new Error("no")]) {
    layers.error = error;
    await assert.rejects(layers.get(), error);
  }
  assert.equal(layers.installs, 3);
});

Deno.test("InstalledLayers waits for a registry that is down once in a while, and goes on with what it has", async () => {
  await using layers = await DrivenLayers.start();
  assert.deepEqual(await layers.get(), ["npm:a@1.0.0"]);
  layers.nowMs += HOUR_MS;
  layers.error = new ServiceError("TASK_FAILED", "Cannot reach the registry");
  for (let task = 0; task < 3; task++) assert.deepEqual(await layers.get(), ["npm:a@1.0.0"]);
  assert.equal(layers.installs, 2);
  layers.nowMs += RETRY_MS;
  assert.deepEqual(await layers.get(), ["npm:a@1.0.0"]);
  assert.equal(layers.installs, 3);
});

Deno.test("InstalledLayers remembers the newest thousand failures", async () => {
  await using layers = await DrivenLayers.start();
  layers.error = new ServiceError("INVALID_TASK", "no");
  for (let number = 0; number <= 1_000; number++) await assert.rejects(layers.get(`k${number}`));
  assert.equal(layers.installs, 1_001);
  await assert.rejects(layers.get("k1"));
  assert.equal(layers.installs, 1_001);
  await assert.rejects(layers.get("k0"));
  assert.equal(layers.installs, 1_002);
});
