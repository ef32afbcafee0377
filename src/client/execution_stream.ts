/**
 * StreamExecute as an iteration of outputs.
 * @module
 */

import type { ClientDuplexStream } from "@grpc/grpc-js";
import type { CodecLimits, Format } from "../../workers/codecs/mod.ts";
import type {
  StreamExecuteRequest,
  StreamExecuteResponse,
  StreamInitRequest,
  StreamInitResponse,
} from "../../protos/generated/execution.ts";
import { type ExecutionMetrics, ExecutionStatus } from "../../protos/generated/types.ts";
import { contractError } from "./call.ts";
import type { ConsoleText, Inputs, StreamExecuteInit } from "./call_options.ts";
import { ExecutionError, statusOfReason } from "./errors.ts";
import { exchange, type ExchangeOptions } from "./exchange.ts";
import { toExecutionOptions } from "./execution_options.ts";
import { encodeInput, ExecutionResult, toConfig } from "./payload.ts";
import { tellConsole } from "./task_watch.ts";

/** What an {@linkcode ExecutionStream} is made with. */
export interface ExecutionStreamOptions extends Omit<ExchangeOptions<StreamExecuteRequest>, "sizeOf"> {
  readonly open: () => ClientDuplexStream<StreamExecuteRequest, StreamExecuteResponse>;
  readonly limits: CodecLimits;
  readonly onConsole: ((text: ConsoleText) => void) | undefined;
}

/**
 * The outputs of a node or of user code over a stream of inputs, to be iterated once. The call is made when the first
 * output is asked for; see {@linkcode RemoteExecutionClient.streamExecute}.
 */
export class ExecutionStream implements AsyncIterable<ExecutionResult> {
  readonly #outputs: AsyncGenerator<ExecutionResult, void, void>;
  readonly #options: ExecutionStreamOptions;
  readonly #format: Format;
  readonly #opened = Promise.withResolvers<string>();
  #sessionId: string | undefined;
  #totals: ExecutionMetrics | undefined;

  /** @throws {TypeError} for parameters that cannot be written @throws {RangeError} for limits that are no whole numbers */
  constructor(init: StreamExecuteInit, inputs: Inputs, options: ExecutionStreamOptions) {
    this.#options = options;
    this.#format = init.format ?? "pickle";
    this.#outputs = this.#run(toInitRequest(init), inputs);
  }

  /** Name of the session; `undefined` until it is open. */
  get sessionId(): string | undefined {
    return this.#sessionId;
  }

  /** What the whole stream cost; `undefined` until it has ended in order. */
  get totals(): ExecutionMetrics | undefined {
    return this.#totals;
  }

  [Symbol.asyncIterator](): AsyncGenerator<ExecutionResult, void, void> {
    return this.#outputs;
  }

  async *#run(init: StreamInitRequest, inputs: Inputs): AsyncGenerator<ExecutionResult, void, void> {
    const { open, limits, onConsole } = this.#options;
    let closed = false;
    const exchanged = exchange(open, this.#requests(init, inputs), { ...this.#options, sizeOf });
    for await (const { responseType: answer } of exchanged) {
      switch (answer?.$case) {
        case "init":
          this.#open(answer.value);
          break;
        case "data":
          tellConsole(answer.value, onConsole);
          yield new ExecutionResult(answer.value.outputData, this.#format, limits, answer.value.metrics);
          break;
        case "error":
          throw new ExecutionError({ ...answer.value, status: statusOfReason(answer.value.failureReason) });
        case "close":
          this.#totals = answer.value.totalMetrics;
          tellConsole(answer.value, onConsole);
          closed = true; // And on to the call's end: leaving here would cancel it.
          break;
        case undefined: // A step of a later version of the contract.
          break;
      }
    }
    // Without its last word nobody knows whether outputs are missing.
    if (!closed) throw this.#options.toError(contractError("the service ended the stream without a close response"));
  }

  async *#requests(init: StreamInitRequest, inputs: Inputs): AsyncGenerator<StreamExecuteRequest, void, void> {
    yield { requestType: { $case: "init", value: init } };
    const sessionId = await this.#opened.promise;
    for await (const input of inputs) {
      const inputData = encodeInput(input, this.#format, this.#options.limits);
      yield { requestType: { $case: "data", value: { sessionId, inputData, serializationFormat: this.#format } } };
    }
    yield { requestType: { $case: "close", value: { sessionId } } };
  }

  #open({ sessionId, status, errorMessage }: StreamInitResponse): void {
    if (status !== ExecutionStatus.SUCCESS) throw new ExecutionError({ status, errorMessage });
    this.#sessionId = sessionId;
    this.#opened.resolve(sessionId);
  }
}

function toInitRequest(init: StreamExecuteInit): StreamInitRequest {
  const request = { config: toConfig(init.config ?? {}), options: toExecutionOptions(init.options) };
  return "codePackage" in init
    ? { ...request, nodeType: CUSTOM, codePackage: init.codePackage, entryPoint: init.entryPoint ?? "" }
    : { ...request, nodeType: init.nodeType, codePackage: new Uint8Array(), entryPoint: "" };
}

function sizeOf({ requestType }: StreamExecuteRequest): number {
  return requestType?.$case === "data" ? requestType.value.inputData.length : 0;
}

/** What the contract calls user code where it asks for a node. */
const CUSTOM = "custom";
