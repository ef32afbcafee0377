/**
 * An object of user code that lives in the service.
 * @module
 */

import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { CodecLimits, Format } from "../../workers/codecs/mod.ts";
import {
  ExecuteObjectMethodRequest,
  type ExecuteObjectMethodResponse,
  type StreamObjectInit,
  type StreamObjectRequest,
  type StreamObjectResponse,
} from "../../protos/generated/execution.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";
import type { CallOptions, CodeInit, Inputs } from "./call_options.ts";
import { ExecutionError } from "./errors.ts";
import { exchange } from "./exchange.ts";
import { toExecutionOptions } from "./execution_options.ts";
import { encodeInput, ObjectResult, Output, toConfig } from "./payload.ts";
import type { PlainValue } from "./values.ts";

/** The two methods of the service that objects need, and what goes with them. */
export interface ObjectCalls {
  readonly execute: (
    request: ExecuteObjectMethodRequest,
    options: CallOptions,
  ) => Promise<ExecuteObjectMethodResponse>;
  readonly openStream: (timeoutMs: number | undefined) => ClientDuplexStream<StreamObjectRequest, StreamObjectResponse>;
  /** What to throw for an error of a stream. */
  readonly toError: (error: unknown) => unknown;
  readonly limits: CodecLimits;
}

/**
 * An object that keeps its state from call to call, until it is closed or the service's limits of idle time and age end
 * it. Made by {@linkcode RemoteExecutionClient.openObject}; whoever opens it closes it.
 *
 * Calls of one object run one after the other, in the order in which they were made. None is made again by itself.
 *
 * Every method rejects with {@linkcode ExecutionError} when the object failed or its session is gone.
 *
 * @example
 * ```ts ignore
 * await using counter = await client.openObject(await packagePath("counter.ts"), { config: { start: 5 } });
 * const { value } = await counter.call("add", 1);
 * ```
 */
export class ObjectSession implements AsyncDisposable {
  readonly #calls: ObjectCalls;
  #closed: Promise<void> | undefined;

  private constructor(
    /** Name of the session. */
    readonly sessionId: string,
    /** Format of arguments and results. */
    readonly format: Format,
    calls: ObjectCalls,
  ) {
    this.#calls = calls;
  }

  /** Makes the object in a session of its own. */
  static async open(init: CodeInit, calls: ObjectCalls, options: CallOptions): Promise<ObjectSession> {
    const { codePackage, entryPoint = "", config = {}, format = "pickle" } = init;
    const request = ExecuteObjectMethodRequest.fromPartial({
      objectSpecifier: { $case: "codePackage", value: codePackage },
      config: toConfig(config),
      serializationFormat: format,
      entryPoint,
      options: toExecutionOptions(init.options),
    });
    const response = await calls.execute(request, options);
    if (response.status !== ExecutionStatus.SUCCESS) throw new ExecutionError(response);
    return new ObjectSession(response.sessionId, format, calls);
  }

  /**
   * Calls a public method.
   * @throws {PayloadError} for arguments that cannot be encoded
   */
  call(method: string, ...args: readonly PlainValue[]): Promise<ObjectResult> {
    return this.callWith({}, method, ...args);
  }

  /** The same, with a signal or a time. */
  async callWith(options: CallOptions, method: string, ...args: readonly PlainValue[]): Promise<ObjectResult> {
    const { format } = this;
    const { limits } = this.#calls;
    const methodArgsData = encodeInput(args, format, limits);
    return new ObjectResult(await this.#execute({ methodName: method, methodArgsData }, options), format, limits);
  }

  /**
   * Gives a stream of inputs to the object's `process`, and yields its outputs as they come; see
   * {@linkcode RemoteExecutionClient.streamNode} for how fast, and for how it ends. The object outlives the stream.
   */
  stream(inputs: Inputs, options: CallOptions = {}): AsyncGenerator<Output, void, void> {
    const init = {
      objectSpecifier: { $case: "sessionId", value: this.sessionId },
      config: {},
      serializationFormat: this.format,
      entryPoint: "",
      options: undefined,
    } as const;
    return streamObject(init, { inputs, format: this.format, calls: this.#calls }, options);
  }

  /** Closes the session, which cleans up the object. Closing twice is closing once. */
  close(options: CallOptions = {}): Promise<void> {
    return this.#closed ??= this.#execute({ close: true }, options).then(() => {});
  }

  /** Closes the session; one that is gone already is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch((error: unknown) => {
      if (!(error instanceof ExecutionError)) throw error;
    });
  }

  async #execute(
    request: { methodName?: string; methodArgsData?: Uint8Array; close?: boolean },
    options: CallOptions,
  ): Promise<ExecuteObjectMethodResponse> {
    const response = await this.#calls.execute(
      ExecuteObjectMethodRequest.fromPartial({
        objectSpecifier: { $case: "sessionId", value: this.sessionId },
        serializationFormat: this.format,
        ...request,
      }),
      options,
    );
    if (response.status !== ExecutionStatus.SUCCESS) throw new ExecutionError(response);
    return response;
  }
}

/** A stream through an object that is made for it, and ends with it. */
export function streamNewObject(
  init: CodeInit,
  { inputs, calls }: { inputs: Inputs; calls: ObjectCalls },
  options: CallOptions,
): AsyncGenerator<Output, void, void> {
  const { codePackage, entryPoint = "", config = {}, format = "pickle" } = init;
  const request = {
    objectSpecifier: { $case: "codePackage", value: codePackage },
    config: toConfig(config),
    serializationFormat: format,
    entryPoint,
    options: toExecutionOptions(init.options),
  } as const;
  return streamObject(request, { inputs, format, calls }, options);
}

async function* streamObject(
  init: StreamObjectInit,
  { inputs, format, calls }: { inputs: Inputs; format: Format; calls: ObjectCalls },
  { signal, timeoutMs }: CallOptions,
): AsyncGenerator<Output, void, void> {
  async function* requests(): AsyncGenerator<StreamObjectRequest, void, void> {
    yield { payload: { $case: "init", value: init } };
    for await (const input of inputs) {
      yield { payload: { $case: "data", value: encodeInput(input, format, calls.limits) } };
    }
  }
  const exchanged = exchange(() => calls.openStream(timeoutMs), requests(), {
    signal,
    toError: calls.toError,
    sizeOf: ({ payload }) => payload?.$case === "data" ? payload.value.length : 0,
  });
  for await (const { payload } of exchanged) {
    if (payload?.$case === "error") {
      throw new ExecutionError({ status: ExecutionStatus.ERROR, errorMessage: payload.value });
    }
    if (payload?.$case === "data") yield new Output(payload.value, format, calls.limits);
  }
}
