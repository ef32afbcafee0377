import assert from "node:assert/strict";
import { Interrupts } from "../../src/cli/interrupts.ts";
import { run } from "../../src/cli/program.ts";
import { runOnChange } from "../../src/cli/watch.ts";
import { openPackage } from "../../workers/package/mod.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { FakeService } from "../fakes/fake_service.ts";
import { TestFolder } from "../fakes/folder.ts";
import { FakeTerminal } from "../fakes/terminal.ts";

const QUIET = 400;

/** Counts runs, and waits for them. */
class Runs {
  readonly signals: AbortSignal[] = [];
  #wake = Promise.withResolvers<void>();

  readonly run = (signal: AbortSignal): Promise<void> => {
    this.signals.push(signal);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
    return Promise.resolve();
  };

  async reached(count: number): Promise<void> {
    while (this.signals.length < count) await this.#wake.promise;
  }
}

async function watching(
  { path, except = [] }: { path: string; except?: string[] },
  test: (runs: Runs) => Promise<void>,
): Promise<void> {
  const end = new AbortController();
  const runs = new Runs();
  const watch = runOnChange(runs.run, { paths: [path], except, signal: end.signal });
  watch.catch(() => {});
  await runs.reached(1);
  try {
    await test(runs);
  } finally {
    end.abort(new Error("the end"));
  }
  await assert.rejects(watch, /the end/);
}

Deno.test("runOnChange() runs again when a file of the folder changes, appears or goes", async () => {
  await using folder = await TestFolder.make({ "main.ts": "1", "lib/a.ts": "1" });
  await watching(folder, async (runs) => {
    const changes = [
      () => folder.write("lib/a.ts", "2"),
      () => folder.write("lib/b.ts", "1"),
      () => Deno.rename(folder.file("lib/b.ts"), folder.file("lib/a.ts")),
      () => Deno.remove(folder.file("lib/a.ts")),
    ];
    for (const [index, change] of changes.entries()) {
      await change();
      await runs.reached(index + 2);
    }
    assert.ok(runs.signals.slice(0, -1).every((signal) => signal.aborted));
  });
});

Deno.test("runOnChange() runs once for changes that come together", async () => {
  await using folder = await TestFolder.make({ "main.ts": "0" });
  await watching(folder, async (runs) => {
    for (let index = 0; index < 20; index++) {
      await folder.write(`file-${index}.ts`, "");
      await new Promise((done) => setTimeout(done, 5));
    }
    await runs.reached(2);
    await new Promise((done) => setTimeout(done, QUIET));
    assert.ok(runs.signals.length < 10, `${runs.signals.length} runs`); // One more, unless the machine is busy.
  });
});

Deno.test("runOnChange() takes no notice of reading, of what packages leave out, and of its own output", async () => {
  await using folder = await TestFolder.make({ "main.ts": "1", ".git/config": "", "node_modules/a.js": "" });
  await watching({ path: folder.path, except: [folder.file("out.json")] }, async (runs) => {
    await Deno.readTextFile(folder.file("main.ts"));
    for (const name of [".git/config", ".env", "node_modules/a.js", "out.json"]) await folder.write(name, "2");
    await new Promise((done) => setTimeout(done, QUIET));
    assert.equal(runs.signals.length, 1);
  });
});

Deno.test("runOnChange() follows a file that an editor replaces, and not its neighbours", async () => {
  await using folder = await TestFolder.make({ "main.ts": "1" });
  await watching({ path: folder.file("main.ts") }, async (runs) => {
    for (const round of [2, 3]) {
      await folder.write("neighbour.ts", `${round}`);
      await Deno.rename(folder.file("neighbour.ts"), folder.file("main.ts"));
      await runs.reached(round);
    }
    await folder.write("neighbour.ts", "");
    await new Promise((done) => setTimeout(done, QUIET));
    assert.equal(runs.signals.length, 3);
  });
});

Deno.test("runOnChange() rejects with what a run throws", async () => {
  await using folder = await TestFolder.make({ "main.ts": "1" });
  const { signal } = new AbortController();
  const failing = runOnChange(() => Promise.reject(new Error("broke")), { paths: [folder.path], except: [], signal });
  await assert.rejects(failing, /broke/);
});

Deno.test("rexec run --watch cancels what runs when the code changes, reports failures and goes on", async () => {
  await using folder = await TestFolder.make({ "task.ts": "one" });
  const sources: string[] = [];
  const called = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  using fake = await FakeService.start({
    executeCustomTask: ({ codePackage, inputData }, call) => {
      const source = new TextDecoder().decode(openPackage(Uint8Array.from(codePackage)).files.get("task.ts"));
      sources.push(source);
      if (source === "export default () => 1;") {
        call.on("cancelled", cancelled.resolve);
        called.resolve();
        return undefined;
      }
      if (source === "export default () => 2;") return { status: ExecutionStatus.ERROR, errorMessage: "broke" };
      return { status: ExecutionStatus.SUCCESS, outputData: inputData };
    },
  });
  await folder.write("task.ts", "export default () => 1;");
  const terminal = new FakeTerminal();
  const interrupts = new Interrupts();
  const args = ["--address", fake.address, "run", folder.file("task.ts"), "--data", "7", "--watch"];
  const exit = run(args, terminal, interrupts);
  await called.promise;
  await folder.write("task.ts", "export default () => 2;");
  await cancelled.promise;
  await terminal.printed("Error (ERROR): broke");
  await terminal.printed("Waiting for changes");
  await folder.write("task.ts", "export default () => 3;");
  await terminal.printed("out: 7\n");
  interrupts.interrupt();
  assert.equal(await exit, 130);
  assert.match(terminal.text, /^.*task\.ts has changed: running anew\n/);
  assert.match(terminal.text, /Error: Interrupted\n$/);
  assert.deepEqual(
    [...new Set(sources)],
    [1, 2, 3].map((n) => `export default () => ${n};`),
  );
});
