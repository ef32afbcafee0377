/**
 * A line at the foot of the terminal that says how far something has come.
 * @module
 */

import type { Session } from "../session.ts";
import { styleFor } from "../terminal.ts";

/** Time between two looks of the line, in milliseconds. */
const REFRESH_MS = 100;

/** The line; without a terminal, or where the user wants it quiet, there is none. */
export class StatusLine {
  readonly #session: Session;
  readonly #now: () => number;
  readonly #shown: boolean;
  #isThere = false;
  #lastMs = -Infinity;

  /** @param now Milliseconds from any point */
  constructor(session: Session, now: () => number) {
    this.#session = session;
    this.#now = now;
    this.#shown = session.terminal.stderrIsTerminal && !session.options.quiet;
  }

  /** Shows a text, unless another has been shown just now. */
  async show(text: () => string): Promise<void> {
    if (!this.#shown || this.#now() - this.#lastMs < REFRESH_MS) return;
    this.#lastMs = this.#now();
    this.#isThere = true;
    const { terminal, options } = this.#session;
    const { dim } = styleFor(true, { env: terminal.env, color: options.color });
    await terminal.writeError(`\r\x1b[K${dim(text())}`);
  }

  /** Takes the line away, before anything else is printed. */
  async clear(): Promise<void> {
    if (!this.#isThere) return;
    this.#isThere = false;
    this.#lastMs = -Infinity;
    await this.#session.terminal.writeError("\r\x1b[K");
  }
}
