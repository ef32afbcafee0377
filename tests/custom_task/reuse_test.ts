/**
 * Sandboxes that are kept for the same caller and package, where the policy says so.
 * @module
 */

import assert from "node:assert/strict";
import { Metadata } from "@grpc/grpc-js";
import { createToken, writeTokenFile } from "../../src/rpc/token_file.ts";
import { TestClient } from "../support/client.ts";
import { isAlive, until } from "../support/processes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { resultOf, run } from "./run.ts";

/** Counts how often its module was loaded and called, in every place that might outlive a worker. */
const COUNTER = `
const scope = globalThis as unknown as Record<string, number>;
let calls = 0;
export default async (how: string) => {
  if (how === "throw") throw new Error("thrown");
  if (how === "deny") try { await import("https://example.com/" + "x.js"); } catch { /* caught */ }
  if (how === "leave") { setInterval(() => {}, 1); void new Promise(() => {}); }
  scope.calls = (scope.calls ?? 0) + 1;
  (Object.prototype as unknown as Record<string, number>).stained = 1;
  return [++calls, scope.calls];
};`;

function callerHeaders(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

/** Resolves when a host waits for its caller's next task. */
async function kept(server: TestServer): Promise<void> {
  await until("a kept sandbox", async () => /rexec_hosts\{state="task_kept"\} 1/.test(await server.metrics()));
}

Deno.test("A sandbox is kept for the same caller, package and rights, and for nobody else", async (test) => {
  const folder = await Deno.makeTempDir({ prefix: "rexec-test-" });
  try {
    const tokens = Object.fromEntries(
      ["a", "b", "fresh"].map((caller) => [caller, createToken(caller, { now: Date.now(), expiresAt: undefined })]),
    );
    const file = `${folder}/tokens.yaml`;
    writeTokenFile(file, Object.values(tokens).map(({ record }) => record));
    const as = (caller: string) => callerHeaders(tokens[caller]!.token);
    await using server = await startTestServer({
      settings: {
        "auth.tokensFile": file,
        "pool.maxWorkers": 1,
        "pool.readyTaskHosts": 0,
        "policy.reuse": "same-caller",
        "policy.callers": { fresh: { reuse: "never" } },
      },
    });
    using client = new TestClient(server.address);
    const call = async (caller: string, input = "", code = COUNTER) => {
      const response = await run(client, code, { input, metadata: as(caller) });
      return { response, sandbox: response.metrics!.sandboxId };
    };

    await test.step("the same code of the same caller finds its sandbox, and a fresh worker in it", async () => {
      const first = await call("a");
      await kept(server);
      const second = await call("a");
      assert.equal(second.sandbox, first.sandbox);
      assert.deepEqual([resultOf(first.response), resultOf(second.response)], [[1, 1], [1, 1]]);
      await kept(server);
      assert.equal((await call("a", "throw")).sandbox, first.sandbox, "an exception is an end in order");
      await kept(server);
      assert.equal((await call("a")).sandbox, first.sandbox);
      await kept(server);
    });

    await test.step("another caller, and another package, get another sandbox", async () => {
      const mine = await call("a");
      await kept(server);
      const other = await call("b");
      assert.notEqual(other.sandbox, mine.sandbox);
      const changed = await call("a", "", `${COUNTER}\n`);
      assert.notEqual(changed.sandbox, mine.sandbox);
    });

    await test.step("a caller whose policy says never gets a new one each time", async () => {
      const first = await call("fresh");
      const second = await call("fresh");
      assert.notEqual(first.sandbox, second.sandbox);
    });

    await test.step("one that was denied something is not kept", async () => {
      const first = await call("b", "deny");
      const second = await call("b");
      assert.notEqual(first.sandbox, second.sandbox);
    });

    const pid = server.pid;
    await server.stop();
    assert(!isAlive(pid));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
