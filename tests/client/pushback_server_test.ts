import assert from "node:assert/strict";
import { RemoteExecutionClient } from "../../src/client/mod.ts";
import { startTestServer } from "../support/server.ts";

Deno.test("RemoteExecutionClient comes back to a service that limits its rate when that says so", async () => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "policy.callers": { "*": { maxRequestsPerSecond: 1 } } },
  });
  // By itself it would make the second attempt within 2 ms, long before the service takes it.
  using client = new RemoteExecutionClient(server.address, {
    retry: { maxAttempts: 2, initialBackoffMs: 1, maxBackoffMs: 2 },
  });
  for (const input of [1n, 2n, 3n]) assert.equal((await client.executeNode("PassThroughNode", input)).value, input);
});
