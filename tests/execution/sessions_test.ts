import assert from "node:assert/strict";
import { SessionOptions } from "../../src/config/schema.ts";
import { ServiceError } from "../../src/errors.ts";
import { Sessions } from "../../src/execution/sessions/registry.ts";
import { Session } from "../../src/execution/sessions/session.ts";
import { FakePlacedStream } from "../fakes/fake_placed_stream.ts";
import { FakeTime } from "../fakes/fake_time.ts";
import { bytesOf } from "../support/zip_writer.ts";

const LIMITS = { timeoutMs: 1, memoryBytes: 1, cpuPercent: 1, cpuMs: 1, threads: 1, outputBytes: 1 };
const DRAINING = new ServiceError("DRAINING", "Session ended: the service is shutting down");

function registry(options: Partial<SessionOptions> = {}) {
  const state = { empties: 0 };
  return { state, sessions: new Sessions(SessionOptions.parse(options), () => state.empties++) };
}

/** Opens a session as the executor does. */
function open(sessions: Sessions, id: string, { caller = "ada", isObject = true, isOver = false } = {}) {
  const stream = new FakePlacedStream();
  const release = sessions.reserve(caller);
  const session = new Session({
    id,
    caller,
    nodeType: "",
    isObject,
    limits: LIMITS,
    maxConsoleBytes: 0,
    maxInputBytes: 10,
    lease: { charge: () => undefined, end() {} },
    audit: () => {},
  }, stream);
  if (isOver) session.cancel();
  sessions.add(session, release);
  return { stream, session };
}

/** What ended a session has been noticed. */
async function settled({ stream, session }: ReturnType<typeof open>): Promise<void> {
  while (stream.steps.length > 0) stream.answer("CANCELLED");
  stream.letGo();
  await session.ended;
  await Promise.resolve();
}

Deno.test("Sessions.reserve() gives out as many places as there are, in all and to each caller", () => {
  const { sessions } = registry({ maxSessions: 3, maxPerCaller: 2 });
  const first = sessions.reserve("ada");
  sessions.reserve("ada");
  assert.throws(() => sessions.reserve("ada"), { code: "QUEUE_FULL", message: /sessions\.maxPerCaller is 2/ });
  const other = sessions.reserve("bob");
  assert.throws(() => sessions.reserve("cid"), { code: "QUEUE_FULL", message: /sessions\.maxSessions is 3/ });
  first();
  first();
  sessions.reserve("ada");
  assert.throws(() => sessions.reserve("cid"), /maxSessions/, "given back twice, it is one place");
  other();
  sessions.reserve("cid");
  assert.equal(sessions.size, 0);
});

Deno.test("Sessions.reserve() takes up to none where there are to be none", () => {
  const { sessions } = registry({ maxSessions: 0 });
  assert.throws(() => sessions.reserve("ada"), { code: "QUEUE_FULL" });
});

for (const how of ["close", "cancel", "fail", "failing step", "host's death"] as const) {
  Deno.test(`Sessions gets a session's place back after ${how}, when its sandbox is free of it`, async () => {
    const { sessions, state } = registry({ maxSessions: 1, maxPerCaller: 1 });
    const opened = open(sessions, "one");
    const { session, stream } = opened;
    session.onOutput = () => {};
    session.process(bytesOf("[]"), "json");
    assert.deepEqual([sessions.size, sessions.isEmpty], [1, false]);
    if (how === "close") session.close();
    else if (how === "cancel") session.cancel();
    else if (how === "fail") session.fail(DRAINING);
    else if (how === "failing step") stream.answer("TASK_FAILED");
    else {
      const exit = { reason: "crashed", exitCode: 1, stderr: "" } as const;
      session.takeLoss({ kind: "lost", started: false, exit, usage: undefined, denials: [] });
    }
    await Promise.resolve();
    assert.throws(() => sessions.reserve("ada"), { code: "QUEUE_FULL" });
    assert.equal(state.empties, 0);
    await settled(opened);
    assert.deepEqual([sessions.size, sessions.isEmpty, state.empties], [0, true, 1]);
    sessions.reserve("ada")();
    assert.equal(state.empties, 2, "a place that was given back may be what others wait for");
  });
}

Deno.test("Sessions gets a session's place back that ended before it was added", async () => {
  const { sessions } = registry({ maxSessions: 1 });
  const opened = open(sessions, "one", { isOver: true });
  assert.throws(() => sessions.find("one", "ada"), { code: "NOT_FOUND" });
  await settled(opened);
  sessions.reserve("ada");
});

Deno.test("Sessions.find() finds a caller's own, and says why one of theirs is gone", async () => {
  const { sessions } = registry();
  const opened = open(sessions, "one");
  assert.equal(sessions.find("one", "ada"), opened.session);
  const missing = 'Session not found: "one"';
  assert.throws(() => sessions.find("one", "bob"), { code: "NOT_FOUND", message: missing });
  opened.session.close();
  assert.throws(() => sessions.find("one", "ada"), { code: "NOT_FOUND", message: missing });
  await settled(opened);
  assert.throws(() => sessions.find("one", "ada"), { message: `${missing}; it was closed` });
  assert.throws(() => sessions.find("one", "bob"), { message: missing });
  assert.throws(() => sessions.find("\n".repeat(1_000), "ada"), ({ message }) => message.length < 300);
});

Deno.test("Sessions remembers why sessions ended, of a thousand at most", async () => {
  const { sessions } = registry();
  for (let index = 0; index <= 1_000; index++) {
    const opened = open(sessions, `s${index}`);
    opened.session.cancel();
    await settled(opened);
  }
  assert.throws(() => sessions.find("s0", "ada"), { message: 'Session not found: "s0"' });
  assert.throws(() => sessions.find("s1", "ada"), { message: /; a call of it was cancelled$/ });
  assert.throws(() => sessions.find("s1000", "ada"), { message: /; a call of it was cancelled$/ });
});

Deno.test("Sessions.list() tells a caller of their own, and the operator of all", () => {
  const { sessions } = registry();
  open(sessions, "one");
  open(sessions, "two", { caller: "bob" });
  const idsFor = (caller: string | undefined) => sessions.list(caller).map(({ sessionId }) => sessionId);
  assert.deepEqual([idsFor("ada"), idsFor("bob"), idsFor("cid"), idsFor(undefined)], [["one"], ["two"], [], [
    "one",
    "two",
  ]]);
  sessions[Symbol.dispose]();
});

/** The reason with which a session has ended, `undefined` while it has not. */
async function reasonOf(opened: ReturnType<typeof open>): Promise<string | undefined> {
  if (!opened.session.isOver) return undefined;
  await settled(opened);
  const end = await opened.session.ended;
  return end.kind === "ended" ? end.error.message : end.kind;
}

Deno.test("Sessions ends those that are without an input for too long, not those that are busy", async () => {
  using time = new FakeTime();
  const { sessions } = registry({ idleTimeoutMs: 1_000 });
  const idle = open(sessions, "idle");
  const busy = open(sessions, "busy");
  busy.session.process(bytesOf("[]"), "json");
  time.advance(900);
  assert.equal(await reasonOf(idle), undefined);
  time.advance(200);
  assert.match(await reasonOf(idle) ?? "", /without an input for sessions\.idleTimeoutMs, 1000 ms/);
  time.advance(5_000);
  assert.equal(await reasonOf(busy), undefined);
  busy.stream.answer();
  time.advance(900);
  assert.equal(await reasonOf(busy), undefined, "its last step has just ended");
  time.advance(200);
  assert.match(await reasonOf(busy) ?? "", /without an input/);
  assert.equal(time.pending, 0, "nobody is watched, so nothing watches");
});

Deno.test("Sessions ends those whose outputs are not read, busy or not", async () => {
  using time = new FakeTime();
  const { sessions } = registry({ idleTimeoutMs: 1_000 });
  const held = open(sessions, "held");
  held.session.hold(true);
  held.session.process(bytesOf("[]"), "json");
  time.advance(1_200);
  assert.match(await reasonOf(held) ?? "", /its outputs were not read for sessions\.idleTimeoutMs, 1000 ms/);
});

Deno.test("Sessions ends those that are open for too long, whatever they do", async () => {
  using time = new FakeTime();
  const { sessions } = registry({ idleTimeoutMs: 1_000, maxDurationMs: 5_000 });
  const opened = open(sessions, "long");
  for (let at = 0; at < 4_900; at += 700) {
    assert.equal(await reasonOf(opened), undefined);
    opened.session.process(bytesOf("[]"), "json");
    opened.stream.answer();
    time.advance(700);
  }
  time.advance(200);
  assert.match(await reasonOf(opened) ?? "", /open for sessions\.maxDurationMs, 5000 ms/);
  assert.equal(time.pending, 0);
});

Deno.test("Sessions.endIdle() ends objects that nobody uses, now or when they are not used any more", async () => {
  const { sessions } = registry();
  const idle = open(sessions, "idle");
  const busy = open(sessions, "busy");
  const attached = open(sessions, "attached");
  attached.session.onOutput = () => {};
  const stream = open(sessions, "stream", { isObject: false });
  const { signal } = new AbortController();
  const calls = [0, 1].map(() => busy.session.call("m", new Uint8Array(), "json", signal));
  sessions.endIdle(DRAINING);
  assert.deepEqual([idle, busy, attached, stream].map(({ session }) => session.isOver), [true, false, false, false]);
  busy.stream.answer();
  assert.equal(busy.session.isOver, false);
  busy.stream.answer();
  assert.equal(busy.session.isOver, true);
  for (const { verdict } of await Promise.all(calls)) assert.equal(verdict.errorMessage, "");
  attached.session.detach();
  assert.equal(attached.session.isOver, true);
  assert.equal(sessions.endAll(DRAINING), 4);
  assert.equal(stream.session.isOver, true);
  for (const opened of [idle, busy, attached, stream]) await settled(opened);
  assert.equal(sessions.isEmpty, true);
});
