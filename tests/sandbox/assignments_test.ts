import assert from "node:assert/strict";
import { type Assignment, Assignments } from "../../src/sandbox/assignments.ts";
import type { HostTask } from "../../src/sandbox/task.ts";
import { seededRandom } from "../support/random.ts";

function taskOf(inputBytes: number, maxOutputBytes = 10): HostTask {
  const message = {
    nodeType: "PassThroughNode",
    format: "raw",
    config: new Map<string, string>(),
    memoryLimitBytes: 0,
    maxOutputBytes,
    input: new Uint8Array(inputBytes),
  };
  const limits = { timeoutMs: 1, cpuMs: 1, cpuPercent: 100, memoryBytes: 1, threads: 1 };
  return { message, limits, onLog() {}, onEnd() {} };
}

Deno.test("Assignments are first in, first out, and found by their ids, however many come and go", () => {
  const random = seededRandom(1);
  const assignments = new Assignments();
  const expected: Assignment[] = [];
  const gone: number[] = [];
  for (let round = 0; round < 5_000; round++) {
    // In waves, so that it is long at times and empty at others.
    if (random() < 0.5 + 0.3 * Math.sin(round / 100)) expected.push(assignments.add(taskOf(round % 7)));
    else {
      const head = expected.shift();
      if (head !== undefined) gone.push(head.id);
      assignments.removeHead();
    }
    assert.equal(assignments.size, expected.length);
    assert.equal(assignments.head, expected[0]);
    const waitingBytes = expected.slice(1).reduce((sum, { task }) => sum + task.message.input.length, 0);
    assert.equal(assignments.waitingInputBytes, waitingBytes);
    const any = expected[Math.floor(random() * expected.length)];
    if (any !== undefined) assert.equal(assignments.get(any.id), any);
    const lost = gone.at(-1 - Math.floor(random() * 100));
    if (lost !== undefined) assert.equal(assignments.get(lost), undefined);
  }
  assert(gone.length > 1_000);
  assert.deepEqual(assignments.waiting, expected.slice(1));
  assert.deepEqual(assignments.takeAll(), expected);
  assert.deepEqual([assignments.size, assignments.waitingInputBytes, assignments.takeAll()], [0, 0, []]);
});

Deno.test("Assignments.maxOutputBytes is that of the longest since there were none", () => {
  const assignments = new Assignments();
  assert.equal(assignments.maxOutputBytes, 0);
  assignments.add(taskOf(0, 50));
  assignments.add(taskOf(0, 20));
  assignments.removeHead();
  assert.equal(assignments.maxOutputBytes, 50);
  assignments.removeHead();
  assert.equal(assignments.maxOutputBytes, 0);
});

Deno.test("Assignments.get() knows no ids that were never given", () => {
  const assignments = new Assignments();
  assert.equal(assignments.get(1), undefined);
  const only = assignments.add(taskOf(0));
  for (const id of [0, only.id + 1, 0xffff_ffff]) assert.equal(assignments.get(id), undefined);
});
