/**
 * The handlers of `remotemedia.execution.RemoteExecutionService`.
 * @module
 */

import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
} from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import type { EventEmitter } from "node:events";
import {
  type ExecuteCustomTaskRequest,
  ExecuteCustomTaskResponse,
  ExecuteNodeRequest,
  ExecuteNodeResponse,
  ListNodesRequest,
  ListNodesResponse,
  RemoteExecutionServiceServer,
  RemoteExecutionServiceService,
  StatusRequest,
  StatusResponse,
  type WatchCustomTaskResponse,
} from "../../protos/generated/execution.ts";
import { ServiceStatus } from "../../protos/generated/types.ts";
import type { AuditEventName } from "../execution/audit.ts";
import { ServiceError } from "../errors.ts";
import { callerOf } from "./caller.ts";
import { ConsoleFeed } from "./console_feed.ts";
import { ANONYMOUS } from "../execution/callers.ts";
import type { ExecutionContext, Executor } from "../execution/executor.ts";
import type { Load } from "../metrics/load_meter.ts";
import { SERVICE_VERSION } from "../version.ts";
import { executeObjectMethod } from "./object_calls.ts";
import type { OpenCalls } from "./open_calls.ts";
import { statusName, toGrpcError } from "./status.ts";
import { Conversation, type ConversationContext, type Dialect } from "./streams/conversation.ts";
import { STREAM_EXECUTE, STREAM_NODE, STREAM_OBJECT } from "./streams/dialects.ts";
import { type FlowFinder, MessageStream } from "./streams/message_stream.ts";
import { MEGABYTE } from "../units.ts";

/** Who counts calls. */
export interface CallObserver {
  requestEnded(method: string, status: string): void;
  bytesReceived(count: number): void;
  bytesSent(count: number): void;
  /** Something was refused; see the audit. */
  audited(event: AuditEventName): void;
}

/** What the handlers work with. */
export interface ExecutionServiceOptions {
  readonly executor: Executor;
  readonly observer: CallObserver;
  /** CPU and memory of all processes. */
  readonly load: () => Load;
  readonly serviceStatus: () => ServiceStatus;
}

/** Who sees what happens to calls. */
interface CallWatch {
  readonly observer: CallObserver;
  readonly openCalls: OpenCalls;
}

/** Whose call a handler works on, and for how long. */
interface CallContext {
  /** Aborts when the caller cancels or goes away. */
  readonly signal: AbortSignal;
  readonly caller: string;
}

/** Builds the handlers. @param findFlow what the client of a connection has not taken yet */
export function executionService(
  options: ExecutionServiceOptions,
  openCalls: OpenCalls,
  findFlow: FlowFinder,
): RemoteExecutionServiceServer {
  const { executor, observer } = options;
  const context: ConversationContext = { executor, observer, openCalls };
  const watch: CallWatch = { observer, openCalls };
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
    watchCustomTask: watching(watch, (request, of) => executeCustomTask(request, of, options)),
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

async function executeNode(
  request: ExecuteNodeRequest,
  of: CallContext,
  { executor, observer }: ExecutionServiceOptions,
): Promise<ExecuteNodeResponse> {
  const { nodeType, config, inputData, serializationFormat, options } = request;
  observer.bytesReceived(inputData.length);
  const report = await executor.executeNode({
    nodeType,
    config: new Map(Object.entries(config)),
    input: inputData,
    format: serializationFormat,
    options,
  }, of);
  observer.bytesSent(report.output.length);
  return {
    status: report.status,
    outputData: report.output,
    errorMessage: report.errorMessage,
    errorTraceback: report.errorTraceback,
    metrics: report.metrics,
  };
}

async function executeCustomTask(
  request: ExecuteCustomTaskRequest,
  of: ExecutionContext,
  { executor, observer }: ExecutionServiceOptions,
): Promise<ExecuteCustomTaskResponse> {
  const { codePackage, entryPoint, inputData, serializationFormat, dependencies, options } = request;
  observer.bytesReceived(codePackage.length + inputData.length);
  const report = await executor.executeCustomTask({
    codePackage,
    entryPoint,
    input: inputData,
    format: serializationFormat,
    dependencies,
    options,
  }, of);
  observer.bytesSent(report.output.length);
  return {
    status: report.status,
    outputData: report.output,
    errorMessage: report.errorMessage,
    errorTraceback: report.errorTraceback,
    metrics: report.metrics,
    installedDeps: [...report.installed],
    stdout: report.stdout,
    stderr: report.stderr,
    failureReason: report.failureReason,
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

/** Wraps a handler of one request and one response. */
function unary<Request, Response>(
  method: string,
  watch: CallWatch,
  handle: (request: Request, of: CallContext) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => void answer(method, watch, { call, reply: callback, handle });
}

/** Wraps the handler of a task whose console goes out while it runs. */
function watching(
  watch: CallWatch,
  handle: (request: ExecuteCustomTaskRequest, of: ExecutionContext) => Promise<ExecuteCustomTaskResponse>,
): handleServerStreamingCall<ExecuteCustomTaskRequest, WatchCustomTaskResponse> {
  return async (call) => {
    const send = (event: WatchCustomTaskResponse["event"]) => void call.write({ event });
    using feed = new ConsoleFeed((output) => send({ $case: "console", value: output }));
    await answer("WatchCustomTask", watch, {
      call,
      handle: (request, of) => handle(request, { ...of, onConsole: (text) => feed.add(text) }),
      reply(failure, response) {
        if (failure !== null) return void call.emit("error", failure);
        feed.flush();
        if (response) send({ $case: "response", value: response });
        call.end();
      },
    });
  };
}

/** A call that is answered once. */
interface AnsweredCall<Request, Response> {
  readonly call: EventEmitter & Pick<ServerUnaryCall<Request, Response>, "request" | "metadata">;
  readonly handle: (request: Request, of: CallContext) => Response | Promise<Response>;
  readonly reply: sendUnaryData<Response>;
}

/** Answers a call: cancellation as a signal, errors as statuses, every call counted once. */
async function answer<Request, Response>(
  method: string,
  { observer, openCalls }: CallWatch,
  { call, handle, reply }: AnsweredCall<Request, Response>,
): Promise<void> {
  const controller = new AbortController();
  openCalls.add(call);
  let answered = false;
  call.on("cancelled", () => {
    // grpc-js also says so when the stream of an answered call closes.
    if (answered) return;
    controller.abort(
      new ServiceError("CANCELLED", `Cannot finish ${method}: the caller cancelled or its deadline passed`),
    );
  });
  try {
    const response = await handle(call.request, { signal: controller.signal, caller: callerOf(call) });
    answered = true;
    observer.requestEnded(method, controller.signal.aborted ? "CANCELLED" : "OK");
    reply(null, response);
  } catch (error) {
    answered = true;
    const failure = toGrpcError(error, method);
    observer.requestEnded(method, statusName(failure.code ?? status.UNKNOWN));
    reply(failure, null);
  }
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
