/**
 * How much user code may send before somebody has taken it.
 * @module
 */

import { OUTPUT_COST_BYTES } from "./protocol.ts";

/** Outputs' way out: as much at a time as was granted. */
export class OutputCredit {
  #bytes: number;
  #granted: (() => void) | undefined;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** More is welcome. */
  grant(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= 0) return;
    this.#granted?.();
    this.#granted = undefined;
  }

  /** Waits until an output may be sent. */
  async available(): Promise<void> {
    while (this.#bytes <= 0) await new Promise<void>((resolve) => this.#granted = resolve);
  }

  /** Pays for an output. */
  spend(outputBytes: number): void {
    this.#bytes -= outputBytes + OUTPUT_COST_BYTES;
  }
}
