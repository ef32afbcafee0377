import assert from "node:assert/strict";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import type { PackageTask } from "../../workers/protocol.ts";
import { ExecutionSectionOptions } from "../../src/config/schema.ts";
import { type ErrorCode, ServiceError } from "../../src/errors.ts";
import { AdmissionQueue } from "../../src/execution/admission.ts";
import { type Preparation, type RunOptions, TaskRun } from "../../src/execution/task_run.ts";
import type { HostTask } from "../../src/sandbox/task.ts";
import { FakeTime } from "../fakes/fake_time.ts";

const LIMITS = { timeoutMs: 1_000, memoryBytes: 2 ** 26, cpuPercent: 100, cpuMs: 1_000, threads: 8, outputBytes: 10 };
const USAGE = { wallMs: 30, cpuMs: 20, memoryPeakBytes: 1, memoryAverageBytes: 1, threads: 1 };

const MESSAGE: PackageTask = {
  format: "json",
  memoryLimitBytes: 1,
  maxOutputBytes: 1,
  maxConsoleBytes: 1,
  options: {
    entryPoint: "",
    dependencies: [],
    maxPackageBytes: 1,
    maxUnpackedBytes: 1,
    maxFiles: 1,
    blockedImports: [],
    validated: false,
    environment: {},
  },
  input: new Uint8Array(),
  layers: [],
  codePackage: new Uint8Array(),
};
const PREPARED = { message: { ...MESSAGE, layers: [Uint8Array.of(7)] }, installed: ["numpy==2.1.0"] };

/** A run whose preparation and sandbox a test decides about. */
class Setup implements Disposable {
  readonly queue: AdmissionQueue;
  readonly placed: HostTask[] = [];
  readonly caller = new AbortController();
  readonly preparation = Promise.withResolvers<Preparation>();
  readonly run: TaskRun;
  preparing: AbortSignal | undefined;

  constructor(options: Partial<RunOptions> = {}, queueLimit = 10) {
    this.queue = new AdmissionQueue(ExecutionSectionOptions.parse({ queueLimit, queueTimeoutMs: 0 }));
    this.run = new TaskRun({
      taskId: "t",
      caller: "a",
      subject: "Task",
      logFields: {},
      message: MESSAGE,
      limits: LIMITS,
      prepare: (signal) => {
        this.preparing = signal;
        return this.preparation.promise;
      },
      maxRestarts: 0,
      tryPlace: (task) => {
        this.placed.push(task);
        return () => {};
      },
      queue: this.queue,
      audit: () => {},
      ...options,
    });
    this.run.start(this.caller.signal);
  }

  get report() {
    return this.run.report.promise;
  }

  [Symbol.dispose](): void {
    this.queue[Symbol.dispose]();
  }
}

Deno.test("TaskRun places a prepared task with what is left of its time, and reports what was installed", async () => {
  using time = new FakeTime();
  using setup = new Setup();
  time.advance(400);
  assert.equal(setup.placed.length, 0);
  setup.preparation.resolve(PREPARED);
  await setup.preparation.promise;
  const [task] = setup.placed;
  assert(task !== undefined);
  assert.deepEqual([task.message, task.limits.timeoutMs], [PREPARED.message, 600]);
  task.onEnd({
    kind: "result",
    result: { outcome: "OK", runMicros: 1, message: "", traceback: "", output: new Uint8Array() },
    usage: USAGE,
    denials: [],
  }, "python-3.14-1");
  const report = await setup.report;
  assert.deepEqual(
    [report.status, report.installed, report.metrics.durationMs],
    [ExecutionStatus.SUCCESS, ["numpy==2.1.0"], 430],
  );
  assert.equal(time.pending, 0);
});

Deno.test("TaskRun names the whole limit of a prepared task whose time is up", async () => {
  using time = new FakeTime();
  using setup = new Setup();
  time.advance(400);
  setup.preparation.resolve(PREPARED);
  await setup.preparation.promise;
  const excess = { limit: 600, used: 600 };
  setup.placed[0]?.onEnd({ kind: "stopped", reason: "timeout", excess, usage: USAGE, denials: [] }, "h");
  const { errorMessage } = await setup.report;
  assert.equal(errorMessage, "Task timed out: it ran 1 s, the limit is 1 s (options.timeout_seconds)");
});

Deno.test("TaskRun ends with TIMEOUT when preparing takes longer than the task may, and gives the preparation up", async () => {
  using time = new FakeTime();
  using setup = new Setup();
  time.advance(1_000);
  const { status, errorMessage } = await setup.report;
  assert.equal(status, ExecutionStatus.TIMEOUT);
  assert.equal(errorMessage, "Task timed out: it ran 1 s, the limit is 1 s (options.timeout_seconds)");
  assert(setup.preparing?.aborted);
  setup.preparation.resolve(PREPARED);
  await setup.preparation.promise;
  assert.equal(setup.placed.length, 0);
});

Deno.test("TaskRun gives the preparation up when the caller goes away", async () => {
  using setup = new Setup();
  setup.caller.abort();
  assert.equal((await setup.report).status, ExecutionStatus.CANCELLED);
  assert(setup.preparing?.aborted);
  setup.preparation.reject(new Error("given up"));
  await Promise.allSettled([setup.preparation.promise]);
  assert.equal(setup.placed.length, 0);
});

const OBSTACLES: readonly [code: ErrorCode, status: ExecutionStatus, reason: FailureReason][] = [
  ["INVALID_TASK", ExecutionStatus.ERROR, FailureReason.INVALID_TASK],
  ["SECURITY_VIOLATION", ExecutionStatus.SECURITY_VIOLATION, FailureReason.SECURITY_VIOLATION],
  ["RESOURCE_LIMIT", ExecutionStatus.RESOURCE_LIMIT, FailureReason.INPUT_LIMIT],
  ["SANDBOX_LOST", ExecutionStatus.ERROR, FailureReason.CRASH],
];

for (const [code, status, reason] of OBSTACLES) {
  Deno.test(`TaskRun reports ${code} of a preparation, and of a sandbox that there is not`, async () => {
    const error = new ServiceError(code, "why not");
    using preparing = new Setup();
    preparing.preparation.reject(error);
    using placing = new Setup({
      prepare: undefined,
      tryPlace() {
        throw error;
      },
    });
    for (const { report } of [preparing, placing]) {
      const { status: got, failureReason, errorMessage } = await report;
      assert.deepEqual([got, failureReason, errorMessage], [status, reason, "why not"]);
    }
  });
}

Deno.test("TaskRun that waited leaves the queue when there turns out to be no sandbox, and so does the next", async () => {
  let hasFailed = false;
  const options: Partial<RunOptions> = {
    prepare: undefined,
    tryPlace() {
      if (hasFailed) throw new ServiceError("SANDBOX_LOST", "Cannot start Python 3.14: no");
      return undefined;
    },
  };
  using first = new Setup(options);
  const second = new TaskRun({ ...optionsOf(first), ...options });
  second.start(new AbortController().signal);
  assert.equal(first.queue.length, 2);
  hasFailed = true;
  first.queue.pump();
  assert.equal(first.queue.length, 0);
  for (const report of [await first.report, await second.report.promise]) {
    assert.match(report.errorMessage, /^Cannot start Python 3\.14/);
  }
});

Deno.test("TaskRun fails the call where a preparation fails by no fault of the task's, or nobody else may wait", async () => {
  using broken = new Setup();
  broken.preparation.reject(new Error("a bug"));
  await assert.rejects(broken.report, /a bug/);
  using full = new Setup({ tryPlace: () => undefined }, 0);
  full.preparation.resolve(PREPARED);
  await assert.rejects(full.report, (error) => error instanceof ServiceError && error.code === "QUEUE_FULL");
});

/** Options of another run in the same queue. */
function optionsOf(setup: Setup): RunOptions {
  return {
    taskId: "u",
    caller: "b",
    subject: "Task",
    logFields: {},
    message: MESSAGE,
    limits: LIMITS,
    maxRestarts: 0,
    tryPlace: () => undefined,
    queue: setup.queue,
    audit: () => {},
  };
}
