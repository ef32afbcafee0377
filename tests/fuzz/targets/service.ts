/**
 * Messages to the real service over real sockets.
 * @module
 */

import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  ExecuteCustomTaskRequest,
  ExecuteCustomTaskResponse,
  ExecuteNodeRequest,
  ExecuteNodeResponse,
  ExecuteObjectMethodRequest,
  ListNodesRequest,
  RemoteExecutionServiceService,
  StatusRequest,
  StreamData,
  StreamExecuteRequest,
  StreamObjectRequest,
} from "../../../protos/generated/execution.ts";
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthService,
} from "../../../protos/generated/grpc/health/v1/health.ts";
import { ExecutionOptions, ExecutionStatus } from "../../../protos/generated/types.ts";
import { TestClient } from "../../support/client.ts";
import { residentBytes } from "../../support/processes.ts";
import { startTestServer, type TestServer } from "../../support/server.ts";
import { bytesOf, concat } from "../../support/zip_writer.ts";
import type { Subject, Target } from "../engine.ts";
import { anyJson } from "../json_values.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../random.ts";
import { damageMessage } from "../wire.ts";

const SETTINGS = {
  "pool.maxWorkers": 1,
  "pool.readyTaskHosts": 1,
  "pool.maxTaskHosts": 2,
  "sandbox.probe": false,
  "server.maxMessageBytes": 1_000_000,
};
/** Longer than any limit that the messages can ask for takes; a call that reaches it got no status. */
const DEADLINE_MS = 120_000;
const MAX_GROWTH_BYTES = 300 * 2 ** 20;
/** Calls between two looks at whether the service still works. */
const CHECK_EVERY = 100;

/** A method and messages of it as a client writes them. */
interface Method {
  readonly path: string;
  readonly isStream: boolean;
  readonly weight: number;
  seed(random: Random): Uint8Array;
}

const S = RemoteExecutionServiceService;

const METHODS: readonly Method[] = [
  { path: S.executeNode.path, isStream: false, weight: 60, seed: nodeRequest },
  { path: S.executeCustomTask.path, isStream: false, weight: 3, seed: taskRequest },
  {
    path: S.getStatus.path,
    isStream: false,
    weight: 4,
    seed: () => StatusRequest.encode(StatusRequest.fromPartial({ includeMetrics: true })).finish(),
  },
  {
    path: S.listNodes.path,
    isStream: false,
    weight: 4,
    seed: () => ListNodesRequest.encode(ListNodesRequest.fromPartial({ category: "audio" })).finish(),
  },
  {
    path: S.executeObjectMethod.path,
    isStream: false,
    weight: 3,
    seed: () => ExecuteObjectMethodRequest.encode(ExecuteObjectMethodRequest.fromPartial({ methodName: "m" })).finish(),
  },
  {
    path: S.streamExecute.path,
    isStream: true,
    weight: 3,
    seed: () =>
      StreamExecuteRequest.encode(
        StreamExecuteRequest.fromPartial({ requestType: { $case: "close", value: { sessionId: "s" } } }),
      ).finish(),
  },
  {
    path: S.streamNode.path,
    isStream: true,
    weight: 3,
    seed: () =>
      StreamData.encode(StreamData.fromPartial({ payload: { $case: "init", value: { nodeType: "PassThroughNode" } } }))
        .finish(),
  },
  {
    path: S.streamObject.path,
    isStream: true,
    weight: 3,
    seed: () => StreamObjectRequest.encode(StreamObjectRequest.fromPartial({})).finish(),
  },
  {
    path: HealthService.check.path,
    isStream: false,
    weight: 4,
    seed: () => HealthCheckRequest.encode(HealthCheckRequest.fromPartial({ service: "x" })).finish(),
  },
  {
    path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    isStream: true,
    weight: 3,
    seed: () => Uint8Array.of(0x3a, 1, 0x2a), // list_services
  },
  { path: "/no.such.Service/Method", isStream: false, weight: 1, seed: (random) => random.bytes(20) },
];
const WEIGHTED = METHODS.flatMap((method, index) => new Array<number>(method.weight).fill(index));

/** The gRPC service. */
export const service: Target = {
  name: "service",
  description: "messages of the gRPC service",
  iterations: 500,
  reaches: ["ExecuteNode OK", "ExecuteNode INTERNAL", "ExecuteCustomTask OK", "StreamNode OK"],
  generate(random) {
    const index = random.pick(WEIGHTED);
    let message = METHODS[index]?.seed(random) ?? new Uint8Array();
    if (random.chance(0.05)) message = random.bytes(random.below(200));
    else if (random.chance(0.65)) {
      for (let steps = random.between(1, 3); steps > 0; steps--) message = damageMessage(message, random);
    } else if (random.chance(0.5)) message = mutate(message, random);
    // The first byte is the method.
    return concat(Uint8Array.of(index), message);
  },
  start: () => ServiceSubject.start(),
};

function options(random: Random): ExecutionOptions | undefined {
  if (random.chance(0.6)) return undefined;
  return ExecutionOptions.fromPartial({
    timeoutSeconds: random.pick([0, 1, 2, -1, 2 ** 31 - 1]),
    memoryLimitMb: random.pick([0, 1, 64, -5, 2 ** 31 - 1]),
    maxOutputSizeMb: random.pick([0, 1, -1]),
    // Refused before anything else is looked at, so seldom asked for.
    ...random.chance(0.15) ? { environment: { PATH: "/" }, workingDirectory: "../.." } : {},
  });
}

function nodeRequest(random: Random): Uint8Array {
  return ExecuteNodeRequest.encode(ExecuteNodeRequest.fromPartial({
    nodeType: random.pick(["PassThroughNode", "CalculatorNode", "TextProcessorNode", "DataTransform", "", "__proto__"]),
    config: { operation: "add", "": random.pick(["1", "(", "[[[["]) },
    inputData: bytesOf(JSON.stringify(random.chance(0.5) ? { operation: "add", args: [1, 2] } : anyJson(random, 3))),
    serializationFormat: random.pick(["json", "json", "json", "pickle", "raw", "", "yaml"]),
    options: options(random),
  })).finish();
}

function taskRequest(random: Random): Uint8Array {
  return ExecuteCustomTaskRequest.encode(ExecuteCustomTaskRequest.fromPartial({
    codePackage: bytesOf("export default (x: unknown) => [x];"),
    entryPoint: random.pick(["", "default", "../up.ts:f"]),
    inputData: bytesOf("[1]"),
    serializationFormat: "json",
    options: options(random),
  })).finish();
}

class ServiceSubject implements Subject {
  #calls = 0;
  /** Executions that a limit ended: each may cost a host. */
  #stopped = 0;
  #startBytes = 0;
  readonly #client: Client;

  private constructor(readonly server: TestServer) {
    this.#client = new Client(server.address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  }

  static async start(): Promise<ServiceSubject> {
    const subject = new ServiceSubject(await startTestServer({ settings: SETTINGS }));
    await subject.#serves();
    subject.#startBytes = residentBytes(subject.server.pid);
    return subject;
  }

  async run(input: Uint8Array): Promise<string> {
    const method = METHODS[(input[0] ?? 0) % METHODS.length];
    assert(method !== undefined);
    const { code, bodies, details } = await this.#call(method, input.subarray(1));
    assert.notEqual(code, status.DEADLINE_EXCEEDED, "it had no status in time");
    assert(code in status && code !== status.UNKNOWN && code !== status.UNAVAILABLE, `status ${code}: ${details}`);
    assert(!/\bat .*:\d+:\d+|file:\/\//.test(details), `the status tells of the service's own code: ${details}`);
    this.#countStopped(method, bodies);
    if (++this.#calls % CHECK_EVERY === 0) await this.#serves();
    return `${method.path.slice(method.path.lastIndexOf("/") + 1)} ${status[code]}`;
  }

  async #call(
    { path, isStream }: Method,
    body: Uint8Array,
  ): Promise<{ readonly code: number; readonly details: string; readonly bodies: Buffer[] }> {
    const { promise, resolve } = Promise.withResolvers<{ code: number; details: string }>();
    const bodies: Buffer[] = [];
    const same = (bytes: Buffer) => bytes;
    const deadline = { deadline: Date.now() + DEADLINE_MS };
    const request = Buffer.from(body);
    if (isStream) {
      const call = this.#client.makeBidiStreamRequest(path, same, same, new Metadata(), deadline);
      call.on("data", (bytes: Buffer) => bodies.push(bytes));
      call.on("error", () => {}); // the status says it as well
      call.on("status", resolve);
      call.end(request);
    } else {
      const call = this.#client.makeUnaryRequest(path, same, same, request, new Metadata(), deadline, (_, bytes) => {
        if (bytes !== undefined) bodies.push(bytes);
      });
      call.on("status", resolve);
    }
    return { ...await promise, bodies };
  }

  #countStopped({ path }: Method, bodies: readonly Buffer[]): void {
    const type = path === S.executeNode.path
      ? ExecuteNodeResponse
      : path === S.executeCustomTask.path
      ? ExecuteCustomTaskResponse
      : undefined;
    const [body] = bodies;
    if (type === undefined || body === undefined) return;
    const { status } = type.decode(body);
    assert(status in ExecutionStatus && status !== 0, `status ${status}`);
    if (status === ExecutionStatus.TIMEOUT || status === ExecutionStatus.RESOURCE_LIMIT) this.#stopped++;
  }

  /** Others are served as ever. */
  async #serves(): Promise<void> {
    using client = new TestClient(this.server.address);
    const answer = await client.run({ nodeType: "CalculatorNode", input: { operation: "add", args: [1, 2] } });
    assert.equal(answer.status, ExecutionStatus.SUCCESS, answer.errorMessage);
    assert.match(JSON.stringify(answer.output), /"result":3\b/);
    const check = METHODS.find(({ path }) => path === HealthService.check.path);
    assert(check !== undefined);
    const { bodies } = await this.#call(check, new Uint8Array());
    assert.equal(HealthCheckResponse.decode(bodies[0] ?? new Uint8Array()).status, 1, "SERVING");
  }

  async finish(): Promise<void> {
    await this.#serves();
    const deaths = Array.from(
      (await this.server.metrics()).matchAll(/^rexec_host_restarts_total\{[^}]*reason="(?!retired)[^}]*\} (\d+)$/gm),
      ([, count]) => Number(count),
    ).reduce((sum, count) => sum + count, 0);
    assert(deaths <= this.#stopped, `${deaths} hosts died, and limits ended ${this.#stopped} executions`);
    const growth = residentBytes(this.server.pid) - this.#startBytes;
    assert(growth < MAX_GROWTH_BYTES, `its memory grew by ${growth} bytes`);
    this.#client.close();
    assert.equal((await this.server.stop()).code, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.server[Symbol.asyncDispose]();
  }
}
