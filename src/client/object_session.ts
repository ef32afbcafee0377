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
 * The first call makes the object; calls that are made meanwhile wait for it. Calls of one object run one after the other.
 * None is made again by itself, for it may have changed the object.
 *
 * Every method rejects with {@linkcode ExecutionError} when the object failed or its session is gone.
 *
 * @example
 * ```ts ignore
 * await using counter = client.openObject(await packagePath("counter.ts"), { config: { start: 5 } });
 * const { value } = await counter.call("add", 1);
 * ```
 */
export class ObjectSession implements AsyncDisposable {
  /** Format of arguments and results. */
  readonly format: Format;
  readonly #init: ExecuteObjectMethodRequest;
  readonly #calls: ObjectCalls;
  #sessionId: string | undefined;
  /** Resolves when the call that makes the object has been answered, whatever it came to. */
  #opening: Promise<void> | undefined;

  /** @throws {TypeError} for parameters that cannot be written @throws {RangeError} for limits that are no whole numbers */
  constructor(init: CodeInit, calls: ObjectCalls) {
    const { codePackage, entryPoint = "", config = {}, format = "pickle" } = init;
    this.format = format;
    this.#calls = calls;
    this.#init = ExecuteObjectMethodRequest.fromPartial({
      objectSpecifier: { $case: "codePackage", value: codePackage },
      config: toConfig(config),
      serializationFormat: format,
      entryPoint,
    });
    this.#init.options = toExecutionOptions(init.options);
  }

  /** Name of the session; `undefined` until the first call was answered, and when it is closed. */
  get sessionId(): string | undefined {
    return this.#sessionId;
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
    const request = { methodName: method, methodArgsData: encodeInput(args, format, limits) };
    while (this.#opening !== undefined) await this.#opening;
    const response = this.#sessionId === undefined
      ? await this.#open(request, options)
      : await this.#calls.execute(this.#inSession(this.#sessionId, request), options);
    if (response.status !== ExecutionStatus.SUCCESS) throw new ExecutionError(response);
    return new ObjectResult(response, format, limits);
  }

  /**
   * Gives a stream of inputs to the object's `process`, and yields its outputs as they come; see
   * {@linkcode RemoteExecutionClient.streamNode} for how fast, and for how it ends. The object outlives the stream.
   *
   * @throws {TypeError} before the first call, when there is no object yet; `streamObject` makes one for the stream
   */
  stream(inputs: Inputs, options: CallOptions = {}): AsyncGenerator<Output, void, void> {
    const { format } = this;
    const value = this.#sessionId;
    if (value === undefined) throw new TypeError("Cannot stream: the object has no session before its first call");
    const init = {
      objectSpecifier: { $case: "sessionId", value },
      config: {},
      serializationFormat: format,
      entryPoint: "",
      options: undefined,
    } as const;
    return streamObject(init, { inputs, format, calls: this.#calls }, options);
  }

  /** Closes the session, which cleans up the object. Closing twice is closing once; a later call makes a new object. */
  async close(options: CallOptions = {}): Promise<void> {
    while (this.#opening !== undefined) await this.#opening;
    const sessionId = this.#sessionId;
    if (sessionId === undefined) return;
    this.#sessionId = undefined;
    const response = await this.#calls.execute(this.#inSession(sessionId, { close: true }), options);
    if (response.status !== ExecutionStatus.SUCCESS) throw new ExecutionError(response);
  }

  /** Closes the session; one that is gone already is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch((error: unknown) => {
      if (!(error instanceof ExecutionError)) throw error;
    });
  }

  async #open(call: MethodCall, options: CallOptions): Promise<ExecuteObjectMethodResponse> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#opening = promise;
    try {
      const response = await this.#calls.execute({ ...this.#init, ...call }, options);
      // There is a session also when the method itself failed.
      this.#sessionId = response.sessionId || undefined;
      return response;
    } finally {
      this.#opening = undefined;
      resolve();
    }
  }

  #inSession(sessionId: string, call: Partial<MethodCall>): ExecuteObjectMethodRequest {
    return ExecuteObjectMethodRequest.fromPartial({
      objectSpecifier: { $case: "sessionId", value: sessionId },
      serializationFormat: this.format,
      ...call,
    });
  }
}

/** What differs from call to call. */
interface MethodCall {
  readonly methodName: string;
  readonly methodArgsData: Uint8Array;
  readonly close?: true;
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
