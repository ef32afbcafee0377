import assert from "node:assert/strict";
import { announceLoss, type ConnectedTransport } from "../../src/client/lost_connections.ts";

/** Tells its listeners of a loss once, as grpc-js does. */
class Transport implements ConnectedTransport {
  disconnectHandled = false;
  readonly #listeners: ((tooManyPings: boolean) => void)[] = [];

  addDisconnectListener(listener: (tooManyPings: boolean) => void): void {
    this.#listeners.push(listener);
  }

  lose(): void {
    if (this.disconnectHandled) return;
    this.disconnectHandled = true;
    for (const listener of this.#listeners) listener(true);
  }
}

Deno.test("announceLoss() tells who listens after the loss, and tells nobody twice", () => {
  const transport = new Transport();
  announceLoss(transport);
  const told: string[] = [];
  transport.addDisconnectListener((tooManyPings) => told.push(`first ${tooManyPings}`));
  assert.equal(told.length, 0);
  transport.lose();
  transport.addDisconnectListener((tooManyPings) => told.push(`second ${tooManyPings}`));
  assert.deepEqual(told, ["first true", "second false"]);
});
