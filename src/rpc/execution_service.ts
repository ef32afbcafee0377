/**
 * The handlers of `remotemedia.execution.RemoteExecutionService`.
 * @module
 */

import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import {
  ListNodesRequest,
  ListNodesResponse,
  RemoteExecutionServiceServer,
  RemoteExecutionServiceService,
  StatusRequest,
  StatusResponse,
} from "../../protos/generated/execution.ts";
import { ServiceStatus } from "../../protos/generated/types.ts";
import { type CallObserver, unary } from "./answered_calls.ts";
import { callerOf } from "./caller.ts";
import { ANONYMOUS } from "../execution/callers.ts";
import type { Executor } from "../execution/executor.ts";
import type { Load } from "../metrics/load_meter.ts";
import { SERVICE_VERSION } from "../version.ts";
import { executeObjectMethod } from "./object_calls.ts";
import type { OpenCalls } from "./open_calls.ts";
import { statusName, toGrpcError } from "./status.ts";
import { executeCustomTask, executeNode } from "./task_calls.ts";
import { Conversation, type ConversationContext, type Dialect } from "./streams/conversation.ts";
import { STREAM_EXECUTE, STREAM_NODE, STREAM_OBJECT } from "./streams/dialects.ts";
import { type FlowFinder, MessageStream } from "./streams/message_stream.ts";
import { MEGABYTE } from "../units.ts";

/** What the handlers work with. */
export interface ExecutionServiceOptions {
  readonly executor: Executor;
  readonly observer: CallObserver;
  /** CPU and memory of all processes. */
  readonly load: () => Load;
  readonly serviceStatus: () => ServiceStatus;
}

/** Builds the handlers. @param findFlow what the client of a connection has not taken yet */
export function executionService(
  options: ExecutionServiceOptions,
  openCalls: OpenCalls,
  findFlow: FlowFinder,
): RemoteExecutionServiceServer {
  const { executor, observer } = options;
  const context: ConversationContext = { executor, observer, openCalls };
  const watch = { observer, openCalls };
  const startedAt = performance.now();
  return {
    executeNode: unary("ExecuteNode", watch, (request, of) => executeNode(request, of, options)),
    listNodes: unary("ListNodes", watch, (request) => listNodes(request, executor)),
    getStatus: unary("GetStatus", watch, (request, { caller }) => getStatus(request, { caller, startedAt }, options)),
    executeCustomTask: unary(
      "ExecuteCustomTask",
      watch,
      (request, of) => executeCustomTask(request, of, options),
    ),
    executeObjectMethod: unary("ExecuteObjectMethod", watch, async (request, of) => {
      observer.bytesReceived(request.methodArgsData.length);
      const response = await executeObjectMethod(request, of, executor);
      observer.bytesSent(response.resultData.length);
      return response;
    }),
    streamExecute: streaming(STREAM_EXECUTE, context, findFlow),
    streamNode: streaming(STREAM_NODE, context, findFlow),
    streamObject: streaming(STREAM_OBJECT, context, findFlow),
  };
}

function listNodes({ category }: ListNodesRequest, executor: Executor): ListNodesResponse {
  const nodes = executor.nodes.filter((node) => category === "" || node.category === category);
  return {
    availableNodes: nodes.map(({ nodeType, category, description, parameters }) => ({
      nodeType,
      category,
      description,
      parameters: parameters.map((parameter) => ({ ...parameter })),
    })),
  };
}

function getStatus(
  { includeMetrics, includeSessions }: StatusRequest,
  { caller, startedAt }: { readonly caller: string; readonly startedAt: number },
  { executor, load, serviceStatus }: ExecutionServiceOptions,
): StatusResponse {
  const { busy, available } = executor.load;
  const totals = executor.totals;
  const usage = load();
  return {
    status: serviceStatus(),
    version: SERVICE_VERSION,
    versionInfo: {
      serviceVersion: SERVICE_VERSION,
      sdkVersion: "",
      protocolVersion: "",
      pythonVersion: executor.pythonVersions.join(", "),
      buildTimestamp: "",
      gitCommit: "",
    },
    uptimeSeconds: Math.floor((performance.now() - startedAt) / 1_000),
    // Callers that have a name see their own.
    activeSessions: includeSessions ? executor.sessions.list(caller === ANONYMOUS ? undefined : caller) : [],
    metrics: includeMetrics
      ? {
        totalRequests: totals.total,
        successfulRequests: totals.succeeded,
        failedRequests: totals.failed,
        averageDurationMs: Math.round(totals.averageDurationMs),
        peakMemoryMb: Math.round(usage.peakResidentBytes / MEGABYTE),
        activeSessions: executor.sessions.size,
        availableWorkers: available,
        busyWorkers: busy,
        cpuUsagePercent: usage.cpuPercent,
        memoryUsagePercent: usage.memoryPercent,
      }
      : undefined,
  };
}

/** Wraps a conversation: who calls, and what of the call's answers is unread. */
function streaming<Request, Response>(
  dialect: Dialect<Request>,
  context: ConversationContext,
  findFlow: FlowFinder,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    // Answers are encoded by the conversation; see `serviceDefinition`.
    const encoded = call as unknown as ServerDuplexStream<Request, Uint8Array>;
    try {
      const stream = new MessageStream(encoded, findFlow);
      Conversation.hold(context, dialect, { call, stream, caller: callerOf(call) });
    } catch (error) {
      const failure = toGrpcError(error, dialect.method);
      context.observer.requestEnded(dialect.method, statusName(failure.code ?? status.UNKNOWN));
      call.emit("error", failure);
    }
  };
}

/**
 * The service as grpc-js takes it: answers of streams are encoded before they are handed over, so that their length is
 * known.
 */
export const serviceDefinition: typeof RemoteExecutionServiceService = {
  ...RemoteExecutionServiceService,
  streamExecute: { ...RemoteExecutionServiceService.streamExecute, responseSerialize: asBuffer },
  streamNode: { ...RemoteExecutionServiceService.streamNode, responseSerialize: asBuffer },
  streamObject: { ...RemoteExecutionServiceService.streamObject, responseSerialize: asBuffer },
};

function asBuffer(message: unknown): Buffer {
  const { buffer, byteOffset, byteLength } = message as Uint8Array; // written by conversations alone
  return Buffer.from(buffer, byteOffset, byteLength);
}
