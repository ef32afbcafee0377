/**
 * One run of an async generator function of the user's over a stream of inputs.
 *
 * Nothing is buffered: the generator runs on when the next output is asked for, and an input waits until the generator
 * asks for it. What it yields until it asks for more than there is are the outputs of the input before.
 *
 * @module
 */

import { settle, UserFailure, type UserOutput } from "./user_failure.ts";

// Kept, since user code may put something else in their places.
const { apply, get } = Reflect;
const { freeze } = Object;
const asyncIterator: typeof Symbol.asyncIterator = Symbol.asyncIterator;
const { push, shift } = Array.prototype;
const NativePromise = Promise;
const NativeDOMException = DOMException;

/** What the generator function is called with. */
export interface UserInputs extends AsyncIterableIterator<unknown, undefined> {
  /** Takes no more input; what comes later is dropped. */
  return(): Promise<IteratorResult<unknown, undefined>>;
}

/** A generator's question for an input. */
interface Question {
  resolve(answer: IteratorResult<unknown, undefined>): void;
  reject(reason: unknown): void;
}

/** What became of one step of the generator. */
type Outcome =
  | { readonly kind: "output"; readonly value: unknown }
  | { readonly kind: "finished" }
  | { readonly kind: "failed"; readonly thrown: unknown };

/** Gives inputs to the generator one by one, and tells when it asks for one that is not there. */
class InputFeed {
  /** Why the generator gets no more input, when the stream was closed under it. */
  readonly cancelReason = new NativeDOMException("The stream was closed before its input ended", "AbortError");
  readonly #onStarved: () => void;
  #state: "open" | "ended" | "cancelled" = "open";
  #items: unknown[] = [];
  #questions: Question[] = [];

  constructor(onStarved: () => void) {
    this.#onStarved = onStarved;
  }

  /** Whether the generator waits for an input that is not there. */
  get isStarved(): boolean {
    return this.#questions.length > 0;
  }

  /** Dropped when the generator wants no more. */
  push(value: unknown): void {
    if (this.#state !== "open") return;
    const question = this.#nextQuestion();
    if (question === undefined) apply(push, this.#items, [value]);
    else question.resolve({ value, done: false });
  }

  /** What was pushed is still given. */
  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#answerAll(({ resolve }) => resolve({ value: undefined, done: true }));
  }

  /** The generator is told by an error where it waits for input, so that its `finally` runs and what follows does not. */
  cancel(): void {
    this.#state = "cancelled";
    this.#items = [];
    this.#answerAll(({ reject }) => reject(this.cancelReason));
  }

  /** For user code: functions only, and nothing of ours behind them. */
  iterator(): UserInputs {
    const iterator: UserInputs = {
      next: () => new NativePromise((resolve, reject) => this.#ask({ resolve, reject })),
      return: () =>
        new NativePromise((resolve) => {
          this.#items = [];
          this.end();
          resolve({ value: undefined, done: true });
        }),
      [asyncIterator]: () => iterator,
    };
    return freeze(iterator);
  }

  #ask(question: Question): void {
    if (this.#items.length > 0) question.resolve({ value: apply(shift, this.#items, []), done: false });
    else if (this.#state === "ended") question.resolve({ value: undefined, done: true });
    else if (this.#state === "cancelled") question.reject(this.cancelReason);
    else {
      apply(push, this.#questions, [question]);
      this.#onStarved();
    }
  }

  #answerAll(answer: (question: Question) => void): void {
    for (let question = this.#nextQuestion(); question !== undefined; question = this.#nextQuestion()) answer(question);
  }

  #nextQuestion(): Question | undefined {
    return apply(shift, this.#questions, []);
  }
}

/** See the module. Its outputs are to be asked for by one consumer at a time. */
export class StreamRun {
  readonly #start: (inputs: UserInputs) => unknown;
  readonly #feed = new InputFeed(() => this.#wake());
  #generator: object | undefined;
  #finished = false;
  /** The step that the generator is in, from its call to its outcome. */
  #step: Promise<void> | undefined;
  /** Of the last step, until it is consumed. */
  #outcome: Outcome | undefined;
  #wake: () => void = () => {};

  /** @param start calls the generator function; called with the first step */
  constructor(start: (inputs: UserInputs) => unknown) {
    this.#start = start;
  }

  /**
   * Gives one more input, and its outputs as they are pulled. What a consumer leaves behind comes with the next input.
   * An input that comes after the generator has finished gives nothing. @throws {UserFailure}
   */
  async *process(input: unknown): AsyncGenerator<UserOutput, void> {
    this.#feed.push(input);
    yield* this.#outputs();
  }

  /** Ends the input; gives what the generator yields until it returns. @throws {UserFailure} */
  async *flush(): AsyncGenerator<UserOutput, void> {
    this.#feed.end();
    yield* this.#outputs();
  }

  /**
   * Ends the generator where it stands: its `finally` runs. Waits for it, however long that takes.
   * @throws {UserFailure} for what it throws then
   */
  async close(): Promise<void> {
    this.#feed.cancel();
    const generator = this.#generator;
    if (generator === undefined || this.#finished) {
      this.#finished = true;
      return;
    }
    await settle(() => {
      const end: unknown = get(generator, "return");
      return typeof end === "function" ? apply(end, generator, []) : undefined;
    });
    await this.#step;
    this.#finished = true;
    const outcome = this.#outcome;
    if (outcome?.kind === "failed" && outcome.thrown !== this.#feed.cancelReason) throw new UserFailure(outcome.thrown);
  }

  async *#outputs(): AsyncGenerator<UserOutput, void> {
    while (!this.#finished) {
      if (this.#outcome === undefined) this.#step ??= this.#advance();
      while (this.#outcome === undefined) {
        if (this.#feed.isStarved) return;
        await new NativePromise<void>((resolve) => this.#wake = resolve);
      }
      const outcome: Outcome = this.#outcome;
      this.#outcome = undefined;
      if (outcome.kind === "output") {
        yield { value: outcome.value };
        continue;
      }
      this.#finished = true;
      if (outcome.kind === "failed" && outcome.thrown !== this.#feed.cancelReason) {
        throw new UserFailure(outcome.thrown);
      }
    }
  }

  /** One step of the generator. Never rejects: nobody may be waiting when the step ends. */
  async #advance(): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = await this.#takeStep();
    } catch (thrown) {
      outcome = { kind: "failed", thrown };
    }
    this.#outcome = outcome;
    this.#step = undefined;
    this.#wake();
  }

  async #takeStep(): Promise<Outcome> {
    const generator = this.#generator ??= asObject(this.#start(this.#feed.iterator()));
    const next: unknown = get(generator, "next");
    if (typeof next !== "function") throw new TypeError("The generator function gave an object without next()");
    const result = asObject(await apply(next, generator, []));
    if (get(result, "done")) return { kind: "finished" };
    return { kind: "output", value: await get(result, "value") };
  }
}

function asObject(value: unknown): object {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`The generator function gave a ${typeof value} instead of an object`);
  }
  return value;
}
