/**
 * A stream as a client holds it, over StreamNode or StreamExecute, for tests that must see every message and the end.
 * @module
 */

import { type CallOptions, type ClientDuplexStream, Metadata, status as callStatus } from "@grpc/grpc-js";
import {
  type RemoteExecutionServiceClient,
  type StreamData,
  type StreamExecuteRequest,
  type StreamExecuteResponse,
} from "../../protos/generated/execution.ts";
import { ExecutionStatus } from "../../protos/generated/types.ts";

/** What to open. */
export interface ConversationOptions {
  readonly method: "StreamNode" | "StreamExecute";
  readonly nodeType: string;
  readonly config?: Readonly<Record<string, string>>;
  /** User code; with StreamExecute and the node type `custom`. */
  readonly codePackage?: Uint8Array;
  /** Of inputs and outputs, `json` by default. */
  readonly format?: "json" | "pickle";
  readonly call?: Partial<CallOptions>;
}

/** How it ended. */
export interface ConversationEnd {
  readonly code: callStatus;
  readonly details: string;
  /** What the service said was wrong, as its last message; of an `init` that was refused too. */
  readonly error: string | undefined;
  /** Whether the service answered with `close`. */
  readonly closed: boolean;
}

/** Sends inputs and keeps what comes. */
export class Conversation {
  /** Outputs in their order: JSON parsed, pickles as the bytes that came. */
  readonly outputs: unknown[] = [];
  /** Resolves when the call has ended. */
  readonly ended: Promise<ConversationEnd>;
  /** Empty before the answer to `init`, and always for StreamNode. */
  sessionId = "";
  readonly #method: ConversationOptions["method"];
  readonly #format: "json" | "pickle";
  readonly #nodeCall: ClientDuplexStream<StreamData, StreamData> | undefined;
  readonly #call: ClientDuplexStream<StreamExecuteRequest, StreamExecuteResponse> | undefined;
  readonly #opened = Promise.withResolvers<void>();
  #error: string | undefined;
  #closed = false;
  #hasEnded = false;
  #wake = Promise.withResolvers<void>();

  constructor(stub: RemoteExecutionServiceClient, options: ConversationOptions) {
    const { method, nodeType, config = {}, codePackage = new Uint8Array(), format = "json", call = {} } = options;
    this.#method = method;
    this.#format = format;
    if (method === "StreamNode") {
      const stream = stub.streamNode(new Metadata(), call);
      this.#nodeCall = stream;
      this.ended = this.#watch(stream, (message: StreamData) => this.#onNodeMessage(message));
      const value = { nodeType, config: { ...config }, serializationFormat: format };
      stream.write({ payload: { $case: "init", value }, errorMessage: "" });
    } else {
      const stream = stub.streamExecute(new Metadata(), call);
      this.#call = stream;
      this.ended = this.#watch(stream, (message: StreamExecuteResponse) => this.#onMessage(message));
      const value = { nodeType, config: { ...config }, codePackage, options: undefined, entryPoint: "" };
      stream.write({ requestType: { $case: "init", value } });
    }
  }

  /** Whether the call has ended. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Waits until `init` has been answered, or the call has ended. StreamNode answers none. */
  async opened(): Promise<void> {
    if (this.#method === "StreamExecute") await this.#opened.promise;
  }

  /** Sends a value as JSON. */
  send(value: unknown): void {
    this.sendText(JSON.stringify(value));
  }

  /** Sends a text where JSON is expected. */
  sendText(text: string): void {
    this.sendBytes(new TextEncoder().encode(text));
  }

  /** Sends an input that is encoded. */
  sendBytes(inputData: Uint8Array): void {
    if (this.#hasEnded) return;
    this.#nodeCall?.write({ payload: { $case: "data", value: inputData }, errorMessage: "" });
    const value = { sessionId: this.sessionId, inputData, serializationFormat: this.#format };
    this.#call?.write({ requestType: { $case: "data", value } });
  }

  /** Asks for the end with a message of its own, which only StreamExecute has; else half-closes. */
  close(): void {
    if (this.#hasEnded) return;
    if (this.#call === undefined) this.halfClose();
    else this.#call.write({ requestType: { $case: "close", value: { sessionId: this.sessionId } } });
  }

  halfClose(): void {
    this.#nodeCall?.end();
    this.#call?.end();
  }

  cancel(): void {
    this.#nodeCall?.cancel();
    this.#call?.cancel();
  }

  /** Waits for so many outputs, or for the end. */
  async untilOutputs(count: number): Promise<void> {
    while (this.outputs.length < count && !this.#hasEnded) await this.#wake.promise;
  }

  #watch<Request, Response>(
    call: ClientDuplexStream<Request, Response>,
    onMessage: (message: Response) => void,
  ): Promise<ConversationEnd> {
    const { promise, resolve } = Promise.withResolvers<ConversationEnd>();
    call.on("data", onMessage);
    // The status tells it too.
    call.on("error", () => {});
    call.on("status", ({ code, details }: { code: callStatus; details: string }) => {
      const finish = () => {
        this.#hasEnded = true;
        this.#opened.resolve();
        this.#awaken();
        // A half that stays open would keep the call's objects.
        call.end();
        resolve({ code, details, error: this.#error, closed: this.#closed });
      };
      // Messages that came before the status are handed out before `end`, which only an orderly end has.
      if (code === callStatus.OK && !call.readableEnded) call.once("end", finish);
      else finish();
    });
    return promise;
  }

  #onNodeMessage({ payload, errorMessage }: StreamData): void {
    if (errorMessage !== "") this.#error = errorMessage;
    if (payload?.$case === "data") this.#onOutput(payload.value);
  }

  #onMessage({ responseType }: StreamExecuteResponse): void {
    switch (responseType?.$case) {
      case "init":
        this.sessionId = responseType.value.sessionId;
        if (responseType.value.status !== ExecutionStatus.SUCCESS) this.#error = responseType.value.errorMessage;
        return this.#opened.resolve();
      case "data":
        return this.#onOutput(responseType.value.outputData);
      case "error":
        this.#error = responseType.value.errorMessage;
        return;
      case "close":
        this.#closed = true;
    }
  }

  #onOutput(bytes: Uint8Array): void {
    this.outputs.push(this.#format === "json" ? JSON.parse(new TextDecoder().decode(bytes)) : bytes);
    this.#awaken();
  }

  #awaken(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}
