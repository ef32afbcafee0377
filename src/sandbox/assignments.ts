/**
 * The tasks of one host in the order in which it runs them.
 * @module
 */

import type { HostTask, TaskEnd } from "./task.ts";

/** A task on a host. */
export class Assignment {
  /** When the caller gave up; the assignment stays until the host is done with it. */
  abandonedAt: number | undefined;
  logLines = 0;
  consoleLength = 0;
  /** The limit that the task has been told is near. */
  near: { readonly reason: "timeout" | "cpu" | "memory"; readonly limit: number } | undefined;
  #settled = false;

  constructor(readonly id: number, readonly task: HostTask) {}

  /** Whether its end has been told; it stays, like one that was given up, until the host has answered for it. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Tells its end, once. */
  settle(end: TaskEnd, sandboxId: string): void {
    if (this.#settled) return;
    this.#settled = true;
    this.task.onEnd(end, sandboxId);
  }
}

/** First in, first out: hosts run their tasks strictly in order, so that the first is the one that runs. */
export class Assignments {
  readonly #byId = new Map<number, Assignment>();
  #nextId = 1;
  #maxOutputBytes = 0;
  #inputBytes = 0;

  /** How many there are, the running one included. */
  get size(): number {
    return this.#byId.size;
  }

  /** The one that runs. */
  get head(): Assignment | undefined {
    const [head] = this.#byId.values();
    return head;
  }

  /** Those behind the one that runs. */
  get waiting(): Assignment[] {
    return [...this.#byId.values()].slice(1);
  }

  /** The longest output that any of them may give. */
  get maxOutputBytes(): number {
    return this.#maxOutputBytes;
  }

  /** Inputs of those that wait: they may lie in the host's memory, and are none of the running task's doing. */
  get waitingInputBytes(): number {
    return this.#inputBytes - (this.head?.task.message.input.length ?? 0);
  }

  get(id: number): Assignment | undefined {
    return this.#byId.get(id);
  }

  add(task: HostTask): Assignment {
    const assignment = new Assignment(this.#nextId, task);
    // Streams go by the ids of the tasks that opened them: a host sees fewer tasks than there are ids.
    this.#nextId = this.#nextId === 0xffff_ffff ? 1 : this.#nextId + 1;
    this.#byId.set(assignment.id, assignment);
    this.#inputBytes += task.message.input.length;
    this.#maxOutputBytes = Math.max(this.#maxOutputBytes, task.message.maxOutputBytes);
    return assignment;
  }

  remove(id: number): void {
    this.#inputBytes -= this.#byId.get(id)?.task.message.input.length ?? 0;
    this.#byId.delete(id);
    if (this.#byId.size === 0) this.#maxOutputBytes = 0;
  }

  /** Takes all of them out. */
  takeAll(): Assignment[] {
    const all = [...this.#byId.values()];
    this.#byId.clear();
    this.#inputBytes = 0;
    this.#maxOutputBytes = 0;
    return all;
  }
}
