import assert from "node:assert/strict";
import { status as GrpcStatus } from "@grpc/grpc-js";
import {
  type ConsoleText,
  encoded,
  ExecutionError,
  ExecutionStatus,
  FailureReason,
  RemoteExecutionClient,
} from "../../src/client/mod.ts";
import { StreamErrorResponse, type StreamInitRequest } from "../../protos/generated/execution.ts";
import { FakeService, rpcFailure } from "../fakes/fake_service.ts";
import { CERTIFICATE } from "../fakes/certificate.ts";
import { CountingRelay, TlsFront } from "../fakes/network.ts";
import { type ExecuteCall, LAST_WORDS, sendInit, sendOutputs, serveStream, SESSION_ID } from "../fakes/fake_stream.ts";

const NODE = { nodeType: "Any", format: "json" } as const;
const text = (value: string) => new TextEncoder().encode(value);

const nextTurn = () => new Promise((resolve) => setTimeout(resolve));

async function withStream(
  streamExecute: (call: ExecuteCall) => void,
  test: (client: RemoteExecutionClient) => Promise<void>,
): Promise<void> {
  using fake = await FakeService.start({ streamExecute });
  using client = new RemoteExecutionClient(fake.address);
  await test(client);
}

/** Inputs that never come. */
const NOTHING: AsyncIterable<number> = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };

Deno.test("RemoteExecutionClient.streamExecute() opens with node and limits, and yields outputs with what they cost", async () => {
  let init: StreamInitRequest | undefined;
  await withStream(
    (call) =>
      serveStream(call, {
        onInit: (given) => init = given,
        process: (input, index) => index === 1 ? [] : [{ outputData: input, durationMs: index }],
        flush: () => [{ outputData: text('"flushed"') }],
      }),
    async (client) => {
      const stream = client.streamExecute({ ...NODE, config: { size: 3 }, options: { timeoutSeconds: 2 } }, [1, 2, 3]);
      assert.deepEqual([stream.sessionId, stream.totals], [undefined, undefined]);
      const outputs = [];
      for await (const { value, metrics } of stream) outputs.push([value, metrics?.durationMs]);
      assert.deepEqual(outputs, [[1n, 0], [3n, 2], ["flushed", undefined]]);
      assert.deepEqual([stream.sessionId, stream.totals?.durationMs], [SESSION_ID, 42]);
    },
  );
  assert.deepEqual([init?.nodeType, init?.config, init?.options?.timeoutSeconds], ["Any", { size: "3" }, 2]);
  assert.equal(init?.codePackage.length, 0);
});

Deno.test("RemoteExecutionClient.streamExecute() opens with a package, and tells its console as it comes", async () => {
  let init: StreamInitRequest | undefined;
  const process = (_: Uint8Array, index: number) => [{ outputData: text("0"), stderr: `got ${index}\n` }];
  await withStream((call) => serveStream(call, { onInit: (given) => init = given, process }), async (client) => {
    const said: ConsoleText[] = [];
    const code = { codePackage: Uint8Array.of(7), entryPoint: "main.ts:Twice", format: "json" } as const;
    for await (const _ of client.streamExecute(code, [1, 2], { onConsole: (words) => said.push(words) }));
    assert.deepEqual(said, [
      { stdout: "", stderr: "got 0\n" },
      { stdout: "", stderr: "got 1\n" },
      { stdout: LAST_WORDS, stderr: "" },
    ]);
  });
  assert.deepEqual([init?.nodeType, init?.entryPoint, [...init?.codePackage ?? []]], ["custom", "main.ts:Twice", [7]]);
});

Deno.test("RemoteExecutionClient.streamExecute() rejects with what opening came to, and takes no input", async () => {
  const refuse = (call: ExecuteCall) => {
    const value = { status: ExecutionStatus.SECURITY_VIOLATION, errorMessage: "no such import" };
    call.once("data", () => (sendInit(call, value), call.end()));
  };
  await withStream(refuse, async (client) => {
    const inputs = {
      [Symbol.asyncIterator]: () => assert.fail("inputs were asked for"),
    };
    await assert.rejects(Array.fromAsync(client.streamExecute(NODE, inputs)), {
      name: "ExecutionError",
      statusName: "SECURITY_VIOLATION",
      message: "no such import",
    });
  });
});

const failures = [
  { failureReason: FailureReason.EXCEPTION, status: ExecutionStatus.ERROR },
  { failureReason: FailureReason.TIME_LIMIT, status: ExecutionStatus.TIMEOUT },
  { failureReason: FailureReason.MEMORY_LIMIT, status: ExecutionStatus.RESOURCE_LIMIT },
  { failureReason: FailureReason.SECURITY_VIOLATION, status: ExecutionStatus.SECURITY_VIOLATION },
];

for (const { failureReason, status } of failures) {
  Deno.test(`RemoteExecutionClient.streamExecute() rejects with ${ExecutionStatus[status]} after an error with ${FailureReason[failureReason]}`, async () => {
    const failure = { errorMessage: "boom", errorTraceback: "at line 7", stdout: "last words", failureReason };
    await withStream((call) => serveStream(call, { process: () => ({ failure }) }), async (client) => {
      const stream = client.streamExecute(NODE, [1]);
      await assert.rejects(Array.fromAsync(stream), (error: ExecutionError) => {
        assert.ok(error instanceof ExecutionError);
        assert.deepEqual(
          [error.message, error.traceback, error.stdout, error.failureReason, error.status],
          ["boom", "at line 7", "last words", failureReason, status],
        );
        return true;
      });
      assert.equal(stream.totals, undefined);
    });
  });
}

Deno.test("RemoteExecutionClient.streamExecute() rejects with RpcError when the call fails", async () => {
  const fail = (call: ExecuteCall) => void call.emit("error", rpcFailure(GrpcStatus.UNAVAILABLE, "draining"));
  await withStream(fail, async (client) => {
    await assert.rejects(Array.fromAsync(client.streamExecute(NODE, [1])), {
      name: "RpcError",
      codeName: "UNAVAILABLE",
    });
  });
});

Deno.test("RemoteExecutionClient.streamExecute() gives what came before the service ended the stream, while inputs go on", async () => {
  const outputs = 100;
  const ended = Promise.withResolvers<void>();
  await withStream((call) => {
    call.once("data", () => {
      sendInit(call);
      sendOutputs(call, Array.from({ length: outputs }, () => ({ outputData: text("1") })));
      call.write({
        responseType: { $case: "error", value: StreamErrorResponse.fromPartial({ errorMessage: "broke" }) },
      });
      call.end();
      ended.resolve();
    });
    call.resume();
  }, async (client) => {
    let given = 0;
    async function* inputs() {
      for (;;) {
        yield ++given;
        await nextTurn();
      }
    }
    let seen = 0;
    const reading = async () => {
      for await (const _ of client.streamExecute(NODE, inputs())) {
        seen++;
        await ended.promise;
        await nextTurn();
      }
    };
    await assert.rejects(reading(), (error) => {
      assert.ok(error instanceof ExecutionError, String(error));
      assert.equal(error.message, "broke");
      return true;
    });
    assert.equal(seen, outputs);
    assert.ok(given > 2, "inputs went on");
  });
});

Deno.test("RemoteExecutionClient.streamExecute() rejects when the service ends the stream without its last word", async () => {
  const hangUp = (call: ExecuteCall) => void call.once("data", () => call.end());
  await withStream(hangUp, async (client) => {
    await assert.rejects(Array.fromAsync(client.streamExecute(NODE, [1])), {
      codeName: "INTERNAL",
      message: /close response/,
    });
  });
});

Deno.test("RemoteExecutionClient.streamExecute() cancels the call and stops its inputs when it is left", async () => {
  const cancelled = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  const serve = (call: ExecuteCall) => {
    call.on("cancelled", cancelled.resolve);
    serveStream(call);
  };
  await withStream(serve, async (client) => {
    async function* inputs() {
      try {
        for (;;) {
          yield 1;
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
      } finally {
        stopped.resolve();
      }
    }
    for await (const _ of client.streamExecute(NODE, inputs())) break;
    await Promise.all([cancelled.promise, stopped.promise]);
  });
});

Deno.test("RemoteExecutionClient.streamExecute() rejects with the signal's reason while everybody waits", async () => {
  const reason = new Error("enough");
  const abort = new AbortController();
  const serve = (call: ExecuteCall) => serveStream(call, { onInit: () => abort.abort(reason) });
  await withStream(serve, async (client) => {
    const stream = client.streamExecute(NODE, NOTHING, { signal: abort.signal });
    await assert.rejects(Array.fromAsync(stream), reason);
  });
});

Deno.test("RemoteExecutionClient.streamExecute() rejects with what its inputs throw", async () => {
  const reason = new Error("no more tape");
  await withStream(serveStream, async (client) => {
    const inputs = function* () {
      yield 1;
      throw reason;
    };
    await assert.rejects(Array.fromAsync(client.streamExecute(NODE, inputs())), reason);
  });
});

/** Big enough that a few fill every window of HTTP/2 between the two. */
const BLOCK = encoded(new Uint8Array(128 * 1024));
const MANY = 400;

/** Waits until a count has stood still while another call went to the service and back a hundred times. */
async function settled(count: () => number, client: RemoteExecutionClient): Promise<void> {
  for (let last = -1; last !== count();) {
    last = count();
    for (let round = 0; round < 100; round++) await client.getStatus();
  }
}

Deno.test("RemoteExecutionClient.streamExecute() takes no more inputs than a service takes that does not read", async () => {
  const opened = Promise.withResolvers<void>();
  const deaf = (call: ExecuteCall) => {
    call.once("data", () => {
      call.pause();
      sendInit(call);
      opened.resolve();
    });
  };
  await withStream(deaf, async (client) => {
    let taken = 0;
    function* inputs() {
      for (; taken < MANY; taken++) yield BLOCK;
    }
    const abort = new AbortController();
    const stream = client.streamExecute({ nodeType: "Any", format: "raw" }, inputs(), { signal: abort.signal });
    const ended = assert.rejects(Array.fromAsync(stream), { name: "AbortError" });
    await opened.promise;
    await settled(() => taken, client);
    assert.ok(taken > 0 && taken < MANY / 4, `${taken} inputs were taken`);
    abort.abort();
    await ended;
  });
});

Deno.test("RemoteExecutionClient.streamExecute() goes on over TLS, where other bytes are on the wire than were written", async () => {
  using fake = await FakeService.start({ streamExecute: (call) => serveStream(call, { process: () => [] }) });
  await using front = TlsFront.start(fake.address);
  using client = new RemoteExecutionClient(front.address, { tls: { caCert: CERTIFICATE, serverName: "rexec.test" } });
  let taken = 0;
  function* inputs() {
    for (; taken < 50; taken++) yield BLOCK;
  }
  const stream = client.streamExecute({ nodeType: "Any", format: "raw" }, inputs());
  assert.deepEqual(await Array.fromAsync(stream), []);
  assert.equal(taken, 50);
});

Deno.test("RemoteExecutionClient.streamExecute() reads no more than it is asked for", async () => {
  const flood = (call: ExecuteCall) => {
    call.once("data", () => {
      sendInit(call);
      sendOutputs(call, Array.from({ length: MANY }, () => ({ outputData: BLOCK.bytes })));
    });
  };
  using fake = await FakeService.start({ streamExecute: flood });
  // What has come to the client is counted on the way: at the service every message is written at once.
  using relay = await CountingRelay.start(fake.address);
  using client = new RemoteExecutionClient(relay.address);
  using other = new RemoteExecutionClient(fake.address);
  const stream = client.streamExecute({ nodeType: "Any", format: "raw" }, NOTHING);
  const outputs = stream[Symbol.asyncIterator]();
  for (let index = 0; index < 3; index++) await outputs.next();
  await settled(() => relay.bytesToClient, other);
  const blocks = relay.bytesToClient / BLOCK.bytes.length;
  assert.ok(blocks >= 3 && blocks < MANY / 4, `${blocks} blocks came`);
  await outputs.return();
});
