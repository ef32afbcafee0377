import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { HealthCheckResponse_ServingStatus, HealthClient } from "../../protos/generated/grpc/health/v1/health.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { connect, type NodeCall, TestClient, unary } from "../support/client.ts";
import { longText, RuntimeDirectory } from "../support/hosts.ts";
import { descendantsOf, isAlive, until } from "../support/processes.ts";
import { startTestServer, type TestServer, type TestServerOptions } from "../support/server.ts";

/** Computes for a second or more. */
const LONG: NodeCall = { nodeType: "TextProcessorNode", input: longText(30) };
/** Computes for minutes unless it is stopped. */
const ENDLESS: NodeCall = { nodeType: "TextProcessorNode", input: longText(5_000), options: { timeoutSeconds: 300 } };

async function start(
  directory: RuntimeDirectory,
  { settings, ...options }: TestServerOptions = {},
): Promise<TestServer> {
  return await startTestServer({
    // Whoever waits for a timer that has become pointless would wait for hours here.
    settings: {
      "sandbox.probe": false,
      "server.drainTimeoutMs": 3_600_000,
      "pool.startTimeoutMs": 600_000,
      ...settings,
    },
    env: { TMPDIR: directory.path },
    ...options,
  });
}

/** Starts a call and waits until a host runs it. */
async function startRunning(client: TestClient, call: NodeCall) {
  const started = client.start(call);
  await until("the task runs", async () => {
    const answer = await unary(client.stub, client.stub.getStatus, { includeMetrics: true, includeSessions: false })
      .answer;
    return answer.ok && answer.response.metrics!.busyWorkers > 0;
  });
  return started;
}

Deno.test("SIGTERM drains: running calls end well, new ones are refused, nothing is left", async () => {
  await using directory = new RuntimeDirectory();
  await using server = await start(directory);
  const hosts = descendantsOf(server.pid);
  assert(hosts.length >= 2);
  assert.equal(directory.entries.length, 1);
  using client = new TestClient(server.address);
  using other = new TestClient(server.address);
  const health = connect(HealthClient, server.address);
  const watch = health.watch({ service: "" });
  const announced = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  watch.on("data", ({ status }) => {
    if (status === HealthCheckResponse_ServingStatus.NOT_SERVING) announced.resolve();
  });
  watch.on("error", () => ended.resolve());
  watch.on("end", () => ended.resolve());

  const running = await startRunning(client, LONG);
  server.signal("SIGTERM");
  await announced.promise;
  const refused = await other.start({ nodeType: "PassThroughNode" }).answer;
  assert(!refused.ok);
  assert.equal(refused.code, status.UNAVAILABLE);
  assert.equal(refused.details, "Cannot admit execution: the service is shutting down");
  const answer = await running.answer;
  assert(answer.ok, JSON.stringify(answer));
  assert.equal(answer.response.status, ExecutionStatus.SUCCESS);

  const { code, stderr } = await server.exited;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Drained: no execution was lost/);
  assert.deepEqual(directory.entries, []);
  assert(!hosts.some(isAlive));
  await ended.promise;
  health.close();
});

Deno.test("SIGTERM ends an idle service at once, whatever its timeouts", async () => {
  await using directory = new RuntimeDirectory();
  await using server = await start(directory);
  assert.equal((await server.stop()).code, 0);
  assert.deepEqual(directory.entries, []);
});

Deno.test("A second SIGTERM ends a draining service, and what still runs with it", async () => {
  await using directory = new RuntimeDirectory();
  await using server = await start(directory);
  const hosts = descendantsOf(server.pid);
  using client = new TestClient(server.address);
  const running = await startRunning(client, ENDLESS);
  server.signal("SIGTERM");
  await server.logged("Draining: SIGTERM");
  server.signal("SIGTERM");
  const answer = await running.answer;
  assert(!answer.ok);
  assert([status.UNAVAILABLE, status.CANCELLED].includes(answer.code), `${answer.code} ${answer.details}`);
  const { code, stderr } = await server.exited;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Executions killed: 1, since/);
  assert.deepEqual(directory.entries, []);
  await until("no host is left", () => !hosts.some(isAlive));
});

Deno.test("The drain ends when its time is up", async () => {
  await using directory = new RuntimeDirectory();
  await using server = await start(directory, { settings: { "server.drainTimeoutMs": 50 } });
  using client = new TestClient(server.address);
  const running = await startRunning(client, ENDLESS);
  const { code, stderr } = await server.stop();
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Executions killed: 1, since/);
  assert(!(await running.answer).ok);
  assert.deepEqual(directory.entries, []);
});

for (const type of ["process", "bubblewrap"]) {
  Deno.test({
    name: `SIGKILL of the service leaves no host behind: ${type}`,
    // The jail needs namespaces, which many containers refuse.
    ignore: type === "bubblewrap" && !await hasBubblewrap(),
    async fn() {
      await using directory = new RuntimeDirectory();
      await using server = await start(directory, { settings: { "sandbox.type": type } });
      const hosts = descendantsOf(server.pid);
      using client = new TestClient(server.address);
      const running = await startRunning(client, ENDLESS);
      server.signal("SIGKILL");
      assert(!(await running.answer).ok);
      await server.exited;
      await until("no host is left", () => !hosts.some(isAlive));
    },
  });

  Deno.test({
    name: `SIGINT for the whole process group drains as well: hosts go on until they are done: ${type}`,
    ignore: type === "bubblewrap" && !await hasBubblewrap(),
    async fn() {
      await using directory = new RuntimeDirectory();
      await using server = await start(directory, { settings: { "sandbox.type": type }, ownGroup: true });
      using client = new TestClient(server.address);
      const running = await startRunning(client, LONG);
      const { success } = await new Deno.Command("/bin/kill", { args: ["-INT", "--", `-${server.pid}`] }).output();
      assert(success);
      const answer = await running.answer;
      assert(answer.ok, JSON.stringify(answer));
      assert.equal(answer.response.status, ExecutionStatus.SUCCESS);
      assert.equal((await server.exited).code, 0);
    },
  });
}

async function hasBubblewrap(): Promise<boolean> {
  try {
    const command = new Deno.Command("bwrap", { args: ["--unshare-all", "--ro-bind", "/", "/", "/bin/true"] });
    return (await command.output()).success;
  } catch {
    return false;
  }
}
