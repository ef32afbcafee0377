/**
 * When calls are made again, with a clock and chance of the test's, and over the wire.
 * @module
 */

import assert from "node:assert/strict";
import { Metadata, type ServiceError as GrpcError, status as GrpcStatus } from "@grpc/grpc-js";
import { RemoteExecutionClient, RpcError } from "../../src/client/mod.ts";
import { type RetryContext, withRetries } from "../../src/client/retry.ts";
import { FakeService, rpcFailure } from "../fakes/fake_service.ts";

const START = 1_000_000;

/** How the service sheds a call: with a pause that it asks for, or without. */
function shed(pushback?: string): GrpcError {
  const failure = rpcFailure(GrpcStatus.RESOURCE_EXHAUSTED, "too many");
  if (pushback !== undefined) failure.metadata.set("grpc-retry-pushback-ms", pushback);
  return failure;
}

/** Makes a call that fails so again and again. @returns the pauses until it is given up */
async function pausesOf(failures: readonly GrpcError[], context: Partial<RetryContext> = {}): Promise<number[]> {
  const pauses: number[] = [];
  let nowMs = START;
  let calls = 0;
  const attempts = await withRetries<never>(
    () => Promise.reject(failures[calls++]),
    {
      maxAttempts: failures.length,
      initialBackoffMs: 100,
      maxBackoffMs: 5_000,
      idempotent: true,
      deadline: START + 60_000,
      signal: undefined,
      random: () => 0.5,
      now: () => nowMs,
      sleep: (ms) => {
        pauses.push(ms);
        nowMs += ms;
        return Promise.resolve();
      },
      ...context,
    },
    (_, attempts) => Object.assign(new Error(), { attempts }),
  ).catch(({ attempts }) => attempts);
  assert.deepEqual([attempts, calls], [pauses.length + 1, pauses.length + 1]);
  return pauses;
}

const cases: readonly { name: string; failures: readonly GrpcError[]; pauses: readonly number[]; deadline?: number }[] =
  [
    {
      name: "pauses longer and longer where the service says nothing",
      failures: [shed(), shed(), shed(), shed()],
      pauses: [50, 100, 200],
    },
    {
      name: "pauses as long as the service says, above its own longest pause too, and starts anew after it",
      failures: [shed(), shed(), shed("7000"), shed(), shed("0"), shed()],
      pauses: [50, 100, 7_000, 50, 0],
    },
    { name: "never comes back when the service says so", failures: [shed("-1"), shed()], pauses: [] },
    { name: "never comes back at a pause that is no number", failures: [shed("soon"), shed()], pauses: [] },
    { name: "never comes back at a pause that no timer holds", failures: [shed("2147483648"), shed()], pauses: [] },
    {
      name: "gives up at once when it is told to come back after its deadline",
      failures: [shed("400"), shed("600"), shed()],
      pauses: [400],
      deadline: START + 1_000,
    },
    {
      name: "does not retry for a pushback alone",
      failures: [Object.assign(shed("1"), { code: GrpcStatus.INVALID_ARGUMENT }), shed()],
      pauses: [],
    },
  ];

for (const { name, failures, pauses, deadline = START + 60_000 } of cases) {
  Deno.test(`withRetries() ${name}`, async () => {
    assert.deepEqual(await pausesOf(failures, { deadline }), pauses);
  });
}

Deno.test("withRetries() rejects with the signal's reason when it aborts during a pause, and calls no more", async () => {
  const abort = new AbortController();
  let calls = 0;
  const answer = withRetries<never>(
    () => {
      calls++;
      queueMicrotask(() => abort.abort(new Error("enough")));
      return Promise.reject(shed("2147483647"));
    },
    {
      maxAttempts: 4,
      initialBackoffMs: 1,
      maxBackoffMs: 1,
      idempotent: true,
      deadline: Infinity,
      signal: abort.signal,
    },
    (error) => error,
  );
  await assert.rejects(answer, /enough/);
  assert.equal(calls, 1);
});

Deno.test("RemoteExecutionClient reads when the service wants it back", async () => {
  const metadata = new Metadata();
  metadata.set("grpc-retry-pushback-ms", "-1");
  const executeNode = () => {
    throw Object.assign(rpcFailure(GrpcStatus.RESOURCE_EXHAUSTED, "never again"), { metadata });
  };
  using fake = await FakeService.start({ executeNode });
  using client = new RemoteExecutionClient(fake.address, { retry: { initialBackoffMs: 1, maxBackoffMs: 2 } });
  await assert.rejects(client.executeNode("Any", 1), (error) => {
    assert.ok(error instanceof RpcError);
    assert.deepEqual([error.codeName, error.attempts], ["RESOURCE_EXHAUSTED", 1]);
    return true;
  });
  assert.deepEqual(fake.calls, ["executeNode"]);
});
