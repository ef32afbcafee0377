/**
 * Ctrl-C, as commands hear of it.
 * @module
 */

/** Interrupts of one run of the program: each ends the command at once, but the first where a command ends in order. */
export class Interrupts {
  readonly #ended = new AbortController();
  #onFirst: (() => void) | undefined;

  /** Aborts when the command has to end at once. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Notes an interrupt. */
  interrupt(): void {
    const onFirst = this.#onFirst;
    this.#onFirst = undefined;
    if (onFirst !== undefined) onFirst();
    else this.#ended.abort(new DOMException("Interrupted", "AbortError"));
  }

  /** Gives the next interrupt to a command that then comes to its end by itself; the one after it ends it at once. */
  takeFirst(onFirst: () => void): Disposable {
    this.#onFirst = onFirst;
    return { [Symbol.dispose]: () => this.#onFirst = undefined };
  }
}
