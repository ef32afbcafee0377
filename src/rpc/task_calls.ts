/**
 * Calls that run a task: a node, or the entry point of a code package.
 * @module
 */

import type {
  ExecuteCustomTaskRequest,
  ExecuteCustomTaskResponse,
  ExecuteNodeRequest,
  ExecuteNodeResponse,
} from "../../protos/generated/execution.ts";
import type { ExecutionContext, ExecutionReport } from "../execution/executor.ts";
import type { ExecutionServiceOptions } from "./execution_service.ts";

type TaskServices = Pick<ExecutionServiceOptions, "executor" | "observer">;

/** Runs a node. @throws {ServiceError} what the call fails with */
export async function executeNode(
  request: ExecuteNodeRequest,
  of: ExecutionContext,
  { executor, observer }: TaskServices,
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
  return outcomeOf(report);
}

/** Runs an entry point, and tells its console meanwhile where somebody listens. @throws {ServiceError} what the call fails with */
export async function executeCustomTask(
  request: ExecuteCustomTaskRequest,
  of: ExecutionContext,
  { executor, observer }: TaskServices,
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
    ...outcomeOf(report),
    installedDeps: [...report.installed],
    stdout: report.stdout,
    stderr: report.stderr,
    failureReason: report.failureReason,
  };
}

function outcomeOf({ status, output, errorMessage, errorTraceback, metrics }: ExecutionReport): ExecuteNodeResponse {
  return { status, outputData: output, errorMessage, errorTraceback, metrics };
}
