/**
 * A terminal in memory.
 * @module
 */

import type { Terminal } from "../../src/cli/terminal.ts";

/** Keeps what is printed, and gives bytes to read. */
export class FakeTerminal implements Terminal {
  readonly env = {};
  readonly stdoutIsTerminal = false;
  readonly stderrIsTerminal: boolean;
  /** All that was printed in its order, each piece of standard output led by "out: ". */
  text = "";
  /** What was printed to standard output. */
  stdout = "";
  /** What was printed to standard error. */
  stderr = "";
  readonly #input: AsyncIterable<Uint8Array> | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(
    { stderrIsTerminal = false, input }: { stderrIsTerminal?: boolean; input?: AsyncIterable<Uint8Array> } = {},
  ) {
    this.stderrIsTerminal = stderrIsTerminal;
    this.#input = input;
  }

  writeOut(bytes: Uint8Array | string): Promise<void> {
    const text = typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes);
    this.stdout += text;
    return this.#keep(`out: ${text}`);
  }

  writeError(text: string): Promise<void> {
    this.stderr += text;
    return this.#keep(text);
  }

  readInput(): Promise<Uint8Array> {
    return Promise.reject(new Error("nothing is read at once here"));
  }

  inputStream(): AsyncIterable<Uint8Array> {
    if (this.#input === undefined) throw new Error("nothing is read here");
    return this.#input;
  }

  /** Resolves when this has been printed. */
  async printed(text: string): Promise<void> {
    while (!this.text.includes(text)) await this.#wake.promise;
  }

  #keep(text: string): Promise<void> {
    this.text += text;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
    return Promise.resolve();
  }
}
