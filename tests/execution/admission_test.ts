import assert from "node:assert/strict";
import { FakeTime } from "../fakes/fake_time.ts";
import { type AdmissionOptions, AdmissionQueue, type Waiter } from "../../src/execution/admission.ts";
import type { ServiceError } from "../../src/errors.ts";

/** Waiters that start while there is room, and tell in which order. */
class Room {
  free = 0;
  readonly started: string[] = [];
  readonly shed: [name: string, error: ServiceError][] = [];

  waiter(
    name: string,
    { caller = "one", bytes = 0 }: { readonly caller?: string; readonly bytes?: number } = {},
  ): Waiter {
    return {
      caller,
      bytes,
      tryStart: () => {
        if (this.free === 0) return false;
        this.free--;
        this.started.push(name);
        return true;
      },
      shed: (error) => void this.shed.push([name, error]),
    };
  }
}

function startQueue(options: Partial<AdmissionOptions> = {}) {
  return new AdmissionQueue({ queueLimit: 10, queueLimitMb: 10, queueTimeoutMs: 0, ...options });
}

Deno.test("AdmissionQueue.pump() starts waiters in order until one cannot", () => {
  using queue = startQueue();
  const room = new Room();
  for (const name of ["a", "b", "c"]) queue.enter(room.waiter(name));
  queue.pump();
  assert.deepEqual([room.started, queue.length], [[], 3]);
  room.free = 2;
  queue.pump();
  assert.deepEqual([room.started, queue.length], [["a", "b"], 1]);
  room.free = 2;
  queue.pump();
  queue.pump();
  assert.deepEqual([room.started, queue.length, room.free], [["a", "b", "c"], 0, 1]);
});

Deno.test("AdmissionQueue.length leaves out who is being started: a pool adds that one itself", () => {
  using queue = startQueue();
  const lengths: number[] = [];
  const waiter = (starts: boolean): Waiter => ({
    caller: "one",
    bytes: 0,
    tryStart: () => {
      lengths.push(queue.length);
      return starts;
    },
    shed: () => {},
  });
  queue.enter(waiter(true));
  queue.enter(waiter(false));
  queue.reenter(waiter(true));
  queue.pump();
  assert.deepEqual([lengths, queue.length], [[2, 1, 0], 1]);
});

Deno.test("AdmissionQueue.enter() rejects with QUEUE_FULL when the queue is full, and names the limit", () => {
  using queue = startQueue({ queueLimit: 2 });
  const room = new Room();
  queue.enter(room.waiter("a"));
  const leave = queue.enter(room.waiter("b"));
  assert.throws(() => queue.enter(room.waiter("c")), {
    code: "QUEUE_FULL",
    message: "Cannot admit execution: 2 wait already, execution.queueLimit is 2",
  });
  leave();
  leave();
  queue.enter(room.waiter("d"));
  assert.equal(queue.length, 2);
});

Deno.test("AdmissionQueue.enter() admits nobody when the limit is 0", () => {
  using queue = startQueue({ queueLimit: 0 });
  assert.throws(() => queue.enter(new Room().waiter("a")), { code: "QUEUE_FULL" });
});

Deno.test("AdmissionQueue.reenter() goes ahead of all others, whatever the limit", () => {
  using queue = startQueue({ queueLimit: 1 });
  const room = new Room();
  queue.enter(room.waiter("new"));
  queue.reenter(room.waiter("first again"));
  const leave = queue.reenter(room.waiter("gone"));
  queue.reenter(room.waiter("second again"));
  leave();
  assert.equal(queue.length, 3);
  room.free = 9;
  queue.pump();
  assert.deepEqual(room.started, ["first again", "second again", "new"]);
});

Deno.test("AdmissionQueue sheds each waiter when its time is up, and nobody else", () => {
  using time = new FakeTime();
  using queue = startQueue({ queueTimeoutMs: 1_000 });
  const room = new Room();
  queue.enter(room.waiter("a"));
  time.advance(400);
  queue.enter(room.waiter("b"));
  queue.reenter(room.waiter("admitted before"));
  time.advance(599);
  assert.equal(room.shed.length, 0);
  time.advance(1);
  assert.deepEqual(room.shed.map(([name]) => name), ["a"]);
  const [, error] = room.shed[0]!;
  assert.deepEqual([error.code, error.message], [
    "QUEUE_FULL",
    "Cannot admit execution: it waited 1000 ms, execution.queueTimeoutMs is 1000",
  ]);
  time.advance(400);
  assert.deepEqual(room.shed.map(([name]) => name), ["a", "b"]);
  assert.equal(queue.length, 1);
  assert.equal(time.pending, 0);
});

Deno.test("AdmissionQueue waits for the next waiter when the oldest has left before its time", () => {
  using time = new FakeTime();
  using queue = startQueue({ queueTimeoutMs: 1_000 });
  const room = new Room();
  const leave = queue.enter(room.waiter("a"));
  time.advance(500);
  queue.enter(room.waiter("b"));
  leave();
  time.advance(999);
  assert.equal(room.shed.length, 0);
  time.advance(1);
  assert.deepEqual(room.shed.map(([name]) => name), ["b"]);
});

Deno.test("AdmissionQueue sheds all with DRAINING when it is disposed of, and takes nobody afterwards", () => {
  using time = new FakeTime();
  const queue = startQueue({ queueTimeoutMs: 1_000 });
  const room = new Room();
  queue.enter(room.waiter("a"));
  queue.reenter(room.waiter("b"));
  queue[Symbol.dispose]();
  queue[Symbol.dispose]();
  assert.deepEqual(room.shed.map(([name, { code }]) => [name, code]), [["b", "DRAINING"], ["a", "DRAINING"]]);
  assert.deepEqual([queue.length, time.pending], [0, 0]);
  assert.throws(() => queue.enter(room.waiter("c")), { code: "DRAINING" });
  assert.throws(() => queue.reenter(room.waiter("d")), { code: "DRAINING" });
  room.free = 9;
  queue.pump();
  assert.deepEqual(room.started, []);
});

Deno.test("AdmissionQueue can be entered by a waiter that is being shed or started", () => {
  using queue = startQueue({ queueLimit: 3 });
  const room = new Room();
  const second: Waiter = room.waiter("second");
  queue.enter({
    caller: "one",
    bytes: 0,
    tryStart() {
      queue.enter(second);
      room.started.push("first");
      return true;
    },
    shed() {},
  });
  room.free = 1;
  queue.pump();
  assert.deepEqual([room.started, queue.length], [["first", "second"], 0]);
});

Deno.test("AdmissionQueue.pump() lets callers take turns, whoever sends most", () => {
  using queue = startQueue();
  const room = new Room();
  for (const name of ["a1", "a2", "a3", "a4"]) queue.enter(room.waiter(name, { caller: "a" }));
  for (const name of ["b1", "b2"]) queue.enter(room.waiter(name, { caller: "b" }));
  queue.enter(room.waiter("c1", { caller: "c" }));
  for (let turn = 0; turn < 7; turn++) {
    room.free = 1;
    queue.pump();
  }
  assert.deepEqual(room.started, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
  assert.equal(queue.length, 0);
});

Deno.test("AdmissionQueue.enter() sheds of whoever has most when it is full, and never for who has as many", () => {
  using queue = startQueue({ queueLimit: 4 });
  const room = new Room();
  for (const name of ["a1", "a2", "a3", "a4"]) queue.enter(room.waiter(name, { caller: "a" }));
  assert.throws(() => queue.enter(room.waiter("a5", { caller: "a" })), { code: "QUEUE_FULL" });
  queue.enter(room.waiter("b1", { caller: "b" }));
  queue.enter(room.waiter("b2", { caller: "b" }));
  assert.deepEqual(room.shed.map(([name, { code }]) => [name, code]), [["a4", "QUEUE_FULL"], ["a3", "QUEUE_FULL"]]);
  assert.throws(() => queue.enter(room.waiter("b3", { caller: "b" })), { code: "QUEUE_FULL" });
  room.free = 9;
  queue.pump();
  assert.deepEqual(room.started, ["a1", "b1", "a2", "b2"]);
});

Deno.test("AdmissionQueue.enter() bounds what those who wait hold in memory, and forgets it when they leave", () => {
  using queue = startQueue({ queueLimitMb: 2 });
  const room = new Room();
  const half = { bytes: 2 ** 20 };
  const leave = queue.enter(room.waiter("a", half));
  queue.enter(room.waiter("b", half));
  assert.throws(() => queue.enter(room.waiter("c", { bytes: 1 })), {
    code: "QUEUE_FULL",
    message: "Cannot admit execution: with it 3 MB would wait, execution.queueLimitMb is 2",
  });
  leave();
  queue.enter(room.waiter("d", half));
  room.free = 1;
  queue.pump();
  queue.enter(room.waiter("e", half));
  assert.equal(queue.length, 2);
});
