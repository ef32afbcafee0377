import assert from "node:assert/strict";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import { ServiceError } from "../../src/errors.ts";
import type { TaskLease } from "../../src/execution/callers.ts";
import { Session, type SessionEnd, type SessionOptions } from "../../src/execution/sessions/session.ts";
import { OUTPUT_COST_BYTES } from "../../workers/protocol.ts";
import { FakePlacedStream, STEP_USAGE } from "../fakes/fake_placed_stream.ts";
import { bytesOf } from "../support/zip_writer.ts";

const LIMITS = { timeoutMs: 1, memoryBytes: 2 ** 20, cpuPercent: 1, cpuMs: 1, threads: 1, outputBytes: 1 };
const HOST_EXIT = { reason: "crashed", exitCode: 5, stderr: "" } as const;

class FakeLease implements TaskLease {
  readonly charges: number[] = [];
  ends = 0;
  overdrawn: ServiceError | undefined;

  charge(cpuMs: number): ServiceError | undefined {
    this.charges.push(cpuMs);
    return this.overdrawn;
  }

  end(cpuMs: number): void {
    assert.equal(cpuMs, 0);
    this.ends++;
  }
}

/** A session with all that it tells. */
function start(options: Partial<SessionOptions> = {}) {
  const stream = new FakePlacedStream();
  const lease = new FakeLease();
  const session = new Session({
    id: "s",
    caller: "ada",
    nodeType: "",
    isObject: false,
    limits: LIMITS,
    maxConsoleBytes: 10,
    maxInputBytes: 10_000_000,
    lease,
    audit: () => {},
    ...options,
  }, stream);
  const outputs: string[] = [];
  const ends: SessionEnd[] = [];
  session.onOutput = ({ output }) => outputs.push(new TextDecoder().decode(output));
  session.onEnd = (end) => ends.push(end);
  return { stream, lease, session, outputs, ends };
}

function give(session: Session, ...inputs: readonly string[]): void {
  for (const input of inputs) session.process(bytesOf(input), "json");
}

function output(session: Session, text: string): void {
  session.takeOutput({ runMicros: 1_000, output: bytesOf(text) });
}

const NUMBERS = Array.from({ length: 12 }, (_, index) => String(index));

Deno.test("Session hands over steps in order, eight ahead", () => {
  const { stream, session } = start();
  give(session, ...NUMBERS);
  assert.deepEqual(stream.inputs, NUMBERS.slice(0, 8));
  stream.answer();
  assert.deepEqual(stream.inputs, NUMBERS.slice(1, 9));
  session.finish("json");
  for (let left = 11; left > 0; left--) stream.answer();
  assert.deepEqual(stream.steps.map(({ action }) => action), ["flush"]);
});

Deno.test("Session hands over no more than a megabyte ahead, and one input however long", () => {
  const { stream, session } = start();
  const long = new Uint8Array(2 ** 20);
  for (let count = 0; count < 3; count++) session.process(long, "raw");
  assert.equal(stream.steps.length, 1);
  stream.answer();
  assert.equal(stream.steps.length, 1);
  assert.equal(session.isFull, true, "a megabyte waits");
});

Deno.test("Session.isFull says when eight inputs wait, and onRoom when they do not any more", () => {
  const { stream, session } = start();
  let rooms = 0;
  session.onRoom = () => rooms++;
  for (let count = 0; count < 15; count++) give(session, "x");
  assert.equal(session.isFull, false);
  stream.answer();
  assert.equal(rooms, 0, "nobody was told to wait");
  give(session, "x", "x");
  assert.equal(session.isFull, true);
  stream.answer();
  assert.deepEqual([rooms, session.isFull], [1, false]);
  stream.answer();
  assert.equal(rooms, 1);
});

Deno.test("Session.hold() hands over and grants nothing until it goes on", () => {
  const { stream, session, outputs } = start();
  give(session, "a");
  output(session, "1");
  assert.deepEqual(stream.grants, [1 + OUTPUT_COST_BYTES]);
  session.hold(true);
  output(session, "22");
  output(session, "");
  give(session, "b");
  stream.answer();
  assert.deepEqual([stream.inputs, stream.grants.length, outputs], [[], 1, ["1", "22", ""]]);
  assert.equal(session.isHeld, true);
  session.hold(false);
  assert.deepEqual([stream.inputs, stream.grants], [["b"], [1 + OUTPUT_COST_BYTES, 2 + 2 * OUTPUT_COST_BYTES]]);
  session.hold(false);
  assert.equal(stream.grants.length, 2);
});

Deno.test("Session grants nodes no credit: they do not wait for any", () => {
  const { stream, session } = start({ nodeType: "N" });
  give(session, "a");
  output(session, "1");
  assert.deepEqual(stream.grants, []);
});

Deno.test("Session drops outputs that come of no step, and grants nothing for them", () => {
  const { stream, session, outputs } = start();
  output(session, "1");
  give(session, "a");
  stream.answer();
  output(session, "2");
  assert.deepEqual([outputs, stream.grants, session.totals.metrics("", 0).outputSizeBytes], [[], [], 0]);
});

Deno.test("Session ends when an input fails: the rest is given up, and it is closed once", async () => {
  const { stream, session, lease, ends } = start();
  give(session, ...NUMBERS);
  stream.answer("TASK_FAILED", "not that");
  assert.deepEqual(ends.map(({ kind }) => kind), ["failed"], "told before it is closed");
  assert.equal(stream.steps.length, 7);
  assert(stream.steps.every(({ isGivenUp }) => isGivenUp));
  assert.deepEqual([stream.closes, lease.ends, session.isOver], [1, 0, true]);
  while (stream.steps.length > 0) stream.answer("CANCELLED");
  session.cancel();
  session.close();
  session.fail(new ServiceError("DRAINING", "no"));
  give(session, "late");
  output(session, "late");
  stream.letGo();
  const end = await session.ended;
  assert(end.kind === "failed" && end.verdict.errorMessage === "not that");
  assert.deepEqual([ends.length, stream.closes, lease.ends, stream.steps.length], [1, 1, 1, 0]);
});

Deno.test("Session charges what its steps used, those that were given up included, and gives its lease back once", async () => {
  const { stream, session, lease } = start();
  give(session, "a", "b");
  stream.answer();
  session.cancel();
  stream.answer("CANCELLED");
  stream.backgroundCpuMs = 40;
  assert.equal(lease.ends, 0, "not before its sandbox is free of it");
  stream.letGo();
  await session.ended;
  assert.deepEqual([lease.charges, lease.ends], [[STEP_USAGE.cpuMs, STEP_USAGE.cpuMs, 40], 1]);
  assert.equal(session.totals.metrics("", 0).cpuTimeMs, 46);
});

Deno.test("Session ends when its caller has used all of its CPU time", async () => {
  const { stream, session, lease, ends } = start();
  give(session, "a", "b");
  lease.overdrawn = new ServiceError("RATE_LIMITED", "no more");
  stream.answer();
  assert.deepEqual(ends, [{ kind: "ended", error: lease.overdrawn }]);
  assert.equal(stream.steps[0]?.isGivenUp, true);
  stream.letGo();
  await session.ended;
});

Deno.test("Session.finish() flushes, closes, and is told as closed after that", async () => {
  const { stream, session, ends, outputs } = start();
  give(session, "a");
  session.finish("json");
  stream.answer();
  output(session, "the rest");
  stream.answer();
  assert.deepEqual([outputs, ends, stream.closes], [["the rest"], [], 1]);
  session.takeConsoleText({ stream: "stdout", text: "bye" });
  stream.letGo();
  await session.ended;
  assert.deepEqual([ends, session.takeConsole()], [[{ kind: "closed" }], { stdout: "bye", stderr: "" }]);
});

Deno.test("Session.finish() ends it as failed where the flush fails", async () => {
  const { stream, session, ends } = start();
  session.finish("json");
  stream.answer("TASK_FAILED", "no flush");
  assert.deepEqual(ends.map(({ kind }) => kind), ["failed"]);
  stream.letGo();
  await session.ended;
});

Deno.test("Session.call() gives what a method throws to its caller, and goes on", async () => {
  const { stream, session, ends } = start({ isObject: true });
  const { signal } = new AbortController();
  const failing = session.call("m", bytesOf("[1]"), "json", signal);
  const working = session.call("n", bytesOf("[22]"), "json", signal);
  session.takeConsoleText({ stream: "stderr", text: "hm" });
  stream.answer("TASK_FAILED", "not that");
  stream.answer("OK", "", bytesOf("3"));
  const failed = await failing;
  assert.deepEqual([failed.verdict.status, failed.verdict.errorMessage], [ExecutionStatus.ERROR, "not that"]);
  const { verdict, metrics } = await working;
  assert.deepEqual([verdict.status, verdict.output], [ExecutionStatus.SUCCESS, bytesOf("3")]);
  assert.deepEqual([metrics.inputSizeBytes, metrics.outputSizeBytes, metrics.cpuTimeMs], [4, 1, STEP_USAGE.cpuMs]);
  assert.deepEqual([ends, session.isOver, session.totals.items], [[], false, 2]);
});

Deno.test("Session.call() whose host dies ends the session", async () => {
  const { stream, session, ends } = start({ isObject: true });
  const call = session.call("m", bytesOf("[]"), "json", new AbortController().signal);
  stream.end({ kind: "lost", started: true, exit: HOST_EXIT, usage: STEP_USAGE, denials: [] });
  assert.equal((await call).verdict.failureReason, FailureReason.CRASH);
  assert.deepEqual(ends.map(({ kind }) => kind), ["failed"]);
});

Deno.test("Session.call() that is given up ends the session, and all that waits with it", async () => {
  const { stream, session, ends } = start({ isObject: true });
  const gone = new AbortController();
  const call = session.call("m", bytesOf("[]"), "json", gone.signal);
  const others = NUMBERS.map(() => session.call("m", bytesOf("[]"), "json", new AbortController().signal));
  gone.abort();
  assert.deepEqual(ends, [{ kind: "cancelled" }]);
  while (stream.steps.length > 0) stream.answer("CANCELLED");
  for (const { verdict } of await Promise.all([call, ...others])) {
    assert.equal(verdict.status, ExecutionStatus.CANCELLED);
  }
  const late = await session.call("m", bytesOf("[]"), "json", new AbortController().signal);
  assert.equal(late.verdict.status, ExecutionStatus.CANCELLED);
});

Deno.test("Session.call() refuses what is too long, and more calls than may wait", async () => {
  const { stream, session } = start({ isObject: true, maxInputBytes: 10 });
  const { signal } = new AbortController();
  for (
    const [method, length, format] of [["m", 11, ""], ["m".repeat(400_000), 0, ""], [
      "m",
      0,
      "f".repeat(400_000),
    ]] as const
  ) {
    const { verdict } = await session.call(method, new Uint8Array(length), format, signal);
    assert.equal(verdict.failureReason, FailureReason.INPUT_LIMIT);
  }
  assert.deepEqual([stream.steps.length, session.isOver], [0, false]);
  const calls = Array.from({ length: 8 + 64 }, () => session.call("m", new Uint8Array(), "", signal));
  await assert.rejects(session.call("m", new Uint8Array(), "", signal), { code: "QUEUE_FULL" });
  for (let left = calls.length; left > 0; left--) stream.answer();
  await Promise.all(calls);
});

Deno.test("Session.process() ends a stream whose input is too long", () => {
  const { stream, session, ends } = start({ maxInputBytes: 2 });
  give(session, "abc");
  const [end] = ends;
  assert(end?.kind === "failed");
  assert.equal(end.verdict.failureReason, FailureReason.INPUT_LIMIT);
  assert.equal(stream.steps.length, 0);
});

Deno.test("Session.detach() leaves calls as they are, and nothing of the stream to the next one", async () => {
  const { stream, session, ends } = start({ isObject: true });
  const first: string[] = [];
  session.onFailure = (verdict) => {
    first.push(verdict.errorMessage ?? "");
    session.detach();
    return true;
  };
  give(session, ...NUMBERS);
  const call = session.call("m", bytesOf("[]"), "json", new AbortController().signal);
  stream.answer("TASK_FAILED", "first");
  assert.deepEqual([first, stream.steps.length, session.isAttached], [["first"], 8, false]);
  assert.equal(stream.steps.at(-1)?.action, "call", "what had not begun was dropped, the call was not");

  const outputs: string[] = [];
  session.onOutput = ({ output }) => outputs.push(new TextDecoder().decode(output));
  session.onFailure = () => assert.fail("it is none of this one's");
  give(session, "next");
  for (let left = 7; left > 0; left--) {
    output(session, "stale");
    stream.answer("TASK_FAILED", "as well");
  }
  stream.answer();
  assert.equal((await call).verdict.status, ExecutionStatus.SUCCESS);
  output(session, "fresh");
  stream.answer();
  assert.deepEqual([outputs, ends, session.isOver], [["fresh"], [], false]);
});

Deno.test("Session.flush() of a stream that has left does not tell the next one", () => {
  const { stream, session } = start({ isObject: true });
  session.flush("json", () => assert.fail("its stream has left"));
  session.detach();
  stream.answer();
  session.flush("json", () => assert.fail("nobody was attached"));
  stream.answer("TASK_FAILED", "no flush");
  assert.equal(session.isOver, false);
});

Deno.test("Session.detach() lets go on what a stream that was not read held up", () => {
  const { stream, session } = start({ isObject: true });
  session.hold(true);
  void session.call("m", bytesOf("[]"), "json", new AbortController().signal);
  assert.equal(stream.steps.length, 0);
  session.detach();
  assert.equal(stream.steps.length, 1);
});

Deno.test("Session ends when its host is lost between its steps, and charges what it was stopped for", async () => {
  for (const kind of ["lost", "stopped"] as const) {
    const { stream, session, lease, ends } = start();
    const common = { usage: STEP_USAGE, denials: [] };
    session.takeLoss(
      kind === "lost"
        ? { kind, started: false, exit: HOST_EXIT, ...common }
        : { kind, reason: "cpu", excess: { limit: 1, used: 2 }, ...common },
    );
    assert.deepEqual(ends.map(({ kind }) => kind), ["failed"]);
    stream.letGo();
    await session.ended;
    assert.deepEqual([lease.charges[0], lease.ends], [STEP_USAGE.cpuMs, 1]);
  }
});

Deno.test("Session tells its host's death once, whether by a step or by itself", async () => {
  const { stream, session, ends } = start();
  give(session, "a");
  stream.end({ kind: "lost", started: true, exit: HOST_EXIT, usage: undefined, denials: [] });
  session.takeLoss({ kind: "lost", started: false, exit: HOST_EXIT, usage: undefined, denials: [] });
  stream.letGo();
  await session.ended;
  assert.deepEqual([ends.length, stream.closes], [1, 1]);
});

Deno.test("Session keeps so much of the console, from one time it is asked to the next", () => {
  const { session } = start();
  session.takeConsoleText({ stream: "stdout", text: "12345678" });
  session.takeConsoleText({ stream: "stderr", text: "abcdef" });
  assert.deepEqual(session.takeConsole(), { stdout: "12345678", stderr: "ab" });
  session.takeConsoleText({ stream: "stderr", text: "abcdef" });
  assert.deepEqual(session.takeConsole(), { stdout: "", stderr: "abcdef" });
});

Deno.test("Session.totals sums up its steps", () => {
  const { stream, session } = start();
  give(session, "abc", "de");
  output(session, "1234");
  stream.answer();
  stream.answer();
  session.flush("json", () => {});
  stream.answer();
  const { durationMs, cpuTimeMs, memoryPeakMb, memoryAverageMb, inputSizeBytes, outputSizeBytes } = session.totals
    .metrics("fake", 0);
  assert.deepEqual(
    {
      durationMs,
      cpuTimeMs,
      memoryPeakMb,
      memoryAverageMb,
      inputSizeBytes,
      outputSizeBytes,
      items: session.totals.items,
    },
    {
      durationMs: 6,
      cpuTimeMs: 9,
      memoryPeakMb: 4,
      memoryAverageMb: 1,
      inputSizeBytes: 5,
      outputSizeBytes: 4,
      items: 2,
    },
  );
});

Deno.test("Session believes no output that says that it took longer than its input is there", () => {
  const { session } = start();
  const durations: number[] = [];
  session.onOutput = ({ metrics }) => {
    const { durationMs, queueTimeMs } = metrics(Date.now());
    durations.push(durationMs, queueTimeMs);
  };
  give(session, "a");
  session.takeOutput({ runMicros: Number.MAX_SAFE_INTEGER, output: new Uint8Array() });
  assert(durations.every((duration) => duration >= 0 && duration < 60_000), String(durations));
});
