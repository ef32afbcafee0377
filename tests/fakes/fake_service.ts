/**
 * The service behind its real wire: a grpc-js server on a free port whose answers the test gives.
 * @module
 */

import * as grpc from "@grpc/grpc-js";
import {
  type ExecuteCustomTaskRequest,
  ExecuteCustomTaskResponse,
  type ExecuteNodeRequest,
  ExecuteNodeResponse,
  type ExecuteObjectMethodRequest,
  ExecuteObjectMethodResponse,
  ListNodesResponse,
  type RemoteExecutionServiceServer,
  RemoteExecutionServiceService,
  StatusResponse,
  type StreamData,
  type StreamExecuteRequest,
  type StreamExecuteResponse,
  type StreamObjectRequest,
  type StreamObjectResponse,
} from "../../protos/generated/execution.ts";
import {
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus,
  HealthService,
} from "../../protos/generated/grpc/health/v1/health.ts";
import { type WatchCustomTaskResponse, WatchServiceService } from "../../protos/generated/watch.ts";
import { ExecutionStatus, ServiceStatus } from "../../protos/generated/types.ts";

/** What the fake does. A handler throws {@linkcode rpcFailure} to fail the call; `undefined` never answers. */
export interface FakeBehaviour {
  executeNode?(request: ExecuteNodeRequest, call: grpc.ServerUnaryCall<ExecuteNodeRequest, unknown>):
    | Partial<ExecuteNodeResponse>
    | undefined;
  executeCustomTask?(
    request: ExecuteCustomTaskRequest,
    call: grpc.ServerUnaryCall<ExecuteCustomTaskRequest, unknown>,
  ): Partial<ExecuteCustomTaskResponse> | undefined;
  watchCustomTask?(call: grpc.ServerWritableStream<ExecuteCustomTaskRequest, WatchCustomTaskResponse>): void;
  streamNode?(call: grpc.ServerDuplexStream<StreamData, StreamData>): void;
  streamExecute?(call: grpc.ServerDuplexStream<StreamExecuteRequest, StreamExecuteResponse>): void;
  streamObject?(call: grpc.ServerDuplexStream<StreamObjectRequest, StreamObjectResponse>): void;
  executeObjectMethod?(request: ExecuteObjectMethodRequest): Partial<ExecuteObjectMethodResponse>;
}

/** An error that fails a call with a gRPC status. */
export function rpcFailure(code: grpc.status, details: string): grpc.ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new grpc.Metadata() });
}

/** A running fake. */
export class FakeService implements Disposable {
  /** Calls that were made, by method, the failed among them. */
  readonly calls: string[] = [];

  private constructor(readonly address: string, readonly server: grpc.Server) {}

  static async start(behaviour: FakeBehaviour = {}): Promise<FakeService> {
    const server = new grpc.Server();
    const bind = Promise.withResolvers<number>();
    const credentials = grpc.ServerCredentials.createInsecure();
    const handlers = new Handlers(behaviour);
    server.addService(RemoteExecutionServiceService, handlers.execution());
    server.addService(HealthService, handlers.health());
    // The SDK's own service does not have it.
    if (behaviour.watchCustomTask !== undefined) server.addService(WatchServiceService, handlers.watch());
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => error ? bind.reject(error) : bind.resolve(port));
    const fake = new FakeService(`127.0.0.1:${await bind.promise}`, server);
    handlers.calls = fake.calls;
    return fake;
  }

  [Symbol.dispose](): void {
    this.server.forceShutdown();
  }
}

/** Nodes that the fake says it has. */
export const FAKE_NODES = ListNodesResponse.fromPartial({
  availableNodes: [
    {
      nodeType: "AudioTransform",
      category: "audio",
      description: "Resamples and mixes audio",
      parameters: [
        { name: "output_sample_rate", type: "int", description: "Rate in Hz", defaultValue: "44100" },
        { name: "quality", type: "str", description: "How well", required: true },
      ],
    },
    { nodeType: "PassThroughNode", category: "base", description: "Gives its input" },
  ],
}).availableNodes;

class Handlers {
  calls: string[] = [];

  constructor(readonly behaviour: FakeBehaviour) {}

  execution(): RemoteExecutionServiceServer {
    return {
      executeNode: (call, callback) => {
        this.calls.push("executeNode");
        try {
          const { request } = call;
          const response = this.behaviour.executeNode === undefined
            ? { status: ExecutionStatus.SUCCESS, outputData: request.inputData }
            : this.behaviour.executeNode(request, call);
          if (response !== undefined) callback(null, ExecuteNodeResponse.fromPartial(response));
        } catch (error) {
          callback(error as grpc.ServiceError); // The handlers throw nothing else.
        }
      },
      executeCustomTask: (call, callback) => {
        this.calls.push("executeCustomTask");
        try {
          const { request } = call;
          const response = this.behaviour.executeCustomTask === undefined
            ? { status: ExecutionStatus.SUCCESS, outputData: request.inputData }
            : this.behaviour.executeCustomTask(request, call);
          if (response !== undefined) callback(null, ExecuteCustomTaskResponse.fromPartial(response));
        } catch (error) {
          callback(error as grpc.ServiceError); // The handlers throw nothing else.
        }
      },
      listNodes: ({ request: { category } }, callback) => {
        this.calls.push("listNodes");
        const availableNodes = FAKE_NODES.filter((node) => category === "" || node.category === category);
        callback(null, { availableNodes });
      },
      getStatus: ({ request }, callback) => {
        this.calls.push("getStatus");
        const status = StatusResponse.fromPartial({
          status: ServiceStatus.HEALTHY,
          version: "1.2.3",
          uptimeSeconds: 3_725,
          metrics: request.includeMetrics ? { totalRequests: 7, availableWorkers: 4 } : undefined,
          activeSessions: request.includeSessions ? [{ sessionId: "s-1", nodeType: "AudioBuffer" }] : [],
        });
        callback(null, status);
      },
      streamNode: (call) => {
        this.calls.push("streamNode");
        this.behaviour.streamNode?.(call);
      },
      streamExecute: (call) => {
        this.calls.push("streamExecute");
        this.behaviour.streamExecute?.(call);
      },
      streamObject: (call) => {
        this.calls.push("streamObject");
        this.behaviour.streamObject?.(call);
      },
      executeObjectMethod: ({ request }, callback) => {
        this.calls.push("executeObjectMethod");
        try {
          callback(null, ExecuteObjectMethodResponse.fromPartial(this.behaviour.executeObjectMethod?.(request) ?? {}));
        } catch (error) {
          callback(error as grpc.ServiceError); // The handlers throw nothing else.
        }
      },
    };
  }

  watch(): grpc.UntypedServiceImplementation {
    return {
      watchCustomTask: (call: grpc.ServerWritableStream<ExecuteCustomTaskRequest, WatchCustomTaskResponse>) => {
        this.calls.push("watchCustomTask");
        this.behaviour.watchCustomTask?.(call);
      },
    };
  }

  health(): grpc.UntypedServiceImplementation {
    const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;
    return {
      check: (_call: unknown, callback: grpc.sendUnaryData<HealthCheckResponse>) => callback(null, { status: SERVING }),
      watch: (call: grpc.ServerWritableStream<unknown, HealthCheckResponse>) => {
        call.write({ status: SERVING });
        call.write({ status: NOT_SERVING });
      },
      list: () => {},
    };
  }
}
