/**
 * The streaming calls with what most tests leave out; data travels as JSON.
 * @module
 */

import type { CallOptions } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import type {
  StreamData,
  StreamExecuteRequest,
  StreamExecuteResponse,
  StreamInitRequest,
  StreamObjectInit,
  StreamObjectRequest,
  StreamObjectResponse,
} from "../../protos/generated/execution.ts";
import { packageFiles } from "../../src/client/package.ts";
import type { TestClient } from "./client.ts";
import { Talk } from "./talk.ts";

/** A package of one module in TypeScript. */
export function packageOf(code: string): Uint8Array {
  return packageFiles(new Map([["main.ts", new TextEncoder().encode(code)]]));
}

/** Bytes of a value as JSON. */
export function toJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** A value of its bytes as JSON. */
export function fromJson(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** A StreamNode call. */
export class NodeTalk extends Talk<StreamData, StreamData> {
  constructor(client: TestClient, options: Partial<CallOptions> = {}) {
    super(client.stub.streamNode(new Metadata(), options));
  }

  init(nodeType: string, config: Readonly<Record<string, string>> = {}, serializationFormat = "json"): void {
    this.send({ payload: { $case: "init", value: { nodeType, config, serializationFormat } }, errorMessage: "" });
  }

  give(value: unknown): void {
    this.giveBytes(toJson(value));
  }

  giveBytes(bytes: Uint8Array): void {
    this.send({ payload: { $case: "data", value: bytes }, errorMessage: "" });
  }

  /** The next output; `undefined` at the end, an error as `{ error }`. */
  async output(): Promise<unknown> {
    const message = await this.next();
    if (message === undefined) return undefined;
    if (message.errorMessage !== "") return { error: message.errorMessage };
    return message.payload?.$case === "data" ? fromJson(message.payload.value) : message;
  }
}

/** A StreamExecute call. */
export class ExecuteTalk extends Talk<StreamExecuteRequest, StreamExecuteResponse> {
  sessionId = "";

  constructor(client: TestClient, options: Partial<CallOptions> = {}) {
    super(client.stub.streamExecute(new Metadata(), options));
  }

  /** Opens the session and awaits the answer. */
  async init(
    request: Partial<StreamInitRequest>,
  ): Promise<NonNullable<StreamExecuteResponse["responseType"]>["value"]> {
    const value: StreamInitRequest = {
      nodeType: "",
      config: {},
      codePackage: new Uint8Array(),
      options: undefined,
      entryPoint: "",
      ...request,
    };
    this.send({ requestType: { $case: "init", value } });
    const answer = await this.next();
    if (answer?.responseType?.$case !== "init") throw new Error(`No answer to init: ${JSON.stringify(answer)}`);
    this.sessionId = answer.responseType.value.sessionId;
    return answer.responseType.value;
  }

  give(value: unknown, serializationFormat = "json"): void {
    this.send({
      requestType: {
        $case: "data",
        value: { sessionId: this.sessionId, inputData: toJson(value), serializationFormat },
      },
    });
  }

  close(): void {
    this.send({ requestType: { $case: "close", value: { sessionId: this.sessionId } } });
  }

  /** The next output; anything else as it is. */
  async output(): Promise<unknown> {
    const message = await this.next();
    const type = message?.responseType;
    return type?.$case === "data" ? fromJson(type.value.outputData) : type;
  }
}

/** A StreamObject call. */
export class ObjectTalk extends Talk<StreamObjectRequest, StreamObjectResponse> {
  constructor(client: TestClient, options: Partial<CallOptions> = {}) {
    super(client.stub.streamObject(new Metadata(), options));
  }

  init(init: Partial<StreamObjectInit>): void {
    const value: StreamObjectInit = {
      objectSpecifier: undefined,
      config: {},
      serializationFormat: "json",
      entryPoint: "",
      options: undefined,
      ...init,
    };
    this.send({ payload: { $case: "init", value } });
  }

  give(value: unknown): void {
    this.send({ payload: { $case: "data", value: toJson(value) } });
  }

  /** The next output; `undefined` at the end, an error as `{ error }`. */
  async output(): Promise<unknown> {
    const message = await this.next();
    if (message?.payload === undefined) return undefined;
    return message.payload.$case === "data" ? fromJson(message.payload.value) : { error: message.payload.value };
  }
}
