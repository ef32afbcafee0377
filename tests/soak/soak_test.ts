import assert from "node:assert/strict";
import { startTestServer } from "../support/server.ts";
import { until } from "../support/processes.ts";
import { soak } from "./soak.ts";

// A client of grpc-js whose connection was cut goes on trying to connect after its `close()`, with a timer.
Deno.test(
  "All that no kill touches succeeds, in a short soak",
  { sanitizeOps: false, sanitizeResources: false },
  async () => {
    await using server = await startTestServer({
      settings: { "logging.level": "WARNING", "sandbox.probe": false, "pool.maxWorkers": 2 },
    });

    const report = await soak(server, {
      seconds: 8,
      seed: 3,
      killEveryMs: 2_000,
      minKills: 2,
      firstMemorySeconds: 4,
    });

    assert.deepEqual([...report.failures], []);
    for (const [name, { done }] of report.activities) assert(done > 0, `none was done of: ${name}`);
    assert(report.kills >= 2);
    await until("nothing is active", async () => /^rexec_tasks_active 0$/m.test(await server.metrics()));
    assert.equal((await server.stop()).code, 0);
  },
);
