/**
 * Calls that run the entry point of a code package.
 * @module
 */

import type { ExecuteCustomTaskRequest, ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import type { ExecutionContext } from "../execution/executor.ts";
import type { ExecutionServiceOptions } from "./execution_service.ts";

/** Runs an entry point, and tells its console meanwhile where somebody listens. @throws {ServiceError} what the call fails with */
export async function executeCustomTask(
  request: ExecuteCustomTaskRequest,
  of: ExecutionContext,
  { executor, observer }: Pick<ExecutionServiceOptions, "executor" | "observer">,
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
