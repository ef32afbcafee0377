/**
 * Whether a task was given up, for those who look; a signal, for those who wait.
 * @module
 */

/**
 * The cancellation of one task. Its signal is made when somebody asks for it: a stream's step needs none, and making one
 * takes longer than a short step does.
 */
export class Cancellation {
  /** Called once, when the task is given up while it runs. */
  onCancel: (() => void) | undefined;
  #isCancelled = false;
  #controller: AbortController | undefined;

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  /** Aborts when the task is given up. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isCancelled) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Gives the task up. */
  cancel(): void {
    if (this.#isCancelled) return;
    this.#isCancelled = true;
    this.#controller?.abort();
    this.onCancel?.();
  }
}
