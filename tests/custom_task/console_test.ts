/**
 * WatchCustomTask: a task's console while it runs.
 * @module
 */

import assert from "node:assert/strict";
import { type ClientReadableStream, status } from "@grpc/grpc-js";
import type { ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { type ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { type WatchCustomTaskResponse, WatchServiceClient } from "../../protos/generated/watch.ts";
import { connect } from "../support/client.ts";
import { startTestServer } from "../support/server.ts";
import { resultOf, toRequest } from "./run.ts";

/** What a watched call came to. */
interface Watched {
  /** Pieces in their order, `stdout: text`. */
  readonly texts: string[];
  readonly responses: ExecuteCustomTaskResponse[];
}

function watch(client: WatchServiceClient, code: string, options: Partial<ExecutionOptions> = {}) {
  return client.watchCustomTask(toRequest(code, { input: 7, ...options }));
}

async function readAll(call: ClientReadableStream<WatchCustomTaskResponse>): Promise<Watched> {
  const watched: Watched = { texts: [], responses: [] };
  for await (const message of call) {
    const { event } = message as WatchCustomTaskResponse; // Its iterator is typed `any`.
    assert.equal(watched.responses.length, 0, "the response is the last word");
    if (event?.$case === "response") watched.responses.push(event.value);
    for (const { stream } of event?.$case === "console" ? event.value.texts : []) {
      watched.texts.push(`${stream?.$case}: ${stream?.value}`);
    }
  }
  return watched;
}

const textOf = (texts: readonly string[], stream: string) =>
  texts.filter((text) => text.startsWith(stream)).map((text) => text.slice(stream.length + 2)).join("");

Deno.test("WatchCustomTask tells what a task writes while it runs, and what it came to", async (test) => {
  await using server = await startTestServer({ settings: { "pool.maxWorkers": 1, "execution.maxConsoleKb": 64 } });
  await using connections = new AsyncDisposableStack();
  const client = connections.adopt(connect(WatchServiceClient, server.address), (client) => client.close());

  await test.step("in order, and the same again in the response", async () => {
    const code = "export default (n) => { console.log('a'); console.error('b'); console.log('c', n); return n; };";
    const { texts, responses: [response] } = await readAll(watch(client, code));
    assert.deepEqual(texts, ["stdout: a\n", "stderr: b\n", "stdout: c 7\n"]);
    assert(response !== undefined);
    assert.equal(resultOf(response), 7);
    assert.deepEqual([response.stdout, response.stderr], ["a\nc 7\n", "b\n"]);
    assert((response.metrics?.durationMs ?? 0) > 0);
  });

  await test.step("no more than the limit of a task that writes single characters far beyond it", async () => {
    const code = "export default () => { for (let i = 0; i < 30_000; i++) { console.log('x'); console.error('y'); } };";
    const { texts, responses: [response] } = await readAll(watch(client, code));
    assert(response !== undefined);
    assert.equal(response.status, ExecutionStatus.SUCCESS, response.errorMessage);
    assert.equal(textOf(texts, "stdout"), response.stdout);
    assert.equal(textOf(texts, "stderr"), response.stderr);
    const length = response.stdout.length + response.stderr.length;
    assert(length > 63 * 1024 && length < 65 * 1024, `${length} characters`);
  });

  await test.step("what it wrote before it failed", async () => {
    const code = "export default () => { console.log('so far'); throw new Error('boom'); };";
    const { texts, responses: [response] } = await readAll(watch(client, code));
    assert.deepEqual(texts, ["stdout: so far\n"]);
    assert.deepEqual([response?.status, response?.errorMessage], [ExecutionStatus.ERROR, "boom"]);
  });

  await test.step("a caller that goes away stops it", async () => {
    const call = watch(client, "export default async () => { console.log('here'); await new Promise(() => {}); };");
    call.once("data", () => call.cancel());
    const code = await new Promise((resolve) => call.on("error", (error) => resolve(Reflect.get(error, "code"))));
    assert.equal(code, status.CANCELLED);
    // Its sandbox's place is free again: there are no more than this many.
    const { responses: [response] } = await readAll(watch(client, "export default (n) => n;"));
    assert.equal(response && resultOf(response), 7);
  });

  await test.step("a request that is refused has a status and no response", async () => {
    const call = watch(client, "export default (n) => n;", { enableNetworking: true });
    await assert.rejects(readAll(call), (error) => Reflect.get(Object(error), "code") === status.PERMISSION_DENIED);
  });
});
