import assert from "node:assert/strict";
import { FakeTime } from "../fakes/fake_time.ts";
import { AdmissionQueue, type Waiter } from "../../src/execution/admission.ts";
import type { ServiceError } from "../../src/errors.ts";

/** Waiters that start while there is room, and tell in which order. */
class Room {
  free = 0;
  readonly started: string[] = [];
  readonly shed: [name: string, error: ServiceError][] = [];

  waiter(name: string): Waiter {
    return {
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

function startQueue(options: { readonly queueLimit?: number; readonly queueTimeoutMs?: number } = {}) {
  return new AdmissionQueue({ queueLimit: 10, queueTimeoutMs: 0, ...options });
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
