/**
 * The handlers of `remotemedia.execution.RemoteExecutionService`.
 * @module
 */

import type { handleBidiStreamingCall, handleUnaryCall, sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import type {
  ExecuteCustomTaskRequest,
  ExecuteCustomTaskResponse,
  ExecuteNodeRequest,
  ExecuteNodeResponse,
  ListNodesRequest,
  ListNodesResponse,
  RemoteExecutionServiceServer,
  StatusRequest,
  StatusResponse,
} from "../../protos/generated/execution.ts";
import { ServiceStatus } from "../../protos/generated/types.ts";
import type { AuditEventName } from "../execution/audit.ts";
import { ServiceError } from "../errors.ts";
import { callerOf } from "./caller.ts";
import type { Executor } from "../execution/executor.ts";
import type { Load } from "../metrics/load_meter.ts";
import { SERVICE_VERSION } from "../version.ts";
import type { OpenCalls } from "./open_calls.ts";
import { statusName, toGrpcError } from "./status.ts";
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

/** Builds the handlers. */
export function executionService(
  options: ExecutionServiceOptions,
  openCalls: OpenCalls,
): RemoteExecutionServiceServer {
  const { executor, observer } = options;
  const watch: CallWatch = { observer, openCalls };
  const startedAt = performance.now();
  return {
    executeNode: unary("ExecuteNode", watch, (request, of) => executeNode(request, of, options)),
    listNodes: unary("ListNodes", watch, (request) => listNodes(request, executor)),
    getStatus: unary("GetStatus", watch, (request) => getStatus(request, startedAt, options)),
    executeCustomTask: unary(
      "ExecuteCustomTask",
      watch,
      (request, of) => executeCustomTask(request, of, options),
    ),
    executeObjectMethod: unimplementedUnary("ExecuteObjectMethod", "sessions of objects are not kept yet", watch),
    streamExecute: unimplementedStream("StreamExecute", "streams are not run yet", observer),
    streamNode: unimplementedStream("StreamNode", "streams are not run yet", observer),
    streamObject: unimplementedStream("StreamObject", "sessions of objects are not kept yet", observer),
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
  of: CallContext,
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
    installedDeps: [],
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
  { includeMetrics }: StatusRequest,
  startedAt: number,
  { executor, load, serviceStatus }: ExecutionServiceOptions,
): StatusResponse {
  const { busy, available } = executor.load;
  const totals = executor.totals;
  const usage = load();
  return {
    status: serviceStatus(),
    version: SERVICE_VERSION,
    uptimeSeconds: Math.floor((performance.now() - startedAt) / 1_000),
    activeSessions: [],
    metrics: includeMetrics
      ? {
        totalRequests: totals.total,
        successfulRequests: totals.succeeded,
        failedRequests: totals.failed,
        averageDurationMs: Math.round(totals.averageDurationMs),
        peakMemoryMb: Math.round(usage.peakResidentBytes / MEGABYTE),
        activeSessions: 0,
        availableWorkers: available,
        busyWorkers: busy,
        cpuUsagePercent: usage.cpuPercent,
        memoryUsagePercent: usage.memoryPercent,
      }
      : undefined,
  };
}

/** Wraps a handler: cancellation as a signal, errors as statuses, every call counted once. */
function unary<Request, Response>(
  method: string,
  { observer, openCalls }: CallWatch,
  handle: (request: Request, of: CallContext) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
    void answer(call, callback);
  };

  async function answer(call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>): Promise<void> {
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
      callback(null, response);
    } catch (error) {
      answered = true;
      const failure = toGrpcError(error, method);
      observer.requestEnded(method, statusName(failure.code ?? status.UNKNOWN));
      callback(failure, null);
    }
  }
}

function unimplementedUnary<Request, Response>(
  method: string,
  reason: string,
  watch: CallWatch,
): handleUnaryCall<Request, Response> {
  return unary(method, watch, () => refuse(method, reason));
}

function unimplementedStream<Request, Response>(
  method: string,
  reason: string,
  observer: CallObserver,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    observer.requestEnded(method, statusName(status.UNIMPLEMENTED));
    try {
      refuse(method, reason);
    } catch (error) {
      call.emit("error", toGrpcError(error, method));
    }
  };
}

function refuse(method: string, reason: string): never {
  throw new ServiceError(
    "UNIMPLEMENTED",
    `Cannot run ${method}: ${reason} by version ${SERVICE_VERSION} of this service`,
  );
}
