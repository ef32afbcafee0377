import assert from "node:assert/strict";
import { sandboxDirectory } from "../../src/sandbox/code.ts";
import type { HostProcess } from "../../src/sandbox/host_process.ts";
import type { Jail } from "../../src/sandbox/jails/mod.ts";
import { hostOptions, RuntimeDirectory, startHost, TestTask } from "../support/hosts.ts";

/** Tasks that need an asset, with the shape that comes out. */
const TASKS = [
  {
    nodeType: "AudioResampler",
    config: new Map([["target_sample_rate", "24000"]]),
    input: [array("float32", [1, 4_800], 4), 48_000],
    shape: [1, 2_400],
  },
  {
    nodeType: "AudioTransform",
    config: new Map([["output_sample_rate", "24000"], ["output_channels", "2"]]),
    input: [array("float32", [1, 4_800], 4), 48_000],
    shape: [2, 2_400],
  },
  {
    nodeType: "VideoResizer",
    config: new Map([["target_resolution", "(4, 6)"]]),
    input: array("uint8", [12, 8, 3], 1),
    shape: [6, 4, 3],
  },
  {
    nodeType: "VideoTransform",
    config: new Map([["resolution", "(4, 6)"]]),
    input: array("uint8", [12, 8, 3], 1),
    shape: [6, 4, 3],
  },
] as const;

function array(dtype: string, shape: readonly number[], itemSize: number) {
  const bytes = new Uint8Array(shape.reduce((product, length) => product * length, itemSize));
  return { dtype, shape, data: bytes.toBase64() };
}

async function run(host: HostProcess, { nodeType, config, input }: typeof TASKS[number]) {
  const task = new TestTask(nodeType, {
    config,
    input: new TextEncoder().encode(JSON.stringify(input)),
    maxOutputBytes: 1_000_000,
  });
  host.run(task, performance.now());
  const end = await task.ended;
  assert(end.kind === "result", end.kind);
  return end.result;
}

/** Runs the real host from a copy of its code that has no assets. */
function jailWithoutAssets(directory: RuntimeDirectory): Jail {
  const copy = `${directory.path}/copy`;
  Deno.mkdirSync(copy);
  for (const name of ["host.js", "worker.js", "import_map.json", "denied.js"]) {
    Deno.copyFileSync(`${sandboxDirectory()}/${name}`, `${copy}/${name}`);
  }
  return { ...hostOptions(directory).jail, inside: (paths) => ({ ...paths, bundle: copy }) };
}

Deno.test("a host hands its worker the assets that nodes need", async (t) => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  // All at once: the second of each pair finds what the first has loaded.
  const results = await Promise.all([...TASKS, ...TASKS].map((task) => run(host, task)));
  for (const [index, { outcome, message, output }] of results.entries()) {
    const { nodeType, shape } = TASKS[index % TASKS.length]!;
    await t.step(`${nodeType}, task ${index}`, () => {
      assert.equal(outcome, "OK", message);
      const text = new TextDecoder().decode(output);
      assert(text.includes(JSON.stringify(shape)) || text.includes(shape.join(", ")), text.slice(0, 300));
    });
  }
});

Deno.test("a host without assets fails the tasks that need them, clearly, and runs the others", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { jail: jailWithoutAssets(directory) });
  for (const task of TASKS) {
    const asset = task.nodeType.startsWith("Audio") ? "libsamplerate.wasm" : "squoosh_resize.wasm";
    const { outcome, message } = await run(host, task);
    assert.equal(outcome, "TASK_FAILED");
    assert.match(message, new RegExp(`Cannot load "${asset}": the sandbox was built without it`));
    assert(!message.includes(sandboxDirectory()!) && !message.includes(directory.path), message);
  }
  const other = new TestTask("PassThroughNode");
  host.run(other, performance.now());
  const end = await other.ended;
  assert(end.kind === "result" && end.result.outcome === "OK");
});
