import assert from "node:assert/strict";
import { ServiceError } from "../../src/errors.ts";
import { HostProcess } from "../../src/sandbox/host_process.ts";
import type { JailSpec } from "../../src/sandbox/jails/jail.ts";
import { START_FAULTS, TASK_FAULTS } from "../fakes/fake_host.ts";
import { fakeJail } from "../fakes/fake_jail.ts";
import { hostOptions, longText, RuntimeDirectory, startHost, TestTask } from "../support/hosts.ts";
import { descendantsOf, isAlive, openFiles, residentBytes, until } from "../support/processes.ts";

/** For jails that look at the command's environment alone. */
const SPEC = { command: { program: "", args: [], env: {} } } as unknown as JailSpec;

/** All that a host's end must leave: the process is gone, and so are its socket and its file descriptors. */
async function leavesNothing(run: (directory: RuntimeDirectory) => Promise<void>): Promise<void> {
  await using directory = new RuntimeDirectory();
  const before = { children: descendantsOf(Deno.pid), files: openFiles(Deno.pid) };
  await run(directory);
  assert.deepEqual(descendantsOf(Deno.pid), before.children);
  await until("all files are closed", () => openFiles(Deno.pid) <= before.files);
  assert.deepEqual(directory.entries.filter((name) => name.endsWith(".sock")), []);
}

Deno.test("HostProcess.start() gives a host with nodes that runs tasks", async () => {
  await leavesNothing(async (directory) => {
    await using host = await startHost(directory);
    assert(host.isServing && isAlive(host.pid));
    assert(host.nodes.some(({ nodeType }) => nodeType === "PassThroughNode"));
    const task = new TestTask("PassThroughNode");
    host.run(task, performance.now());
    const end = await task.ended;
    assert(end.kind === "result");
    assert.deepEqual([end.result.outcome, new TextDecoder().decode(end.result.output)], ["OK", "[1]"]);
    assert.equal(host.taskCount, 0);
  });
});

Deno.test("HostProcess runs tasks in order, and says what went wrong with the one that fails", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  const order: string[] = [];
  const tasks = ["PassThroughNode", "NoSuchNode", "PassThroughNode"].map((nodeType) => new TestTask(nodeType));
  tasks.forEach((task, index) => {
    void task.ended.then(() => order.push(`${index}`));
    host.run(task, performance.now());
  });
  const ends = await Promise.all(tasks.map(({ ended }) => ended));
  const outcomes = ends.map((end) => end.kind === "result" ? end.result.outcome : end.kind);
  assert.deepEqual(outcomes, ["OK", "INVALID_TASK", "OK"]);
  assert.deepEqual(order, ["0", "1", "2"]);
});

Deno.test("HostProcess carries inputs and outputs of many megabytes, one after the other", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  for (const size of [131_072, 200_000, 5_000_000, 3]) {
    const input = crypto.getRandomValues(new Uint8Array(Math.min(size, 65_536)));
    const long = new Uint8Array(size);
    for (let at = 0; at < size; at += input.length) long.set(input.subarray(0, size - at), at);
    const task = new TestTask("PassThroughNode", { format: "raw", input: long, maxOutputBytes: 10_000_000 });
    host.run(task, performance.now());
    const end = await task.ended;
    assert(end.kind === "result" && end.result.outcome === "OK");
    assert.deepEqual(end.result.output, long);
  }
});

for (const fault of [...START_FAULTS, "no connection"]) {
  Deno.test(`HostProcess.start() refuses a host with ${fault}, and leaves nothing of it`, async () => {
    await leavesNothing(async (directory) => {
      // Only silence is ended by the clock.
      const isSilent = fault.includes("silence") || fault === "no connection";
      const options = hostOptions(directory, { jail: fakeJail(fault), startTimeoutMs: isSilent ? 1_000 : 60_000 });
      await assert.rejects(HostProcess.start(options, { signal: new AbortController().signal }), (error) => {
        assert(error instanceof ServiceError && error.code === "SANDBOX_LOST");
        assert.match(error.message, /^Cannot start sandbox host "host": \S.*; exit code \d+/);
        return true;
      });
    });
  });
}

Deno.test("HostProcess.start() says what the host wrote to standard error", async () => {
  await using directory = new RuntimeDirectory();
  await assert.rejects(startHost(directory, { jail: fakeJail("early exit") }), /code 3; the last words$/);
});

Deno.test("HostProcess.start() says so when the program does not exist", async () => {
  await leavesNothing(async (directory) => {
    const jail = { ...fakeJail("honest"), enclose: () => ({ program: "/no/such/program", args: [], env: {} }) };
    await assert.rejects(startHost(directory, { jail }), { name: "ServiceError", code: "SANDBOX_LOST" });
  });
});

Deno.test("HostProcess.start() ends with its signal, and leaves nothing", async () => {
  await leavesNothing(async (directory) => {
    const abort = new AbortController();
    const starting = HostProcess.start(hostOptions(directory, { jail: fakeJail("silence") }), { signal: abort.signal });
    await until("the process is there", () => descendantsOf(Deno.pid).length > 0);
    abort.abort(new Error("no longer wanted"));
    await assert.rejects(starting, /no longer wanted/);
  });
});

for (const fault of TASK_FAULTS) {
  Deno.test(`HostProcess ends a host that answers with ${fault}`, async () => {
    await leavesNothing(async (directory) => {
      await using host = await startHost(directory, { jail: fakeJail(fault) });
      const before = residentBytes(Deno.pid);
      const tasks = [new TestTask("Echo"), new TestTask("Echo")];
      for (const task of tasks) host.run(task, performance.now());
      const exit = await host.exited;
      assert.equal(exit.reason, "crashed");
      const ends = await Promise.all(tasks.map(({ ended }) => ended));
      // A first result may be good; whatever was owed after the fault is lost, and only the task at the head is blamed.
      const lost = ends.filter((end) => end.kind === "lost");
      assert.deepEqual(lost.map(({ started }) => started), lost.map((_, index) => index === 0));
      assert(lost.length >= 1);
      assert.deepEqual(tasks.map(({ ends }) => ends), [1, 1]);
      assert(tasks.every(({ logs }) => logs.length <= 100));
      assert(residentBytes(Deno.pid) - before < 200 * 1024 * 1024, "what a host claims is not allocated for it");
    });
  });
}

Deno.test("HostProcess blames only the running task when its host is killed", async () => {
  await leavesNothing(async (directory) => {
    await using host = await startHost(directory);
    const input = new TextEncoder().encode(JSON.stringify(longText(100_000)));
    const tasks = [
      new TestTask("PassThroughNode"),
      new TestTask("TextProcessorNode", { input }),
      new TestTask("PassThroughNode"),
      new TestTask("PassThroughNode"),
    ];
    for (const task of tasks) host.run(task, performance.now());
    assert.equal((await tasks[0]!.ended).kind, "result");
    Deno.kill(host.pid, "SIGKILL");
    const ends = await Promise.all(tasks.slice(1).map(({ ended }) => ended));
    assert.deepEqual(ends.map((end) => end.kind === "lost" && end.started), [true, false, false]);
    const exit = await host.exited;
    assert.deepEqual([exit.reason, exit.exitCode], ["crashed", 137]);
    assert.throws(() => host.run(new TestTask("PassThroughNode"), performance.now()), /sandbox host is dead/);
  });
});

Deno.test("HostProcess reads the results that its host had sent before it died", async () => {
  await using directory = new RuntimeDirectory();
  for (let round = 0; round < 5; round++) {
    await using host = await startHost(directory, { jail: fakeJail("honest"), id: `host-${round}` });
    const tasks = ["AnswerAndExit", "Echo"].map((nodeType) => new TestTask(nodeType));
    for (const task of tasks) host.run(task, performance.now());
    const [answered, next] = await Promise.all(tasks.map(({ ended }) => ended));
    assert.equal(answered?.kind, "result");
    assert(next?.kind === "lost");
    assert.equal((await host.exited).exitCode, 5);
  }
});

Deno.test("HostProcess tells a host that ran out of memory from one that crashed", async () => {
  await using directory = new RuntimeDirectory();
  for (const [nodeType, reason] of [["OutOfMemory", "out_of_memory"], ["Exit", "crashed"]] as const) {
    await using host = await startHost(directory, { jail: fakeJail("honest"), id: nodeType });
    const task = new TestTask(nodeType);
    host.run(task, performance.now());
    const end = await task.ended;
    assert(end.kind === "lost" && end.started);
    assert.equal(end.exit.reason, reason);
  }
});

Deno.test("HostProcess.enforceLimits() stops the running task at its time limit and frees those behind it", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { jail: fakeJail("honest") });
  const [late, next] = [new TestTask("Hang", { timeoutMs: 1_000 }), new TestTask("Echo")];
  host.run(late, 0);
  host.run(next, 0);
  host.enforceLimits(19, 100);
  assert.deepEqual([late.ends, next.ends, host.isServing], [0, 0, true]);
  host.enforceLimits(999, 100);
  assert.equal((await next.ended).kind, "returned", "nobody waits behind a task that takes long");
  assert.deepEqual([late.ends, host.isServing], [0, true]);
  host.enforceLimits(1_000, 100);
  const end = await late.ended;
  assert(end.kind === "stopped");
  assert.deepEqual([end.reason, end.excess], ["timeout", { limit: 1_000, used: 1_000 }]);
  assert.equal((await host.exited).reason, "killed");
  assert.deepEqual([late.ends, next.ends], [1, 1]);
});

Deno.test("HostProcess.run() gives a function that cancels: the task is stopped unless it ends by itself", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory, { jail: fakeJail("honest") });
  const task = new TestTask("Hang");
  const abandon = host.run(task, performance.now());
  abandon();
  abandon();
  host.enforceLimits(performance.now(), 60_000);
  assert.equal(task.ends, 0);
  host.enforceLimits(performance.now() + 60_001, 60_000);
  const end = await task.ended;
  assert(end.kind === "stopped" && end.reason === "cancelled");
  await host.exited;
});

Deno.test("HostProcess does not start a task that was cancelled while it waited", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  const input = new TextEncoder().encode(JSON.stringify(longText(4)));
  const first = new TestTask("TextProcessorNode", { input, maxOutputBytes: 1_000_000 });
  const second = new TestTask("PassThroughNode");
  host.run(first, performance.now());
  host.run(second, performance.now())();
  const ends = await Promise.all([first.ended, second.ended]);
  assert.deepEqual(ends.map((end) => end.kind === "result" && end.result.outcome), ["OK", "CANCELLED"]);
  assert(host.isServing);
});

Deno.test("HostProcess does not blame a task for inputs that wait behind it", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  const input = new TextEncoder().encode(JSON.stringify(longText(25)));
  const first = new TestTask("TextProcessorNode", {
    input,
    memoryLimitBytes: 150 * 1024 * 1024,
    maxOutputBytes: 1_000_000,
  });
  const others = [1, 2, 3, 4].map(() =>
    new TestTask("PassThroughNode", {
      format: "raw",
      input: new Uint8Array(60 * 1024 * 1024),
      maxOutputBytes: 100 * 1024 * 1024,
    })
  );
  for (const task of [first, ...others]) host.run(task, performance.now());
  const watch = setInterval(() => host.enforceLimits(performance.now(), 100), 5);
  const end = await first.ended;
  clearInterval(watch);
  assert(end.kind === "result", JSON.stringify(end));
  assert.equal(end.result.outcome, "OK");
});

Deno.test("HostProcess ends a host that its jail leaves behind", async () => {
  await leavesNothing(async (directory) => {
    const { program, args, env } = fakeJail("honest").enclose(SPEC);
    // The shell stays in between, and does not take the host along when it is killed.
    const jail = {
      ...fakeJail(""),
      enclose: () => ({ program: "/bin/sh", args: ["-c", '"$@"; :', "sh", program, ...args], env }),
    };
    const host = await startHost(directory, { jail });
    const pid = host.pid;
    const task = new TestTask("Ignore");
    host.run(task, performance.now());
    host.kill();
    assert.equal((await host.exited).reason, "killed");
    assert.equal((await task.ended).kind, "lost");
    await until("the host is gone", () => !isAlive(pid));
  });
});

Deno.test("HostProcess can be disposed of twice, and killed after its end", async () => {
  await leavesNothing(async (directory) => {
    const host = await startHost(directory, { jail: fakeJail("honest") });
    await Promise.all([host[Symbol.asyncDispose](), host[Symbol.asyncDispose]()]);
    host.kill();
    assert.equal((await host.exited).reason, "retired");
    await host[Symbol.asyncDispose]();
  });
});

Deno.test("HostProcess tells when it is done with a task that was returned, since only then its place is free", async () => {
  await using directory = new RuntimeDirectory();
  await using host = await startHost(directory);
  const released = Promise.withResolvers<void>();
  const [first, second] = [new TestTask("PassThroughNode"), new TestTask("PassThroughNode")];
  host.run(first, performance.now());
  host.run(Object.assign(second, { onReleased: () => released.resolve() }), performance.now());
  // As if the first had taken long; nothing has been read from the host yet.
  host.enforceLimits(performance.now() + 1_000, 100);
  assert.equal((await second.ended).kind, "returned");
  assert.equal((await first.ended).kind, "result");
  await released.promise;
  assert.equal(host.taskCount, 0);
  assert.equal(second.ends, 1);
});
