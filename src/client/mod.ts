/**
 * The client library: programs hand tasks to the service through {@linkcode RemoteExecutionClient}.
 * @module
 */

export {
  type CallOptions,
  type ExecuteNodeOptions,
  type Health,
  RemoteExecutionClient,
  type StreamNodeInit,
} from "./client.ts";
export { ExecutionError, PayloadError, RpcError } from "./errors.ts";
export { ClientOptions, normalizeAddress, RetryOptions, TlsOptions } from "./options.ts";
export { type ConfigValue, ExecutionResult, Output } from "./payload.ts";
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
  ServiceStatus,
} from "../../protos/generated/types.ts";
