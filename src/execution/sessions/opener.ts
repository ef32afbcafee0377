/**
 * From the task that opens a session to the session.
 * @module
 */

import { ExecutionStatus } from "../../../protos/generated/types.ts";
import type { PlacedStream, StreamSink } from "../../sandbox/task.ts";
import type { ExecutionReport } from "../task_run.ts";
import { Session, type SessionOptions } from "./session.ts";

/** Hears of a stream from its host on, and makes it a session once its opening is reported. */
export class SessionOpener {
  /** For the task that opens the stream. */
  readonly sink: StreamSink;
  readonly #options: SessionOptions;
  readonly #opened = Promise.withResolvers<Session>();
  #session: Session | undefined;
  #stream: PlacedStream | undefined;
  #isGivenUp = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.sink = {
      onOpened: (stream) => this.#onOpened(stream),
      onOutput: (output) => this.#session?.takeOutput(output),
      onConsole: (text) => this.#session?.takeConsoleText(text),
      onLost: (end) => this.#session?.takeLoss(end),
    };
  }

  /** @returns the session; `undefined` where the report says that there is none */
  async settle(report: ExecutionReport): Promise<Session | undefined> {
    if (report.status !== ExecutionStatus.SUCCESS) {
      // Given up while its host had opened it already.
      this.giveUp();
      return undefined;
    }
    // The host says so right after the task's end.
    const session = await this.#opened.promise;
    session.takeConsoleText({ stream: "stdout", text: report.stdout });
    session.takeConsoleText({ stream: "stderr", text: report.stderr });
    return session;
  }

  /** Nobody wants it any more; should it have been opened, it is closed. */
  giveUp(): void {
    this.#isGivenUp = true;
    void this.#stream?.close();
  }

  #onOpened(stream: PlacedStream): void {
    this.#stream = stream;
    if (this.#isGivenUp) return void stream.close();
    // At once: its host may be lost before anybody has looked at the report.
    this.#session = new Session(this.#options, stream);
    this.#opened.resolve(this.#session);
  }
}
