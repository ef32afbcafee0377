import assert from "node:assert/strict";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { type ExecutionError, RemoteExecutionClient } from "../../src/client/mod.ts";
import type { StreamData, StreamInit } from "../../protos/generated/execution.ts";
import { FakeService, rpcFailure } from "../fakes/fake_service.ts";
import { status as GrpcStatus } from "@grpc/grpc-js";

type Call = ServerDuplexStream<StreamData, StreamData>;

const data = (value: Uint8Array): StreamData => ({ payload: { $case: "data", value }, errorMessage: "" });

/** Sends every input back, and at the end "flushed". */
function echo(call: Call, onInit?: (init: StreamInit) => void): void {
  call.on("data", ({ payload }: StreamData) => {
    if (payload?.$case === "data") call.write(data(payload.value));
    else if (payload?.$case === "init") onInit?.(payload.value);
  });
  call.on("end", () => {
    call.write(data(new TextEncoder().encode('"flushed"')));
    call.end();
  });
}

async function withStream(
  streamNode: (call: Call) => void,
  test: (client: RemoteExecutionClient) => Promise<void>,
): Promise<void> {
  using fake = await FakeService.start({ streamNode });
  using client = new RemoteExecutionClient(fake.address);
  await test(client);
}

/** Inputs without end; `stop` is called when they are asked to return. */
async function* forever(stop: () => void): AsyncGenerator<number> {
  try {
    for (let number = 0;; number++) {
      yield number;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  } finally {
    stop();
  }
}

Deno.test("RemoteExecutionClient.streamNode() opens with the node, yields outputs in order, and what a flush gives", async () => {
  let init: StreamInit | undefined;
  await withStream((call) => echo(call, (given) => init = given), async (client) => {
    const outputs = [];
    const node = { nodeType: "Buffer", config: { size: 3 }, format: "json" } as const;
    for await (const { value } of client.streamNode(node, [1, { a: null }])) outputs.push(value);
    assert.deepEqual(outputs, [1n, new Map([["a", null]]), "flushed"]);
  });
  assert.deepEqual(init, { nodeType: "Buffer", config: { size: "3" }, serializationFormat: "json" });
});

Deno.test("RemoteExecutionClient.streamNode() carries a thousand items", async () => {
  await withStream(echo, async (client) => {
    const numbers = Array.from({ length: 1_000 }, (_, index) => index);
    let count = 0;
    for await (const { value } of client.streamNode({ nodeType: "Any", format: "json" }, numbers)) {
      if (count < 1_000) assert.equal(value, BigInt(count));
      count++;
    }
    assert.equal(count, 1_001);
  });
});

Deno.test("RemoteExecutionClient.streamNode() cancels the call and stops its inputs when it is left", async () => {
  const cancelled = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  await withStream((call) => {
    call.on("cancelled", cancelled.resolve);
    echo(call);
  }, async (client) => {
    for await (const _ of client.streamNode({ nodeType: "Any" }, forever(stopped.resolve))) break;
    await Promise.all([cancelled.promise, stopped.promise]);
  });
});

Deno.test("RemoteExecutionClient.streamNode() rejects with the signal's reason, also while its inputs hang", async () => {
  const reason = new Error("enough");
  const abort = new AbortController();
  const cancelled = Promise.withResolvers<void>();
  await withStream((call) => {
    call.on("cancelled", cancelled.resolve);
    abort.abort(reason);
  }, async (client) => {
    const hanging: AsyncIterable<number> = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };
    const outputs = client.streamNode({ nodeType: "Any" }, hanging, { signal: abort.signal });
    await assert.rejects(outputs.next(), reason);
    await cancelled.promise;
  });
});

Deno.test("RemoteExecutionClient.streamNode() rejects with ExecutionError for an error message", async () => {
  await withStream((call) => {
    call.write({ payload: undefined, errorMessage: "Unknown node type: Any" });
    call.end();
  }, async (client) => {
    const outputs = client.streamNode({ nodeType: "Any" }, forever(() => {}));
    await assert.rejects(outputs.next(), (error: ExecutionError) => {
      return error.name === "ExecutionError" && error.message === "Unknown node type: Any" &&
        error.statusName === "ERROR";
    });
  });
});

Deno.test("RemoteExecutionClient.streamNode() rejects with RpcError when the call fails", async () => {
  await withStream(
    (call) => call.emit("error", rpcFailure(GrpcStatus.UNAUTHENTICATED, "who are you")),
    async (client) => {
      await assert.rejects(client.streamNode({ nodeType: "Any" }, [1]).next(), {
        name: "RpcError",
        codeName: "UNAUTHENTICATED",
        details: "who are you",
      });
    },
  );
});

Deno.test("RemoteExecutionClient.streamNode() rejects with what its inputs throw", async () => {
  const reason = new Error("no more tape");
  await withStream(echo, async (client) => {
    const failing = (async function* () {
      yield 1;
      await Promise.reject(reason);
    })();
    const collect = async () => {
      for await (const _ of client.streamNode({ nodeType: "Any" }, failing));
    };
    await assert.rejects(collect(), reason);
  });
});
