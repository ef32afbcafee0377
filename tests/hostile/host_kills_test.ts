import assert from "node:assert/strict";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { TestClient, unary } from "../support/client.ts";
import { descendantsOf, until } from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";
import { startTestServer } from "../support/server.ts";

const WORKERS = 3;
const CALLS = 600;
const CONCURRENCY = 24;
const KILLS = 5;

for (const type of ["auto", "process"]) {
  Deno.test(`Hosts that are killed at random under load cost no call its answer: ${type}`, async () => {
    await using server = await startTestServer({
      settings: { "pool.maxWorkers": WORKERS, "sandbox.type": type, "sandbox.probe": false },
    });
    using client = new TestClient(server.address);
    const random = seededRandom(5);
    let next = 0;
    let kills = 0;

    const caller = async () => {
      // On and on until there were enough kills, since nobody knows how fast a machine is.
      while (next < CALLS || kills < KILLS) {
        const value = next++;
        const answer = await client.run({ nodeType: "PassThroughNode", input: { value } });
        assert.equal(answer.status, ExecutionStatus.SUCCESS, answer.errorMessage);
        assert.deepEqual(answer.output, { value });
      }
    };

    const killer = async () => {
      while (kills < KILLS) {
        // A node is run twice at most: the next host dies only when the last one has been replaced.
        await until("all hosts serve", async () => {
          const request = { includeMetrics: true, includeSessions: false };
          const answer = await unary(client.stub, client.stub.getStatus, request).answer;
          if (!answer.ok) return false;
          const { busyWorkers, availableWorkers } = answer.response.metrics!;
          if (busyWorkers + availableWorkers !== WORKERS) return false;
          // One for user code is no victim before it serves: its start would fail, which is no restart.
          return /^rexec_hosts\{state="task_starting"\} 0$/m.test(await server.metrics());
        });
        const processes = descendantsOf(server.pid);
        const victim = processes[Math.floor(random() * processes.length)]!;
        Deno.kill(victim, "SIGKILL");
        kills++;
        await until("the victim has been noticed", async () => {
          const restarts = [...(await server.metrics()).matchAll(/^rexec_host_restarts_total\{.*\} (\d+)$/gm)];
          return restarts.reduce((sum, [, count]) => sum + Number(count), 0) >= kills;
        });
      }
    };

    await Promise.all([killer(), ...Array.from({ length: CONCURRENCY }, caller)]);
    await until("nothing is active", async () => /^rexec_tasks_active 0$/m.test(await server.metrics()));
  });
}
