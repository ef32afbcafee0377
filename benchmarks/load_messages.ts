/**
 * The load generator's messages, encoded before they are needed, and its answers, decoded as little as can be.
 * @module
 */

import {
  ExecuteNodeRequest,
  ExecuteNodeResponse,
  RemoteExecutionServiceService,
  StreamData,
  StreamExecuteRequest,
  StreamExecuteResponse,
} from "../protos/generated/execution.ts";
import { ExecutionStatus } from "../protos/generated/types.ts";
import { pairOf } from "../tests/support/audio.ts";
import { seededRandom } from "../tests/support/random.ts";
import { codecFor } from "../workers/codecs/mod.ts";
import type { Payload, StreamMethod } from "./load_plan.ts";

/** Different messages in turn, so that nobody gains from having seen one before. */
const VARIANTS = 16;

/** Methods by name. */
export const PATHS: Readonly<Record<StreamMethod | "ExecuteNode", string>> = {
  StreamNode: RemoteExecutionServiceService.streamNode.path,
  StreamExecute: RemoteExecutionServiceService.streamExecute.path,
  ExecuteNode: RemoteExecutionServiceService.executeNode.path,
  Echo: "/benchmark.Echo/EchoStream",
};

/** Encoded inputs. Audio is a tone over noise from the same seed, so that all runs send the same. */
export function encodePayload(payload: Payload): Uint8Array[] {
  if (payload.kind === "json") return [new TextEncoder().encode(payload.text)];
  const { frameMs, sampleRate, format } = payload;
  const random = seededRandom(1);
  const length = Math.round(sampleRate * frameMs / 1_000);
  return Array.from({ length: VARIANTS }, (_, variant) => {
    const samples = Float32Array.from({ length }, (_, index) => {
      return 0.2 * Math.sin(2 * Math.PI * 440 * (variant * length + index) / sampleRate) + 0.02 * (random() - 0.5);
    });
    return format === "json"
      ? new TextEncoder().encode(JSON.stringify([[[...samples]], sampleRate]))
      : codecFor("pickle").encode(pairOf([samples], sampleRate), {});
  });
}

/** The format that a payload is in. */
export function formatOf(payload: Payload): string {
  return payload.kind === "json" ? "json" : payload.format;
}

/** Says what node a stream is for. */
export interface Init {
  readonly nodeType: string;
  readonly config: Readonly<Record<string, string>>;
  readonly format: string;
}

/** The first message of a stream. */
export function initMessage(method: StreamMethod, { nodeType, config, format }: Init): Uint8Array | undefined {
  switch (method) {
    case "Echo":
      return undefined;
    case "StreamNode":
      return StreamData.encode({
        payload: { $case: "init", value: { nodeType, config: { ...config }, serializationFormat: format } },
        errorMessage: "",
      }).finish();
    case "StreamExecute":
      return StreamExecuteRequest.encode({
        requestType: {
          $case: "init",
          value: {
            nodeType,
            config: { ...config },
            codePackage: new Uint8Array(),
            options: undefined,
            entryPoint: "",
          },
        },
      }).finish();
  }
}

/** An input. @param sessionId of StreamExecute; the others have none */
export function dataMessage(method: StreamMethod, input: Uint8Array, format: string, sessionId = ""): Uint8Array {
  return method === "StreamExecute"
    ? StreamExecuteRequest.encode({
      requestType: { $case: "data", value: { sessionId, inputData: input, serializationFormat: format } },
    }).finish()
    : StreamData.encode({ payload: { $case: "data", value: input }, errorMessage: "" }).finish();
}

/** A call of ExecuteNode. */
export function unaryMessage({ nodeType, config, format }: Init, input: Uint8Array): Uint8Array {
  return ExecuteNodeRequest.encode({
    nodeType,
    config: { ...config },
    inputData: input,
    serializationFormat: format,
    options: undefined,
  }).finish();
}

/** Tag of field 2, length-delimited: `data` of every answer of a stream. */
const DATA_TAG = 0x12;

/** What a message of a stream says. */
export type StreamAnswer =
  | { readonly kind: "output" }
  | { readonly kind: "opened"; readonly sessionId: string }
  | { readonly kind: "closed" }
  | { readonly kind: "failed"; readonly message: string };

const OUTPUT: StreamAnswer = { kind: "output" };

/** Reads an answer. An output is told by its first byte: the generator must cost less than the service. */
export function readAnswer(method: StreamMethod, bytes: Uint8Array): StreamAnswer {
  if (bytes[0] === DATA_TAG || method === "Echo") return OUTPUT;
  if (method === "StreamNode") return { kind: "failed", message: StreamData.decode(bytes).errorMessage };
  const { responseType } = StreamExecuteResponse.decode(bytes);
  switch (responseType?.$case) {
    case "init": {
      const { status, sessionId, errorMessage } = responseType.value;
      return status === ExecutionStatus.SUCCESS
        ? { kind: "opened", sessionId }
        : { kind: "failed", message: errorMessage };
    }
    case "data":
      return OUTPUT;
    case "close":
      return { kind: "closed" };
    case "error":
      return { kind: "failed", message: responseType.value.errorMessage };
    case undefined:
      return { kind: "failed", message: "an answer without content" };
  }
}

/** What is wrong with an answer of ExecuteNode, if anything is. Success is told by its first field. */
export function unaryFailure(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0x08 && bytes[1] === ExecutionStatus.SUCCESS) return undefined;
  const { status, errorMessage } = ExecuteNodeResponse.decode(bytes);
  return `${ExecutionStatus[status]}: ${errorMessage}`;
}
