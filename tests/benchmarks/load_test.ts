import assert from "node:assert/strict";
import type { LoadPart } from "../../benchmarks/load_plan.ts";
import { runLoad } from "../../benchmarks/load_run.ts";
import { startEcho } from "../../benchmarks/server_process.ts";

const ECHO = {
  method: "Echo",
  nodeType: "",
  config: {},
  payload: { kind: "audio", frameMs: 20, sampleRate: 48_000, format: "pickle" },
} as const;

Deno.test("runLoad() counts every message of paced and fast streams and its answer, over all processes", async () => {
  await using echo = await startEcho();
  const { parts, lag, server } = await runLoad({
    address: `127.0.0.1:${echo.port}`,
    serverPid: echo.pid,
    parts: {
      paced: { ...ECHO, kind: "paced", count: 5, intervalMs: 20, inputsPerOutput: 1 },
      fast: { ...ECHO, kind: "fast", count: 3, window: 4 },
    },
    seconds: 0.5,
    warmUpSeconds: 0,
    processes: 2,
    connections: 1,
  });

  const [paced, fast] = [parts.get("paced"), parts.get("fast")];
  assert(paced !== undefined && fast !== undefined && server !== undefined);
  for (const part of [paced, fast]) {
    assert.deepEqual([...part.errors], []);
    assert.equal(part.unanswered, 0);
  }
  // Each of the five has the half second's messages, whether it could send them or not; which is one more depends on when
  // it began.
  assert(Math.abs(paced.sent + paced.unsent - 5 * 25) <= 5, `${paced.sent} sent and ${paced.unsent} not`);
  assert(paced.answered > 0);
  assert.equal(paced.latency.count, paced.answered);
  assert.equal(fast.answered, fast.sent);
  assert(fast.sent > 3 * 4);
  assert(lag.count >= paced.sent);
  assert(server.memoryBytes > 0 && server.cpu.frontLoop > 0);
});

Deno.test("runLoad() sends and takes messages that no flow-control window of HTTP/2 has room for", async () => {
  await using echo = await startEcho();
  // 1.9 MB each.
  const payload = { ...ECHO.payload, frameMs: 10_000 };
  const { parts } = await runLoad({
    address: `127.0.0.1:${echo.port}`,
    parts: { large: { ...ECHO, payload, kind: "fast", count: 2, window: 2 } },
    seconds: 0.3,
    warmUpSeconds: 0,
    processes: 1,
    connections: 1,
  });

  const large = parts.get("large");
  assert(large !== undefined);
  assert.deepEqual([...large.errors], []);
  assert(large.sent > 2 * 2, `${large.sent} sent`);
  assert.equal(large.answered, large.sent);
});

Deno.test("runLoad() counts what the server refuses by what it says", async () => {
  await using echo = await startEcho();
  const unknown: LoadPart = {
    kind: "paced",
    method: "StreamNode",
    count: 2,
    nodeType: "PassThroughNode",
    config: {},
    payload: { kind: "json", text: "1" },
    intervalMs: 20,
    inputsPerOutput: 1,
  };
  const calls: LoadPart = {
    kind: "unary",
    count: 2,
    nodeType: "PassThroughNode",
    config: {},
    payload: { kind: "json", text: "1" },
    intervalMs: 50,
  };
  const { parts } = await runLoad({
    address: `127.0.0.1:${echo.port}`,
    parts: { unknown, calls },
    seconds: 0.3,
    warmUpSeconds: 0,
    processes: 1,
    connections: 1,
  });

  const [streams, callers] = [parts.get("unknown"), parts.get("calls")];
  assert(streams !== undefined && callers !== undefined);
  const [[streamError, streamCount] = []] = [...streams.errors];
  assert.match(streamError ?? "", /^UNIMPLEMENTED: /);
  assert.equal(streamCount, 2);
  assert.equal(streams.answered, 0);
  assert(streams.unsent > 0);
  const [[callError, callCount] = []] = [...callers.errors];
  assert.match(callError ?? "", /^UNIMPLEMENTED: /);
  assert.equal(callCount, callers.sent);
});
