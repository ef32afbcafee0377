/**
 * The worker's side of assets: questions to the host, and who waits for the answers.
 * @module
 */

import type { AssetName, AssetReply } from "./protocol.ts";

/** Questions that the host has not answered yet. */
export class AssetRequests {
  readonly #send: (name: AssetName) => void;
  readonly #waiting = new Map<AssetName, PromiseWithResolvers<Uint8Array<ArrayBuffer>>>();

  /** @param send asks the host, whose answer goes to {@linkcode settle} */
  constructor(send: (name: AssetName) => void) {
    this.#send = send;
  }

  /** Gives an asset's bytes. While an answer is due, all who ask for the same asset get the one buffer. */
  load(name: AssetName): Promise<Uint8Array<ArrayBuffer>> {
    let waiting = this.#waiting.get(name);
    if (waiting === undefined) {
      waiting = Promise.withResolvers();
      this.#waiting.set(name, waiting);
      this.#send(name);
    }
    return waiting.promise;
  }

  /** Takes an answer; one that nobody waits for is dropped. */
  settle(reply: AssetReply): void {
    const waiting = this.#waiting.get(reply.name);
    this.#waiting.delete(reply.name);
    if ("bytes" in reply) waiting?.resolve(reply.bytes);
    else waiting?.reject(new Error(reply.error));
  }
}
