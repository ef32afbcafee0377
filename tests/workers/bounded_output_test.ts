/**
 * Console output of user code, on its way out of the worker.
 * @module
 */

import assert from "node:assert/strict";
import { BoundedOutput } from "../../workers/bounded_output.ts";

/** A worker whose time the test moves. */
class Worker {
  readonly sent: string[] = [];
  readonly #due: { readonly at: number; readonly callback: () => void }[] = [];
  #now = 1_000;
  readonly output: BoundedOutput;

  constructor(maxBytes = 1_000_000) {
    this.output = new BoundedOutput(maxBytes, (stream, text) => void this.sent.push(`${stream}: ${text}`), {
      nowMs: () => this.#now,
      later: (callback, afterMs) => void this.#due.push({ at: this.#now + afterMs, callback }),
    });
  }

  /** Lets time pass while the code computes, so that no timer fires. */
  compute(ms: number): void {
    this.#now += ms;
  }

  /** Lets time pass while the code waits. */
  wait(ms: number): void {
    this.#now += ms;
    for (const { callback } of this.#due.splice(0).filter(({ at }) => at <= this.#now)) callback();
  }
}

Deno.test("Console output goes out at once, so that code that computes for long shows where it is", () => {
  const { sent, output } = new Worker();
  output.write("stdout", "loading\n");
  output.write("stdout", "computing\n");
  assert.deepEqual(sent, ["stdout: loading\n", "stdout: computing\n"]);
});

Deno.test("Console output that comes fast goes out in batches, and the last of it soon", () => {
  const worker = new Worker();
  for (let line = 0; line < 2_000; line++) worker.output.write("stdout", `${line}\n`);
  assert.ok(worker.sent.length < 30, `${worker.sent.length} batches`);
  worker.wait(10);
  const lines = Array.from({ length: 2_000 }, (_, line) => `${line}\n`).join("");
  assert.equal(worker.sent.map((text) => text.slice("stdout: ".length)).join(""), lines);
  worker.compute(10);
  worker.output.write("stdout", "one more\n");
  assert.equal(worker.sent.at(-1), "stdout: one more\n");
});

Deno.test("Console output keeps its order over both streams", () => {
  const worker = new Worker();
  const written: string[] = [];
  for (let index = 0; index < 100; index++) {
    const stream = index % 3 === 0 ? "stderr" : "stdout";
    worker.output.write(stream, `${index} `);
    written.push(...`${index} `.split("").map((character) => `${stream}: ${character}`));
  }
  worker.output.flush();
  const sent = worker.sent.flatMap((text) =>
    text.slice(8).split("").map((character) => `${text.slice(0, 8)}${character}`)
  );
  assert.deepEqual(sent, written);
});

Deno.test("Console output is cut off where the limit is, and says so once", () => {
  const worker = new Worker(30);
  worker.output.write("stdout", "x".repeat(100));
  worker.output.write("stderr", "more");
  worker.output.flush();
  assert.deepEqual(worker.sent, [`stdout: ${"x".repeat(10)}\n[output is cut off here: the limit is reached]\n`]);
});
