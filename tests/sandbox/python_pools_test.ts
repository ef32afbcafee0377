import assert from "node:assert/strict";
import type { PythonVersion } from "../../workers/protocol.ts";
import { ServiceError } from "../../src/errors.ts";
import { NO_GRANTS } from "../../src/sandbox/grants.ts";
import { PythonPools, type PythonPoolsOptions, type PythonPoolStart } from "../../src/sandbox/python_pools.ts";
import type { HostTask } from "../../src/sandbox/task.ts";
import { FakePythonPool } from "../fakes/fake_python_pool.ts";
import { FakeTime } from "../fakes/fake_time.ts";

const NEED = { grants: NO_GRANTS, reuseKey: null };
// Nothing here looks into a task.
const TASK = {} as unknown as HostTask;

/** Pools whose starts a test lets succeed or fail, and what they tell. */
class Setup implements AsyncDisposable {
  readonly starts: { version: PythonVersion; start: PythonPoolStart; result: PromiseWithResolvers<FakePythonPool> }[] =
    [];
  readonly capacity: PythonVersion[] = [];
  readonly waiting = new Map<PythonVersion, number>();
  readonly pools: PythonPools;

  constructor(options: Partial<PythonPoolsOptions> = {}) {
    this.pools = new PythonPools({
      defaultVersion: "3.14",
      maxSandboxes: 2,
      readySandboxes: 1,
      readyIdleMs: 60_000,
      startPool: (version, start) => {
        const result = Promise.withResolvers<FakePythonPool>();
        this.starts.push({ version, start, result });
        return result.promise;
      },
      queueLength: (version) => this.waiting.get(version) ?? 0,
      onCapacity: (version) => void this.capacity.push(version),
      ...options,
    });
  }

  tryRun(version: PythonVersion): (() => void) | undefined {
    return this.pools.tryRun(version, TASK, NEED);
  }

  /** Lets the last start succeed. */
  async succeed(): Promise<FakePythonPool> {
    const last = this.starts.at(-1);
    assert(last !== undefined);
    const pool = new FakePythonPool(last.start);
    last.result.resolve(pool);
    await settled();
    return pool;
  }

  async fail(error: Error): Promise<void> {
    this.starts.at(-1)?.result.reject(error);
    await settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { result } of this.starts) result.reject(new Error("The test is over"));
    await this.pools[Symbol.asyncDispose]();
  }
}

/** Lets promises that are settled be heard of. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

Deno.test("PythonPools starts a version's pool with its first task, once, and tells when the task can get on", async () => {
  await using setup = new Setup();
  assert.equal(setup.tryRun("3.11"), undefined);
  assert.equal(setup.tryRun("3.11"), undefined);
  assert.deepEqual(setup.starts.map(({ version }) => version), ["3.11"]);
  assert.deepEqual(setup.pools.load, { busy: 0, available: 0, starting: 1 });
  const pool = await setup.succeed();
  assert.deepEqual(setup.capacity, ["3.11"]);
  assert(setup.tryRun("3.11") !== undefined);
  assert.equal(pool.tasks.length, 1);
  assert.deepEqual(setup.pools.load, { busy: 1, available: 0, starting: 0 });
});

Deno.test("PythonPools.warmUp() starts the default version where hosts are to wait ready, and nothing else", async () => {
  await using setup = new Setup();
  setup.pools.warmUp();
  setup.pools.warmUp();
  assert.deepEqual(setup.starts.map(({ version }) => version), ["3.14"]);
  assert.equal((await setup.succeed()).ready, 1);
  await using cold = new Setup({ readySandboxes: 0 });
  cold.pools.warmUp();
  assert.deepEqual(cold.starts, []);
});

Deno.test("PythonPools tells tasks why a version cannot start, tries it again later, and lets others be", async () => {
  using time = new FakeTime();
  await using setup = new Setup();
  setup.tryRun("3.11");
  await setup.fail(new ServiceError("SANDBOX_LOST", "it ended early at '/tmp/x/y'; /etc/z"));
  assert.deepEqual(setup.capacity, ["3.11"]);
  assert.throws(() => setup.tryRun("3.11"), (error) => {
    assert(error instanceof ServiceError);
    assert.deepEqual([error.code, error.message], [
      "SANDBOX_LOST",
      "Cannot start Python 3.11: it ended early at '(a file)'",
    ]);
    return true;
  });
  assert.equal(setup.tryRun("3.14"), undefined);
  await setup.succeed();
  assert(setup.tryRun("3.14") !== undefined);
  time.advance(1_001);
  assert.equal(setup.tryRun("3.11"), undefined);
  assert.equal(setup.starts.length, 3);
});

Deno.test("PythonPools never tries again what let its probe out", async () => {
  using time = new FakeTime();
  await using setup = new Setup();
  setup.tryRun("3.14");
  await setup.fail(new ServiceError("SANDBOX_LEAK", "it leaks"));
  time.advance(1_000_000_000);
  assert.throws(() => setup.tryRun("3.14"), /Cannot start Python 3\.14: it leaks/);
  assert.equal(setup.starts.length, 1);
});

Deno.test("PythonPools has all versions from one allowance: a host that only waits gives way to another version", async () => {
  await using setup = new Setup({ maxSandboxes: 1 });
  setup.pools.warmUp();
  const first = await setup.succeed();
  assert.equal(first.available, 1);
  assert.equal(setup.tryRun("3.11"), undefined);
  assert.equal(first.available, 0);
  assert.equal(setup.starts.length, 2);
  const second = await setup.succeed();
  assert(setup.tryRun("3.11") !== undefined);
  // Both are busy with what cannot give way.
  assert.equal(setup.tryRun("3.14"), undefined);
  assert.deepEqual([first.tasks.length, second.tasks.length], [0, 1]);
});

Deno.test("PythonPools starts no version without room, and starts it when there is some", async () => {
  await using setup = new Setup({ maxSandboxes: 1 });
  setup.tryRun("3.14");
  const first = await setup.succeed();
  assert(setup.tryRun("3.14") !== undefined);
  assert.equal(setup.tryRun("3.11"), undefined);
  assert.equal(setup.starts.length, 1);
  setup.waiting.set("3.11", 1);
  first.endOne();
  assert.deepEqual(setup.starts.map(({ version }) => version), ["3.14", "3.11"]);
});

Deno.test("PythonPools keeps hosts of another version ready until nobody has asked for it for a while", async () => {
  using time = new FakeTime();
  await using setup = new Setup({ maxSandboxes: 8, readyIdleMs: 1_000 });
  setup.pools.warmUp();
  const byDefault = await setup.succeed();
  setup.tryRun("3.11");
  const other = await setup.succeed();
  assert.deepEqual([byDefault.ready, other.ready], [1, 1]);
  time.advance(900);
  setup.tryRun("3.11");
  time.advance(900);
  assert.equal(other.ready, 1);
  time.advance(101);
  assert.deepEqual([byDefault.ready, other.ready], [1, 0]);
  setup.tryRun("3.11");
  assert.equal(other.ready, 1);
});

Deno.test("PythonPools ends its pools and what is being started, and starts nothing more", async () => {
  const setup = new Setup();
  setup.tryRun("3.14");
  const pool = await setup.succeed();
  setup.tryRun("3.11");
  const starting = setup.starts[1];
  starting?.start.signal.addEventListener("abort", () => starting.result.reject(new Error("aborted")));
  await setup.pools[Symbol.asyncDispose]();
  assert(pool.isDisposed);
  setup.tryRun("3.11");
  setup.pools.warmUp();
  assert.equal(setup.starts.length, 2);
});
