import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import {
  ExecuteObjectMethodRequest,
  RemoteExecutionServiceClient,
  StatusRequest,
  type StreamData,
} from "../../protos/generated/execution.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { unary } from "../support/client.ts";
import { packageOf, toJson } from "../support/conversations.ts";
import { until } from "../support/processes.ts";
import { tlsCredentials, tlsFile } from "../support/secure.ts";
import { startTestServer } from "../support/server.ts";
import { Talk } from "../support/talk.ts";

const ITEMS = 200;
const ITEM = new Uint8Array(64 * 1024).fill(1);

function connect(port: number, certificate: string): RemoteExecutionServiceClient {
  const options = { "grpc.use_local_subchannel_pool": 1 };
  return new RemoteExecutionServiceClient(`localhost:${port}`, tlsCredentials(certificate), options);
}

function toInit(nodeType: string): StreamData {
  const value = { nodeType, config: {}, serializationFormat: "raw" };
  return { payload: { $case: "init", value }, errorMessage: "" };
}

const item: StreamData = { payload: { $case: "data", value: ITEM }, errorMessage: "" };

/** What a caller sees of their sessions. */
async function sessionsOf(client: RemoteExecutionServiceClient) {
  const answer = await unary(client, client.getStatus, StatusRequest.fromPartial({ includeSessions: true })).answer;
  assert(answer.ok);
  return answer.response.activeSessions;
}

async function callMethod(client: RemoteExecutionServiceClient, request: Partial<ExecuteObjectMethodRequest>) {
  const full = { serializationFormat: "json", methodArgsData: toJson([]), ...request };
  const answer = await unary(client, client.executeObjectMethod, ExecuteObjectMethodRequest.fromPartial(full)).answer;
  assert(answer.ok);
  return answer.response;
}

Deno.test("Streams over TLS, of callers whom their certificates and quotas name", async (test) => {
  await using server = await startTestServer({
    settings: {
      "sandbox.probe": false,
      "pool.maxWorkers": 1,
      "pool.maxTaskHosts": 2,
      "sessions.unreadKb": 256,
      "server.tls.certFile": tlsFile("server.pem"),
      "server.tls.keyFile": tlsFile("server.key"),
      "server.tls.clientCaFile": tlsFile("ca.pem"),
      "policy.callers": { "*": { maxRequestsPerSecond: 1_000, maxActiveTasks: 3 } },
    },
  });
  const ada = connect(server.ready.port, "client");
  const bob = connect(server.ready.port, "client_uri");
  try {
    await test.step("a reader that stops reading stops its stream, and gets all of it later", async () => {
      using talk = new Talk(ada.streamNode());
      talk.send(toInit("PassThroughNode"));
      talk.send(item);
      await talk.next();
      talk.call.pause();
      for (let count = 1; count < ITEMS; count++) talk.send(item);
      talk.halfClose();
      let last = -1;
      let same = 0;
      await until("it stands still", async () => {
        const [session] = await sessionsOf(ada);
        const now = session?.processedItems ?? ITEMS;
        same = now === last ? same + 1 : 0;
        last = now;
        return same >= 30;
      });
      assert(last < ITEMS / 2, `${last} items were processed for a reader that reads nothing`);
      talk.call.resume();
      assert.equal((await talk.rest()).length, ITEMS - 1);
      assert.equal((await talk.ended).code, status.OK);
    });

    await test.step("nobody sees, calls or closes another's session", async () => {
      const value = packageOf("export default class { get() { return 1; } }");
      const { sessionId } = await callMethod(ada, { objectSpecifier: { $case: "codePackage", value } });
      const objectSpecifier = { $case: "sessionId", value: sessionId } as const;
      assert.deepEqual(await sessionsOf(bob), []);
      for (const request of [{ methodName: "get" }, { methodName: "get", close: true }, { close: true }]) {
        const refused = await callMethod(bob, { objectSpecifier, ...request });
        assert.equal(refused.status, ExecutionStatus.ERROR);
        assert.equal(refused.errorMessage, `Session not found: "${sessionId}"`);
      }
      using talk = new Talk(bob.streamObject());
      talk.send({
        payload: {
          $case: "init",
          value: { objectSpecifier, config: {}, serializationFormat: "json", entryPoint: "", options: undefined },
        },
      });
      assert.deepEqual((await talk.next())?.payload, { $case: "error", value: `Session not found: "${sessionId}"` });
      const answer = await callMethod(ada, { objectSpecifier, methodName: "get", close: true });
      assert.equal(answer.status, ExecutionStatus.SUCCESS, answer.errorMessage);
    });
  } finally {
    ada.close();
    bob.close();
  }
});
