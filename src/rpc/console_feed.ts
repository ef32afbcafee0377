/**
 * Console output of a task on its way to whom watches it.
 * @module
 */

import type { ConsoleOutput } from "../../protos/generated/watch.ts";
import type { ConsoleListener } from "../execution/task_run.ts";

/** How long text waits for more, in milliseconds: people see no difference, and a task that writes single bytes costs little. */
const GATHER_MS = 20;

type ConsoleText = Parameters<ConsoleListener>[0];

/** Gathers what a task writes, in order, and hands it on some times a second. What it is given must be bounded. */
export class ConsoleFeed implements Disposable {
  readonly #send: (output: ConsoleOutput) => void;
  #texts: ConsoleText[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (output: ConsoleOutput) => void) {
    this.#send = send;
  }

  add({ stream, text }: ConsoleText): void {
    if (text === "") return;
    const last = this.#texts.at(-1);
    if (last?.stream === stream) this.#texts[this.#texts.length - 1] = { stream, text: last.text + text };
    else this.#texts.push({ stream, text });
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** Hands on what has gathered. */
  flush(): void {
    this.#stopTimer();
    if (this.#texts.length === 0) return;
    const texts = this.#texts.map(({ stream, text }) => ({ stream: { $case: stream, value: text } }));
    this.#texts = [];
    this.#send({ texts });
  }

  /** Forgets what has gathered. */
  [Symbol.dispose](): void {
    this.#stopTimer();
    this.#texts = [];
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
