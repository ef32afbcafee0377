import assert from "node:assert/strict";
import { ExecuteCustomTaskRequest } from "../../protos/generated/execution.ts";
import { TestClient, unary } from "../support/client.ts";
import { packageOf } from "../support/conversations.ts";
import { until } from "../support/processes.ts";
import { startTestServer } from "../support/server.ts";

Deno.test("Hosts that were started for tasks which were given up do not stay", async () => {
  await using server = await startTestServer({
    settings: { "pool.maxWorkers": 1, "pool.maxTaskHosts": 4, "pool.readyTaskHosts": 1 },
  });
  using client = new TestClient(server.address);
  const hosts = async (state: string) => {
    const match = new RegExp(`^rexec_hosts\\{state="${state}"\\} (\\d+)$`, "m").exec(await server.metrics());
    return Number(match?.[1]);
  };
  const request = ExecuteCustomTaskRequest.fromPartial({
    codePackage: packageOf("export default () => new Promise(() => {});"),
    serializationFormat: "raw",
  });
  const calls = Array.from({ length: 4 }, () => unary(client.stub, client.stub.executeCustomTask, request));
  // One runs in the host that was ready, and hosts are being started for the others.
  await until("hosts are started", async () => await hosts("task_starting") + await hosts("task_busy") >= 4);
  for (const call of calls) call.cancel();
  for (const { answer } of calls) assert(!(await answer).ok);
  await until("one is ready, and no other is there", async () => {
    const counts = [await hosts("task_available"), await hosts("task_starting"), await hosts("task_busy")];
    return counts.join() === "1,0,0";
  });
});
