import assert from "node:assert/strict";
import { HostPool } from "../../src/sandbox/host_pool.ts";
import type { TaskEnd } from "../../src/sandbox/task.ts";
import { fakeJail } from "../fakes/fake_jail.ts";
import { hostOptions, longText, RuntimeDirectory, startPool, TestTask } from "../support/hosts.ts";
import { descendantsOf, isAlive, until } from "../support/processes.ts";

function kinds(ends: readonly TaskEnd[]): string[] {
  return ends.map((end) => end.kind === "lost" ? `lost, ${end.started ? "started" : "not started"}` : end.kind);
}

Deno.test("HostPool.start() gives hosts that are ready, and dispose leaves no process and no socket", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory, { maxWorkers: 3 });
  const { pool } = running;
  assert.deepEqual(pool.load, { busy: 0, available: 3, starting: 0 });
  const pids = pool.hosts.map(({ pid }) => pid);
  assert.equal(new Set(pids).size, 3);
  assert(pool.nodes.some(({ nodeType }) => nodeType === "PassThroughNode"));
  await Promise.all([pool[Symbol.asyncDispose](), pool[Symbol.asyncDispose]()]);
  assert(!pids.some(isAlive));
  assert.deepEqual(directory.entries.filter((name) => name.endsWith(".sock")), []);
  assert.equal(pool.tryRun(new TestTask("PassThroughNode"), "PassThroughNode"), undefined);
});

Deno.test("HostPool.start() fails when one host cannot start, and leaves no process", async () => {
  await using directory = new RuntimeDirectory();
  const before = descendantsOf(Deno.pid);
  let started = 0;
  const jail = fakeJail(() => ++started === 2 ? "early exit" : "honest");
  await assert.rejects(startPool(directory, { jail, maxWorkers: 3 }), { code: "SANDBOX_LOST" });
  assert.deepEqual(descendantsOf(Deno.pid), before);
});

Deno.test("HostPool replaces a host that was killed while idle", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory);
  const { pool, exits } = running;
  const [victim, other] = pool.hosts;
  const capacity = running.capacity();
  Deno.kill(victim!.pid, "SIGKILL");
  await capacity;
  assert.deepEqual(pool.load, { busy: 0, available: 2, starting: 0 });
  assert(pool.hosts.includes(other!) && !pool.hosts.includes(victim!));
  assert.deepEqual(exits.map(({ reason, exitCode }) => [reason, exitCode]), [["crashed", 137]]);
  const task = new TestTask("PassThroughNode");
  pool.tryRun(task, "PassThroughNode");
  assert.equal((await task.ended).kind, "result");
});

/** A kind of task that the pool knows to be short, so that it lets several wait on one host. */
const SHORT = "short";

/** Has the pool see that tasks of that kind are short. */
async function learnShort(pool: HostPool, nodeType = "Echo"): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const task = new TestTask(nodeType);
    assert(pool.tryRun(task, SHORT));
    assert.equal((await task.ended).kind, "result");
  }
}

Deno.test("HostPool gives back what waits behind a task that takes long, and its answer comes from elsewhere", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory, { jail: fakeJail("honest"), maxWorkers: 2 });
  const { pool } = running;
  await learnShort(pool);
  const hanging = new TestTask("Hang");
  const waiting = new TestTask("Echo");
  assert(pool.tryRun(hanging, SHORT));
  assert(pool.tryRun(waiting, SHORT));
  assert.deepEqual(kinds([await waiting.ended]), ["returned"]);
  const again = new TestTask("Echo");
  assert(pool.tryRun(again, SHORT));
  assert.equal((await again.ended).kind, "result");
  assert.notEqual(again.sandboxId, waiting.sandboxId);
});

Deno.test("HostPool says of a killed host's tasks that only the first had started", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory, { jail: fakeJail("honest"), maxWorkers: 1 });
  const { pool } = running;
  await learnShort(pool);
  const tasks = ["Hang", "Echo", "Echo"].map((nodeType) => new TestTask(nodeType));
  for (const task of tasks) assert(pool.tryRun(task, SHORT));
  assert.equal(pool.load.busy, 1);
  const capacity = running.capacity();
  Deno.kill(pool.hosts[0]!.pid, "SIGKILL");
  const ends = await Promise.all(tasks.map(({ ended }) => ended));
  assert.deepEqual(kinds(ends), ["lost, started", "lost, not started", "lost, not started"]);
  await capacity;
  const again = new TestTask("Echo");
  assert(pool.tryRun(again, "Echo"));
  assert.equal((await again.ended).kind, "result");
});

Deno.test("HostPool.tryRun() gives tasks to a host that is free while another computes, and to none when all are full", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory, { jail: fakeJail("honest") });
  const { pool } = running;
  const hanging = new TestTask("Hang");
  assert(pool.tryRun(hanging, "Hang"));
  const short = Array.from({ length: 5 }, () => new TestTask("Echo"));
  for (const task of short) {
    pool.tryRun(task, "Echo");
    await task.ended;
  }
  const busy = pool.hosts.find(({ taskCount }) => taskCount > 0);
  assert(short.every(({ sandboxId }) => sandboxId !== "" && sandboxId !== busy?.id));

  const filling: TestTask[] = [];
  for (let accepted = true; accepted;) {
    const task = new TestTask("Hang");
    accepted = pool.tryRun(task, "Hang") !== undefined;
    if (accepted) filling.push(task);
    assert(filling.length < 1_000, "a pool has an end");
  }
  assert.equal(pool.taskCount, filling.length + 1);
  await pool[Symbol.asyncDispose]();
  const ends = await Promise.all([hanging, ...filling].map(({ ended }) => ended));
  assert(ends.every((end) => end.kind === "lost" && end.exit.reason === "retired"));
  assert([hanging, ...filling].every(({ ends }) => ends === 1));
});

Deno.test("HostPool stops what runs too long, and its other tasks have not started", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory, { maxWorkers: 1 });
  const { pool, exits } = running;
  const input = new TextEncoder().encode(JSON.stringify(longText(100_000)));
  const long = new TestTask("TextProcessorNode", { input, timeoutMs: 300 });
  const next = new TestTask("PassThroughNode");
  await learnShort(pool, "PassThroughNode");
  const capacity = running.capacity();
  assert(pool.tryRun(long, SHORT));
  assert(pool.tryRun(next, SHORT));
  const end = await long.ended;
  assert(end.kind === "stopped" && end.reason === "timeout");
  assert(end.usage.cpuMs > 0 && end.usage.wallMs >= 300);
  assert.deepEqual(kinds([await next.ended]), ["returned"]);
  await capacity;
  assert.equal(exits[0]?.reason, "killed");
  assert.equal(pool.load.available, 1);
});

Deno.test("HostPool stops a task that takes more memory than it may, in buffers that no heap limit sees", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory, { jail: fakeJail("honest"), maxWorkers: 1 });
  const { pool } = running;
  const greedy = new TestTask("Allocate", { memoryLimitBytes: 64 * 1024 * 1024 });
  const next = new TestTask("Echo");
  await learnShort(pool);
  const capacity = running.capacity();
  for (const task of [greedy, next]) assert(pool.tryRun(task, SHORT));
  const end = await greedy.ended;
  assert(end.kind === "stopped" && end.reason === "memory", JSON.stringify(end));
  assert(end.usage.memoryPeakBytes > 64 * 1024 * 1024);
  // Either way it has not run: returned when the first took long, lost when that was killed before.
  assert.match(kinds([await next.ended]).join(), /^(returned|lost, not started)$/);
  await capacity;
  assert.equal(pool.load.available, 1);
});

Deno.test("HostPool frees a host whose task was cancelled and does not notice", async () => {
  await using directory = new RuntimeDirectory();
  await using running = await startPool(directory, { jail: fakeJail("honest"), maxWorkers: 1 });
  const { pool } = running;
  const task = new TestTask("Hang");
  const capacity = running.capacity();
  pool.tryRun(task, "Hang")!();
  const end = await task.ended;
  assert(end.kind === "stopped" && end.reason === "cancelled");
  await capacity;
  assert.equal(pool.load.available, 1);
});

Deno.test("HostPool tries again until a host starts, and serves on with the others meanwhile", async () => {
  await using directory = new RuntimeDirectory();
  let started = 0;
  const jail = fakeJail(() => {
    started++;
    return started === 3 || started === 4 ? "garbage" : "honest";
  });
  await using running = await startPool(directory, { jail });
  const { pool } = running;
  Deno.kill(pool.hosts[0]!.pid, "SIGKILL");
  await until("the second attempt", () => started >= 4);
  const task = new TestTask("Echo");
  assert(pool.tryRun(task, "Echo"));
  assert.equal((await task.ended).kind, "result");
  await until("both hosts serve", () => pool.load.available === 2);
  assert.equal(started, 5);
});

Deno.test("HostPool can be closed while a host is being replaced, and leaves no process", async () => {
  await using directory = new RuntimeDirectory();
  const before = descendantsOf(Deno.pid);
  let started = 0;
  await using running = await startPool(directory, { jail: fakeJail(() => ++started > 2 ? "silence" : "honest") });
  Deno.kill(running.pool.hosts[0]!.pid, "SIGKILL");
  await until("a third host is started", () => started === 3);
  await running.pool[Symbol.asyncDispose]();
  assert.deepEqual(descendantsOf(Deno.pid), before);
});

Deno.test("HostPool keeps no host that becomes ready in the moment in which it is closed", async () => {
  await using directory = new RuntimeDirectory();
  const before = descendantsOf(Deno.pid);
  // Closing hits another moment of the replacement in each round.
  for (let round = 0; round < 12; round++) {
    const running = await startPool(directory, { jail: fakeJail("honest"), maxWorkers: 1 });
    Deno.kill(running.pool.hosts[0]!.pid, "SIGKILL");
    const closing = Promise.withResolvers<void>();
    const delay = setTimeout(closing.resolve, 50 + round * 8);
    await Promise.race([closing.promise, running.capacity()]);
    clearTimeout(delay);
    await running.pool[Symbol.asyncDispose]();
    assert.deepEqual(descendantsOf(Deno.pid), before, `round ${round}`);
  }
});

Deno.test("HostPool.start() that fails waits for hosts that are on their way", async () => {
  await using directory = new RuntimeDirectory();
  const before = descendantsOf(Deno.pid);
  let started = 0;
  const jail = fakeJail(() => ++started === 1 ? "early exit" : "silence");
  await assert.rejects(
    HostPool.start({ ...hostOptions(directory, { jail }), maxWorkers: 4, onCapacity() {}, onHostExit() {} }),
    /the last words/,
  );
  assert.deepEqual(descendantsOf(Deno.pid), before);
  assert.deepEqual(directory.entries.filter((name) => name.endsWith(".sock")), []);
});
