/**
 * The client.
 * @module
 */

import { Metadata, type ServiceError as GrpcError, status as GrpcStatus } from "@grpc/grpc-js";
import { type CodecLimits, DEFAULT_LIMITS } from "../../workers/codecs/mod.ts";
import {
  type ExecuteCustomTaskRequest,
  type ExecuteCustomTaskResponse,
  type ExecuteNodeResponse,
  type ExecuteObjectMethodResponse,
  type ListNodesResponse,
  type NodeInfo,
  RemoteExecutionServiceClient,
  type StatusResponse,
  type StreamData,
} from "../../protos/generated/execution.ts";
import {
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthClient,
} from "../../protos/generated/grpc/health/v1/health.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import { WatchServiceClient } from "../../protos/generated/watch.ts";
import { mendGrpc } from "./mend_grpc.ts";
import { type CallContext, messagesOf, type StartUnary, unary } from "./call.ts";
import type {
  CallOptions,
  CodeInit,
  ExecuteCustomTaskOptions,
  ExecuteNodeOptions,
  Inputs,
  StreamExecuteInit,
  StreamExecuteOptions,
  StreamNodeInit,
} from "./call_options.ts";
import { ExecutionError, isGrpcError, RpcError } from "./errors.ts";
import { exchange } from "./exchange.ts";
import { ExecutionStream } from "./execution_stream.ts";
import { toExecutionOptions } from "./execution_options.ts";
import { type ObjectCalls, ObjectSession, streamNewObject } from "./object_session.ts";
import {
  ClientOptions,
  type CompleteClientOptions,
  normalizeAddress,
  toChannelOptions,
  toCredentials,
} from "./options.ts";
import { CustomTaskResult, encodeInput, ExecutionResult, Output, toConfig } from "./payload.ts";
import { withRetries } from "./retry.ts";
import { tellConsole, watchTask } from "./task_watch.ts";
import type { Input } from "./values.ts";

/** What {@linkcode RemoteExecutionClient.checkHealth} answers. */
export type Health = "SERVING" | "NOT_SERVING" | "UNKNOWN" | "SERVICE_UNKNOWN";

/**
 * A connection to the service, made when it is first needed and again when it broke. Free of state otherwise: any
 * number of calls may be under way at once. Whoever makes it closes it.
 *
 * Every method rejects with {@linkcode RpcError} when the call fails and with the signal's reason when it is aborted.
 *
 * @example
 * ```ts ignore
 * using client = new RemoteExecutionClient("localhost:50051");
 * const { value } = await client.executeNode("CalculatorNode", { operation: "add", args: [1, 2] });
 * ```
 */
export class RemoteExecutionClient implements Disposable {
  /** Where the service is. */
  readonly address: string;
  readonly #options: CompleteClientOptions;
  readonly #service: RemoteExecutionServiceClient;
  readonly #watch: WatchServiceClient;
  readonly #health: HealthClient;
  readonly #metadata = new Metadata();
  readonly #limits: CodecLimits;

  /**
   * @param address `host`, `host:port`, or `unix:path`; the port is 50051 when absent
   * @throws {RangeError} for an address that is none
   * @throws {z.ZodError} for options that are out of range
   */
  constructor(address: string, options: ClientOptions = {}) {
    this.address = normalizeAddress(address);
    this.#options = ClientOptions.parse(options);
    const { tls, token, maxMessageBytes } = this.#options;
    mendGrpc();
    this.#service = new RemoteExecutionServiceClient(this.address, toCredentials(tls), toChannelOptions(this.#options));
    const shared = { channelOverride: this.#service.getChannel() };
    this.#watch = new WatchServiceClient(this.address, toCredentials(tls), shared);
    this.#health = new HealthClient(this.address, toCredentials(tls), shared);
    if (token !== undefined) this.#metadata.set("authorization", `Bearer ${token}`);
    this.#limits = { ...DEFAULT_LIMITS, maxOutputBytes: maxMessageBytes };
  }

  /**
   * Runs a node on one input.
   *
   * @param input A value of JavaScript (see `toValue`), or `encoded(bytes)` in the call's format
   * @throws {ExecutionError} when the execution ended with another status than SUCCESS
   * @throws {PayloadError} for an input that cannot be encoded
   * @throws {RangeError} for limits that are no whole numbers
   * @throws {TypeError} for parameters that cannot be written
   */
  async executeNode(nodeType: string, input: Input, options: ExecuteNodeOptions = {}): Promise<ExecutionResult> {
    const { format = "pickle", config = {}, idempotent = true } = options;
    const request = {
      nodeType,
      config: toConfig(config),
      inputData: encodeInput(input, format, this.#limits),
      serializationFormat: format,
      options: toExecutionOptions(options.options),
    };
    const response = await this.#call<ExecuteNodeResponse>(
      "ExecuteNode",
      (call, callback) => this.#service.executeNode(request, this.#metadata, call, callback),
      { ...options, idempotent },
    );
    if (response.status !== ExecutionStatus.SUCCESS) throw new ExecutionError(response);
    return new ExecutionResult(response.outputData, format, this.#limits, response.metrics);
  }

  /**
   * Runs an entry point of a code package (see `packagePath` and `packageFiles`) on one input.
   *
   * Unless the caller says that it is idempotent, it is made again only where the service was full and did not run it.
   *
   * The code computes and no more, unless `options` asks for the network, a scratch folder or environment variables and
   * the service's policy grants them.
   *
   * @example
   * ```ts ignore
   * const result = await client.executeCustomTask(await packagePath("report.ts"), {
   *   options: { timeoutSeconds: 60, enableNetworking: true, networkHosts: ["api.example.com:443"] },
   * });
   * ```
   *
   * @param codePackage A zip, or the text of a single TypeScript or JavaScript module
   * @throws {ExecutionError} when the execution ended with another status than SUCCESS, with what the code wrote until then
   * @throws {RpcError} PERMISSION_DENIED when the policy does not grant what `options` asks for
   * @throws {PayloadError} for an input that cannot be encoded
   * @throws {RangeError} for limits that are no whole numbers
   */
  async executeCustomTask(
    codePackage: Uint8Array,
    options: ExecuteCustomTaskOptions = {},
  ): Promise<CustomTaskResult> {
    const { entryPoint = "", input = null, format = "pickle", dependencies = [], idempotent = false } = options;
    const request = {
      codePackage,
      entryPoint,
      inputData: encodeInput(input, format, this.#limits),
      serializationFormat: format,
      dependencies: [...dependencies],
      options: toExecutionOptions(options.options),
    };
    const response = await this.#executeCustomTask(request, { ...options, idempotent });
    if (response.status !== ExecutionStatus.SUCCESS) throw new ExecutionError(response);
    return new CustomTaskResult(response, format, this.#limits);
  }

  async #executeCustomTask(
    request: ExecuteCustomTaskRequest,
    { onConsole, ...options }: Pick<ExecuteCustomTaskOptions, "onConsole" | "signal" | "timeoutMs" | "idempotent">,
  ): Promise<ExecuteCustomTaskResponse> {
    if (onConsole !== undefined) {
      try {
        return await this.#attempt("WatchCustomTask", options, ({ deadline, signal }) => {
          const call = this.#watch.watchCustomTask(request, this.#metadata, { deadline });
          return watchTask(messagesOf(call, signal), onConsole);
        });
      } catch (error) {
        if (!(error instanceof RpcError && error.code === GrpcStatus.UNIMPLEMENTED)) throw error;
      }
    }
    const response = await this.#call<ExecuteCustomTaskResponse>(
      "ExecuteCustomTask",
      (call, callback) => this.#service.executeCustomTask(request, this.#metadata, call, callback),
      options,
    );
    tellConsole(response, onConsole);
    return response;
  }

  /** The nodes that the service has, all or those of one category. */
  async listNodes({ category = "", ...options }: CallOptions & { category?: string | undefined } = {}): Promise<
    NodeInfo[]
  > {
    const { availableNodes } = await this.#call<ListNodesResponse>(
      "ListNodes",
      (call, callback) => this.#service.listNodes({ category }, this.#metadata, call, callback),
      options,
    );
    return availableNodes;
  }

  /** How the service is doing; metrics are in unless refused, sessions when asked for. */
  getStatus(
    { includeMetrics = true, includeSessions = false, ...options }: CallOptions & {
      includeMetrics?: boolean | undefined;
      includeSessions?: boolean | undefined;
    } = {},
  ): Promise<StatusResponse> {
    const request = { includeMetrics, includeSessions };
    return this.#call<StatusResponse>(
      "GetStatus",
      (call, callback) => this.#service.getStatus(request, this.#metadata, call, callback),
      options,
    );
  }

  /** Whether a service of the server takes calls; the server as a whole when none is named. */
  async checkHealth(
    { service = "", ...options }: CallOptions & { service?: string | undefined } = {},
  ): Promise<Health> {
    const { status } = await this.#call<HealthCheckResponse>(
      "Health.Check",
      (call, callback) => this.#health.check({ service }, this.#metadata, call, callback),
      options,
    );
    return toHealth(status);
  }

  /** The health of a service now and at every change, until the iteration is left or the signal aborts. */
  async *watchHealth(
    { service = "", signal, timeoutMs }: CallOptions & { service?: string | undefined } = {},
  ): AsyncGenerator<Health, void, void> {
    const call = this.#health.watch({ service }, this.#metadata, toDeadline(timeoutMs));
    try {
      for await (const { status } of messagesOf(call, signal)) yield toHealth(status);
    } catch (error) {
      throw this.#toRpcError("Health.Watch", error);
    }
  }

  /**
   * Runs a node on a stream of inputs, and yields its outputs as they come. Inputs are taken from `inputs` only as fast
   * as the stream takes them, outputs from the service only as fast as they are asked for. When `inputs` ends the node
   * is flushed. Leaving the iteration cancels the stream, and asks `inputs` to return.
   *
   * {@linkcode streamExecute} does the same with limits, metrics and user code.
   *
   * @throws {ExecutionError} when the node failed or does not exist
   * @throws whatever `inputs` throws
   */
  async *streamNode(
    init: StreamNodeInit,
    inputs: Inputs,
    { signal, timeoutMs }: CallOptions = {},
  ): AsyncGenerator<Output, void, void> {
    const { format = "pickle" } = init;
    const open = () => this.#service.streamNode(this.#metadata, toDeadline(timeoutMs));
    const toError = (error: unknown) => this.#toRpcError("StreamNode", error);
    const sizeOf = ({ payload }: StreamData) => payload?.$case === "data" ? payload.value.length : 0;
    const exchanged = exchange(open, this.#streamMessages(init, inputs), { signal, toError, sizeOf });
    for await (const { payload, errorMessage } of exchanged) {
      if (errorMessage !== "") throw new ExecutionError({ status: ExecutionStatus.ERROR, errorMessage });
      if (payload?.$case === "data") yield new Output(payload.value, format, this.#limits);
    }
  }

  /**
   * Runs a node, or user code, on a stream of inputs. The answer is iterated for the outputs, each with its metrics, and
   * has the metrics of the whole in `totals` afterwards. How fast it goes and how it ends is as with
   * {@linkcode streamNode}.
   *
   * @example
   * ```ts ignore
   * const stream = client.streamExecute({ nodeType: "VoiceActivityDetector" }, chunks);
   * for await (const { value, metrics } of stream) console.log(value, metrics?.durationMs);
   * console.log(stream.totals?.cpuTimeMs);
   * ```
   *
   * The iteration rejects with {@linkcode ExecutionError} when the node or the code failed or does not exist, with what
   * the code wrote since it was last told of, and with whatever `inputs` throws.
   *
   * @throws {RangeError} for limits that are no whole numbers
   * @throws {TypeError} for parameters that cannot be written
   */
  streamExecute(
    init: StreamExecuteInit,
    inputs: Inputs,
    { signal, timeoutMs, onConsole }: StreamExecuteOptions = {},
  ): ExecutionStream {
    return new ExecutionStream(init, inputs, {
      open: () => this.#service.streamExecute(this.#metadata, toDeadline(timeoutMs)),
      toError: (error) => this.#toRpcError("StreamExecute", error),
      limits: this.#limits,
      signal,
      onConsole,
    });
  }

  /**
   * An object of user code that lives in the service, and keeps its state from call to call until it is closed. The first
   * call makes it, and rejects where it cannot be made.
   *
   * @param codePackage Exports a class, which is made with `config`, or an object
   * @throws {RangeError} for limits that are no whole numbers
   * @throws {TypeError} for parameters that cannot be written
   */
  openObject(codePackage: Uint8Array, init: Omit<CodeInit, "codePackage"> = {}): ObjectSession {
    return new ObjectSession({ ...init, codePackage }, this.#objectCalls);
  }

  /** Gives a stream of inputs to the `process` of an object that is made for it, and ends with it. */
  streamObject(init: CodeInit, inputs: Inputs, options: CallOptions = {}): AsyncGenerator<Output, void, void> {
    return streamNewObject(init, { inputs, calls: this.#objectCalls }, options);
  }

  /** Closes the connection; calls under way fail with CANCELLED. Closing twice is closing once. */
  close(): void {
    // All three clients share the channel.
    this.#service.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *#streamMessages(
    { nodeType, config = {}, format = "pickle" }: StreamNodeInit,
    inputs: Inputs,
  ): AsyncGenerator<StreamData, void, void> {
    const init = { nodeType, config: toConfig(config), serializationFormat: format };
    yield { payload: { $case: "init", value: init }, errorMessage: "" };
    for await (const input of inputs) {
      yield { payload: { $case: "data", value: encodeInput(input, format, this.#limits) }, errorMessage: "" };
    }
  }

  get #objectCalls(): ObjectCalls {
    return {
      execute: (request, options) =>
        this.#call<ExecuteObjectMethodResponse>(
          "ExecuteObjectMethod",
          (call, callback) => this.#service.executeObjectMethod(request, this.#metadata, call, callback),
          { ...options, idempotent: false }, // It may have changed the object.
        ),
      openStream: (timeoutMs) => this.#service.streamObject(this.#metadata, toDeadline(timeoutMs)),
      toError: (error) => this.#toRpcError("StreamObject", error),
      limits: this.#limits,
    };
  }

  #call<Response>(method: string, start: StartUnary<Response>, options: AttemptOptions): Promise<Response> {
    return this.#attempt(method, options, (context) => unary(start, context));
  }

  #attempt<Response>(
    method: string,
    { signal, timeoutMs = this.#options.timeoutMs, idempotent = true }: AttemptOptions,
    attempt: (context: CallContext) => Promise<Response>,
  ): Promise<Response> {
    const deadline = Date.now() + timeoutMs;
    return withRetries(
      () => attempt({ deadline, signal }),
      { ...this.#options.retry, idempotent, deadline, signal },
      (error, attempts) => this.#rpcError(method, error, attempts),
    );
  }

  #rpcError(method: string, error: GrpcError, attempts: number): RpcError {
    return new RpcError(error, { method, address: this.address, attempts });
  }

  #toRpcError(method: string, error: unknown): unknown {
    return isGrpcError(error) ? this.#rpcError(method, error, 1) : error;
  }
}

/** How often and how long a call is made. */
type AttemptOptions = CallOptions & { readonly idempotent?: boolean | undefined };

function toDeadline(timeoutMs: number | undefined): { deadline?: number } {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

function toHealth(status: ServingStatus): Health {
  switch (status) {
    case ServingStatus.SERVING:
      return "SERVING";
    case ServingStatus.NOT_SERVING:
      return "NOT_SERVING";
    case ServingStatus.SERVICE_UNKNOWN:
      return "SERVICE_UNKNOWN";
    case ServingStatus.UNKNOWN:
    case ServingStatus.UNRECOGNIZED:
      return "UNKNOWN";
  }
}
