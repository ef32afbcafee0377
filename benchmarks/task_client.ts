/**
 * Calls of user code by the bare client: what grpc-js needs for a call on an idle processor, up to two milliseconds, is no
 * part of what is measured.
 * @module
 */

import { status as grpcStatus } from "@grpc/grpc-js";
import {
  ExecuteCustomTaskRequest,
  ExecuteCustomTaskResponse,
  ExecuteNodeRequest,
  RemoteExecutionServiceService,
} from "../protos/generated/execution.ts";
import { ExecutionStatus } from "../protos/generated/types.ts";
import { GrpcConnection } from "./grpc_connection.ts";

const { executeCustomTask: { path: TASK_PATH }, executeNode: { path: NODE_PATH } } = RemoteExecutionServiceService;

/** What to run. */
export interface TaskCall {
  readonly code: Uint8Array;
  readonly entryPoint: string;
  /** Sent as JSON. */
  readonly input: unknown;
}

/** One connection. */
export class TaskClient implements Disposable {
  readonly #connection: GrpcConnection;
  readonly #metadata: Readonly<Record<string, string>>;

  private constructor(connection: GrpcConnection, metadata: Readonly<Record<string, string>>) {
    this.#connection = connection;
    this.#metadata = metadata;
  }

  /** @param metadata sent with every call, a token say */
  static async connect(port: number, metadata: Readonly<Record<string, string>> = {}): Promise<TaskClient> {
    return new TaskClient(await GrpcConnection.connect(`127.0.0.1:${port}`), metadata);
  }

  /**
   * Runs a task.
   * @returns milliseconds from sending its request, which is encoded by then, to the end of the call
   * @throws {Error} when its result is not the one expected: the time of a failure is no measurement
   */
  async measure({ code, entryPoint, input }: TaskCall, expected: unknown): Promise<number> {
    const request = ExecuteCustomTaskRequest.encode({
      codePackage: code,
      entryPoint,
      inputData: new TextEncoder().encode(JSON.stringify(input)),
      serializationFormat: "json",
      dependencies: [],
      options: undefined,
    }).finish();
    const { response, durationMs } = await this.#call(TASK_PATH, request);
    const { status, errorMessage, outputData } = ExecuteCustomTaskResponse.decode(response);
    const output = new TextDecoder().decode(outputData);
    if (status !== ExecutionStatus.SUCCESS || output.replaceAll(" ", "") !== JSON.stringify(expected)) {
      throw new Error(`Cannot measure a task: ${ExecutionStatus[status]}: ${errorMessage} ${output}`);
    }
    return durationMs;
  }

  /** Calls a node that does nothing: the service has its calls to answer before there are tasks to be measured. */
  async callNode(): Promise<void> {
    const input = {
      nodeType: "PassThroughNode",
      inputData: new TextEncoder().encode("1"),
      serializationFormat: "json",
    };
    await this.#call(NODE_PATH, ExecuteNodeRequest.encode(ExecuteNodeRequest.fromPartial(input)).finish());
  }

  async #call(path: string, request: Uint8Array): Promise<{ response: Uint8Array; durationMs: number }> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    let response = new Uint8Array();
    const startedAt = performance.now();
    const call = this.#connection.call(path, {
      onMessage: (bytes) => response = bytes.slice(),
      onEnd: ({ code, message }) => {
        if (code === grpcStatus.OK) resolve(performance.now() - startedAt);
        else reject(new Error(`Cannot measure a call: ${grpcStatus[code]}: ${message}`));
      },
    }, this.#metadata);
    call.write(request);
    call.end();
    const durationMs = await promise;
    return { response, durationMs };
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}
