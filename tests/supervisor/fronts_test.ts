import assert from "node:assert/strict";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { type NodeCall, TestClient, unary } from "../support/client.ts";
import { longText, RuntimeDirectory } from "../support/hosts.ts";
import { descendantsOf, isAlive, until } from "../support/processes.ts";
import { listNodes, tlsCredentials, tlsFile } from "../support/secure.ts";
import { failToStart, startTestServer } from "../support/server.ts";
import { frontsOf, metric, NewConnections, socketsOf, startFronts } from "./_fronts.ts";

/** Computes for a second or more. */
const LONG: NodeCall = { nodeType: "TextProcessorNode", input: longText(30) };
/** Computes for minutes unless it is stopped. */
const ENDLESS: NodeCall = { nodeType: "TextProcessorNode", input: longText(5_000), options: { timeoutSeconds: 300 } };

/** Starts a call and waits until it runs. */
async function startRunning(client: TestClient, call: NodeCall) {
  const started = client.start(call);
  await until("the task runs", async () => {
    const answer = await unary(client.stub, client.stub.getStatus, { includeMetrics: true, includeSessions: false })
      .answer;
    return answer.ok && answer.response.metrics!.busyWorkers > 0;
  });
  return started;
}

Deno.test("two fronts share a port, the hosts and the metrics, and no host holds a socket of theirs", async () => {
  // What a host under bubblewrap holds cannot be seen from outside.
  await using server = await startFronts({ settings: { "sandbox.type": "process" } });
  const fronts = frontsOf(server);
  assert.equal(fronts.length, 2);
  assert.equal(server.ready.workers, 4);
  await until("both fronts have been called", async () => {
    assert((await listNodes(server.address)).ok);
    const calls = await metric(server, "rexec_requests_total");
    return ["1", "2"].every((front) => calls.has(`front="${front}",method="ListNodes",status="OK"`));
  });
  const hosts = await metric(server, "rexec_hosts");
  for (const front of ["1", "2"]) assert.equal(hosts.get(`front="${front}",state="available"`), 2);
  assert.equal((await metric(server, "rexec_fronts")).get('state="serving"'), 2);
  const described = (await server.metrics()).split("\n").filter((line) => line.startsWith("# TYPE"));
  assert.equal(new Set(described).size, described.length);

  const held = new Set([server.pid, ...fronts].flatMap(socketsOf));
  assert(held.size > 0);
  for (const pid of descendantsOf(server.pid)) {
    if (fronts.includes(pid)) continue;
    assert(socketsOf(pid).length > 0);
    assert.deepEqual(socketsOf(pid).filter((socket) => held.has(socket)), [], `host ${pid}`);
  }
});

Deno.test("a front that is killed is back, its hosts are gone, and nobody was refused meanwhile", async () => {
  await using server = await startFronts();
  const [victim] = frontsOf(server);
  assert(victim !== undefined);
  const hosts = descendantsOf(victim);
  assert(hosts.length > 0);
  Deno.kill(victim, "SIGKILL");
  await server.logged("ended with SIGKILL");
  // Half of these would wait for a front that is not there if nobody else took them.
  for (let call = 0; call < 20; call++) assert((await listNodes(server.address)).ok);
  await until("the front is back", () => frontsOf(server).length === 2 && !frontsOf(server).includes(victim));
  await until("it serves", async () => (await metric(server, "rexec_fronts")).get('state="serving"') === 2);
  await until("no host is left", () => !hosts.some(isAlive));
  assert.equal((await metric(server, "rexec_front_restarts_total")).get('reason="crashed"'), 1);
});

Deno.test("a connection that is made while no front is there is answered by the next one", async () => {
  await using server = await startFronts({ settings: { "server.processes": 1 } });
  const [only] = frontsOf(server);
  assert(only !== undefined);
  Deno.kill(only, "SIGKILL");
  await server.logged("ended with SIGKILL");
  const answer = await listNodes(server.address);
  assert(answer.ok, JSON.stringify(answer));
});

Deno.test("while a front cannot be started again, another takes its connections", async () => {
  await using directory = new RuntimeDirectory();
  const keyFile = `${directory.path}/server.key`;
  await Deno.copyFile(tlsFile("server.key"), keyFile);
  await using server = await startFronts({
    settings: { "server.tls.certFile": tlsFile("server.pem"), "server.tls.keyFile": keyFile },
  });
  const [victim] = frontsOf(server);
  await Deno.remove(keyFile);
  Deno.kill(victim!, "SIGKILL");
  await server.logged(/Cannot start front \d again: .*server\.key/);
  // The kernel gives half of these to the socket of the front that is not there.
  const address = `localhost:${server.ready.port}`;
  for (let call = 0; call < 20; call++) {
    const answer = await listNodes(address, { channel: tlsCredentials() });
    assert(answer.ok, JSON.stringify(answer));
  }
  assert.equal((await metric(server, "rexec_fronts")).get('state="serving"'), 1);
  await Deno.copyFile(tlsFile("server.key"), keyFile);
  await until("it is back", async () => (await metric(server, "rexec_fronts")).get('state="serving"') === 2);
});

Deno.test("SIGHUP replaces all fronts for a new configuration: no call fails, running ones go on", async () => {
  await using directory = new RuntimeDirectory();
  const file = `${directory.path}/service.yaml`;
  await Deno.writeTextFile(file, "execution: { maxInputMb: 100 }\n");
  await using server = await startFronts({ env: { CONFIG_DIR: directory.path } });
  const before = frontsOf(server);
  // On one connection, so that calls come to the very front that drains for the long one.
  using kept = new TestClient(server.address);
  const long = await startRunning(kept, ENDLESS);
  const connections = [new NewConnections(server.address), new NewConnections(server.address)];
  const large: NodeCall = { nodeType: "PassThroughNode", input: "x".repeat(2 * 1024 * 1024) };
  assert.equal((await kept.run(large)).status, ExecutionStatus.SUCCESS);

  await Deno.writeTextFile(file, "execution: { maxInputMb: 1 }\n");
  server.signal("SIGHUP");
  let calls = 0;
  const nothing = { nodeType: "PassThroughNode", input: 1 };
  const draining = server.logged(/another front has taken over.*"active":[1-9]/).then(() => true);
  while (!await Promise.race([draining, kept.run(nothing).then(() => false)])) calls++;
  for (let call = 0; call < 20; call++) assert.equal((await kept.run(nothing)).status, ExecutionStatus.SUCCESS);
  assert.equal(await Promise.race([long.answer, kept.run(nothing).then(() => "it still runs")]), "it still runs");
  long.cancel();
  await server.logged("All fronts replaced");

  const after = await kept.start(large).answer;
  assert.match(after.ok ? after.response.errorMessage : after.details, /execution\.maxInputMb allows/);
  for (const connection of connections) {
    assert(await connection.stop() > 0);
    assert.deepEqual(connection.failures, []);
  }
  assert(!before.some(isAlive));
  assert.equal((await metric(server, "rexec_front_restarts_total")).get('reason="reload"'), 2);
  // What the fronts before counted is not lost.
  const counted = [...(await metric(server, "rexec_executions_total")).values()].reduce((sum, count) => sum + count, 0);
  assert(counted > calls, `${counted} executions counted, ${calls} made`);
});

Deno.test("SIGHUP with a configuration at fault changes nothing, and says what is wrong", async () => {
  await using directory = new RuntimeDirectory();
  const file = `${directory.path}/service.yaml`;
  await Deno.writeTextFile(file, "pool: { startTimeoutMs: 600000 }\n");
  await using server = await startFronts({ env: { CONFIG_DIR: directory.path } });
  const before = frontsOf(server);

  await Deno.writeTextFile(file, "execution: { maxInputMb: many }\n");
  server.signal("SIGHUP");
  await server.logged(/not read again.*maxInputMb/);
  // One that only a front can find, since the file is its to read.
  await Deno.writeTextFile(file, `auth: { tokensFile: ${directory.path}/nothing.yaml }\n`);
  server.signal("SIGHUP");
  await server.logged(/Front 1 not replaced, it goes on: .*nothing\.yaml/);

  assert.deepEqual(frontsOf(server), before);
  assert((await listNodes(server.address)).ok);
  // A front that is lost later starts with what was good.
  Deno.kill(before[0]!, "SIGKILL");
  await until("it is back", async () => (await metric(server, "rexec_fronts")).get('state="serving"') === 2);
});

Deno.test("SIGUSR2 starts all fronts again, and tells settings that wait for the next start at SIGHUP", async () => {
  await using directory = new RuntimeDirectory();
  await Deno.writeTextFile(`${directory.path}/service.yaml`, "pool: { startTimeoutMs: 600000 }\n");
  await using server = await startFronts({ env: { CONFIG_DIR: directory.path } });
  const before = frontsOf(server);
  server.signal("SIGUSR2");
  await server.logged("All fronts replaced: upgrade");
  const after = frontsOf(server);
  assert.equal(after.length, 2);
  assert(!after.some((pid) => before.includes(pid)));
  await Deno.writeTextFile(`${directory.path}/service.yaml`, "metrics: { enabled: false }\n");
  server.signal("SIGHUP");
  await server.logged(/Of the new configuration metrics takes effect at the next start only/);
  await server.logged("All fronts replaced: reload");
});

Deno.test("a front above the memory threshold is replaced, and its calls go on", async () => {
  await using server = await startFronts({
    settings: { "server.processes": 1, "pool.maxWorkers": 1, "server.maxProcessMemoryMb": 1 },
  });
  const [before] = frontsOf(server);
  using client = new TestClient(server.address);
  const busy = await startRunning(client, ENDLESS);
  const waiting = Array.from(
    { length: 4 },
    () => client.start({ nodeType: "PassThroughNode", input: "x".repeat(40 * 1024 * 1024) }),
  );
  await server.logged(/Front 1 is replaced: it has \d+ MB/);
  await until("another serves", () => frontsOf(server).some((pid) => pid !== before));
  await server.logged("another front has taken over");
  busy.cancel();
  for (const { answer } of waiting) {
    const answered = await answer;
    assert(answered.ok && answered.response.status === ExecutionStatus.SUCCESS);
  }
  await until("the old one has ended", () => !frontsOf(server).includes(before!));
  assert((await metric(server, "rexec_front_restarts_total")).get('reason="memory"')! >= 1);
});

Deno.test("SIGTERM drains all fronts: running calls end well, nothing is left", async () => {
  await using directory = new RuntimeDirectory();
  await using server = await startFronts({ env: { TMPDIR: directory.path } });
  using client = new TestClient(server.address);
  const running = await startRunning(client, LONG);
  const all = descendantsOf(server.pid);
  server.signal("SIGTERM");
  const answer = await running.answer;
  assert(answer.ok && answer.response.status === ExecutionStatus.SUCCESS, JSON.stringify(answer));
  const { code, stderr } = await server.exited;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /All fronts have ended/);
  assert.deepEqual(all.filter(isAlive), []);
  assert.deepEqual(directory.entries, []);
});

Deno.test("a signal to the whole process group drains fronts once, and the second one ends what runs", async () => {
  await using server = await startFronts({ ownGroup: true });
  using client = new TestClient(server.address);
  const running = await startRunning(client, ENDLESS);
  const all = descendantsOf(server.pid);
  Deno.kill(-server.pid, "SIGINT");
  await server.logged("Draining: the service is told to stop");
  Deno.kill(-server.pid, "SIGINT");
  const answer = await running.answer;
  assert(!answer.ok);
  assert.match(answer.details, /shutting down/);
  const { code, stderr } = await server.exited;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /since a second signal came/);
  await until("nothing is left", () => !all.some(isAlive));
});

Deno.test("fronts drain and end when their supervisor is killed", async () => {
  await using server = await startFronts();
  using client = new TestClient(server.address);
  const running = await startRunning(client, LONG);
  const all = descendantsOf(server.pid);
  server.signal("SIGKILL");
  const answer = await running.answer;
  assert(answer.ok && answer.response.status === ExecutionStatus.SUCCESS, JSON.stringify(answer));
  await until("nothing is left", () => !all.some(isAlive));
});

Deno.test("without fronts SIGHUP reads nothing again, says why, and the service goes on", async () => {
  await using server = await startTestServer({ settings: { "sandbox.probe": false } });
  server.signal("SIGHUP");
  await server.logged(/SIGHUP: nothing was read again.*server\.processes/);
  assert((await listNodes(server.address)).ok);
});

for (const processes of [0, 2]) {
  Deno.test(`a second service with ${processes} fronts does not take the port of one with fronts`, async () => {
    await using server = await startFronts();
    const { code, stderr } = await failToStart({
      settings: { "server.port": server.ready.port, "server.processes": processes, "sandbox.probe": false },
    });
    assert.notEqual(code, 0);
    assert.match(stderr, /Cannot listen on "127\.0\.0\.1:\d+".*EADDRINUSE.*set GRPC_PORT/);
  });
}

Deno.test("a service whose fronts cannot start ends with what the front says", async () => {
  const { code, stderr } = await failToStart({
    settings: { "server.processes": 2, "auth.tokensFile": "/nowhere/tokens.yaml", "sandbox.probe": false },
  });
  assert.notEqual(code, 0);
  assert.match(stderr, /tokens\.yaml/);
});
