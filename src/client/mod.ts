/**
 * The client library: programs hand tasks to the service through {@linkcode RemoteExecutionClient}.
 * @module
 */

export type {
  CallOptions,
  CodeInit,
  ConsoleText,
  ExecuteCustomTaskOptions,
  ExecuteNodeOptions,
  Inputs,
  StreamExecuteInit,
  StreamExecuteOptions,
  StreamNodeInit,
} from "./call_options.ts";
export { type Health, RemoteExecutionClient } from "./client.ts";
export { ExecutionError, PackageError, PayloadError, RpcError } from "./errors.ts";
export type { ExecutionStream } from "./execution_stream.ts";
export type { RequestedGrants, RequestedLimits } from "./execution_options.ts";
export type { ObjectSession } from "./object_session.ts";
export { ClientOptions, normalizeAddress, RetryOptions, TlsOptions } from "./options.ts";
export {
  type CodePackage,
  packageFiles,
  type PackageManifest,
  packagePath,
  type PackagePathOptions,
  readPackageFiles,
} from "./package.ts";
export { type ConfigValue, CustomTaskResult, ExecutionResult, ObjectResult, Output } from "./payload.ts";
export {
  audio,
  audioPair,
  Encoded,
  encoded,
  Exact,
  exact,
  float,
  frame,
  fromValue,
  type Input,
  type JsValue,
  type PlainValue,
  toValue,
} from "./values.ts";
export type { Format } from "../../workers/codecs/mod.ts";
export {
  type ExecutionMetrics,
  ExecutionOptions,
  ExecutionStatus,
  FailureReason,
  ServiceStatus,
} from "../../protos/generated/types.ts";
