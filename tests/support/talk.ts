/**
 * A bidirectional call as tests hold it: messages are sent and awaited one by one.
 * @module
 */

import { type ClientDuplexStream, status, type StatusObject } from "@grpc/grpc-js";

/** How a call ended. */
export type TalkEnd = Pick<StatusObject, "code" | "details">;

/** One call. Dispose cancels it. */
export class Talk<Request, Response> implements Disposable {
  /** Resolves when the call is over. */
  readonly ended: Promise<TalkEnd>;
  readonly call: ClientDuplexStream<Request, Response>;
  readonly #arrived: Response[] = [];
  readonly #waiting: ((message: Response | undefined) => void)[] = [];
  #isOver = false;

  constructor(call: ClientDuplexStream<Request, Response>) {
    this.call = call;
    const { promise, resolve } = Promise.withResolvers<TalkEnd>();
    this.ended = promise;
    call.on("data", (message: Response) => {
      const waiter = this.#waiting.shift();
      if (waiter === undefined) this.#arrived.push(message);
      else waiter(message);
    });
    // `status` says the same.
    call.on("error", () => {});
    call.on("status", ({ code, details }: StatusObject) => {
      this.#isOver = true;
      resolve({ code, details });
    });
    void promise.then(() => this.#waiting.splice(0).forEach((waiter) => waiter(undefined)));
  }

  send(message: Request): void {
    this.call.write(message);
  }

  /** The next message; `undefined` when the call is over. */
  async next(): Promise<Response | undefined> {
    const message = this.#arrived.shift();
    if (message !== undefined) return message;
    if (this.#isOver) return undefined;
    return await new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** All messages up to the end of the call. */
  async rest(): Promise<Response[]> {
    const messages: Response[] = [];
    for (let message = await this.next(); message !== undefined; message = await this.next()) messages.push(message);
    return messages;
  }

  /** Sends no more. */
  halfClose(): void {
    this.call.end();
  }

  [Symbol.dispose](): void {
    this.call.cancel();
  }
}

/** The code of a call that ended well. */
export const OK = status.OK;
