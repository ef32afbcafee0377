/**
 * Calls that are not over on the wire.
 * @module
 */

import type { EventEmitter } from "node:events";

/** Counts calls from their handler's start until their last byte is out, or nobody waits for it any more. */
export class OpenCalls {
  #count = 0;
  #none = Promise.withResolvers<void>();

  /** Calls that are open. */
  get count(): number {
    return this.#count;
  }

  /**
   * Counts a call until its stream has closed. grpc-js tells that by `cancelled` alone, which it emits at the end of
   * every call, cancelled or not.
   */
  add(call: EventEmitter): void {
    this.#count++;
    call.once("cancelled", () => {
      this.#count--;
      if (this.#count === 0) {
        this.#none.resolve();
        this.#none = Promise.withResolvers();
      }
    });
  }

  /** Resolves when none is open. */
  async none(): Promise<void> {
    if (this.#count > 0) await this.#none.promise;
  }
}
