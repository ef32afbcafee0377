/**
 * What a task writes to its console, to standard error.
 * @module
 */

import type { ConsoleText } from "../client/mod.ts";
import type { Session } from "./session.ts";
import { printable, styleFor } from "./terminal.ts";

/** Prints console output as it comes: whole lines, each led by the stream that it was written to. */
export class TaskConsole {
  readonly #session: Session;
  /** What no line's end has come for yet. */
  readonly #rest: { stdout: string; stderr: string } = { stdout: "", stderr: "" };
  #printed: Promise<void> = Promise.resolve();

  constructor(session: Session) {
    this.#session = session;
  }

  add(text: ConsoleText): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const lines = (this.#rest[stream] + text[stream]).split("\n");
      this.#rest[stream] = lines.pop() ?? "";
      this.#print(stream, lines);
    }
  }

  /** Prints what is left. @throws whatever writing to the terminal threw */
  async end(): Promise<void> {
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#rest[stream] !== "") this.#print(stream, [this.#rest[stream]]);
      this.#rest[stream] = "";
    }
    await this.#printed;
  }

  #print(stream: "stdout" | "stderr", lines: readonly string[]): void {
    const { terminal, options } = this.#session;
    if (options.quiet || lines.length === 0) return;
    const { dim } = styleFor(terminal.stderrIsTerminal, { env: terminal.env, color: options.color });
    const text = lines.map((line) => `${dim(`${stream} |`)} ${printable(line.replace(/\r$/, ""))}\n`).join("");
    this.#printed = this.#printed.then(() => terminal.writeError(text));
    // Told by `end`; without this it would end the program before.
    this.#printed.catch(() => {});
  }
}

/** Prints console output that is complete. */
export async function showConsole(text: ConsoleText, session: Session): Promise<void> {
  const console = new TaskConsole(session);
  console.add(text);
  await console.end();
}
