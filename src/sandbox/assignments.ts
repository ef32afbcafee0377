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
  /** Whether its package passed every check. */
  validated = false;
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

/** So many places of tasks that have gone, and half of all, are cut off at once. */
const MAX_GONE = 64;
const MAX_ID = 0xffff_ffff;

/**
 * First in, first out: hosts run their tasks strictly in order, so that the first is the one that runs.
 *
 * No Map, which V8 makes anew each time that it is full of what was deleted, with a link from the old one: once one of them
 * has become old, the collector of young objects takes all that follow for alive, and with them every task.
 */
export class Assignments {
  #queue: (Assignment | undefined)[] = [];
  /** Where the first one is in the queue; those before have gone. */
  #first = 0;
  #nextId = 1;
  #maxOutputBytes = 0;
  #inputBytes = 0;

  /** How many there are, the running one included. */
  get size(): number {
    return this.#queue.length - this.#first;
  }

  /** The one that runs. */
  get head(): Assignment | undefined {
    return this.#queue[this.#first];
  }

  /** Those behind the one that runs. */
  get waiting(): Assignment[] {
    return this.#all.slice(1);
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
    const { head } = this;
    if (head === undefined) return undefined;
    // Ids follow each other, and the highest is followed by 1.
    const behind = id >= head.id ? id - head.id : id - head.id + MAX_ID;
    const found = this.#queue[this.#first + behind];
    return found?.id === id ? found : undefined;
  }

  add(task: HostTask): Assignment {
    const assignment = new Assignment(this.#nextId, task);
    // Streams go by the ids of the tasks that opened them: a host sees fewer tasks than there are ids.
    this.#nextId = this.#nextId === MAX_ID ? 1 : this.#nextId + 1;
    this.#queue.push(assignment);
    this.#inputBytes += task.message.input.length;
    this.#maxOutputBytes = Math.max(this.#maxOutputBytes, task.message.maxOutputBytes);
    return assignment;
  }

  /** Takes the one that runs out. */
  removeHead(): void {
    this.#inputBytes -= this.head?.task.message.input.length ?? 0;
    if (this.size <= 1) return this.#clear();
    this.#queue[this.#first] = undefined;
    this.#first++;
    if (this.#first < MAX_GONE || this.#first < this.size) return;
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }

  /** Takes all of them out. */
  takeAll(): Assignment[] {
    const all = this.#all;
    this.#inputBytes = 0;
    this.#clear();
    return all;
  }

  get #all(): Assignment[] {
    return this.#queue.slice(this.#first).filter((assignment) => assignment !== undefined);
  }

  #clear(): void {
    this.#queue.length = 0;
    this.#first = 0;
    this.#maxOutputBytes = 0;
  }
}
