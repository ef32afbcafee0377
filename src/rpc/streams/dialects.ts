/**
 * The streaming calls, each with its own messages for the same conversation.
 * @module
 */

import {
  StreamData,
  type StreamExecuteRequest,
  StreamExecuteResponse,
  type StreamObjectRequest,
  StreamObjectResponse,
} from "../../../protos/generated/execution.ts";
import { ExecutionStatus } from "../../../protos/generated/types.ts";
import type { Dialect, Incoming } from "./conversation.ts";

/** StreamExecute: nodes and user code, each answer with its metrics. */
export const STREAM_EXECUTE: Dialect<StreamExecuteRequest> = {
  method: "StreamExecute",
  read: ({ requestType }): Incoming => {
    switch (requestType?.$case) {
      case "init": {
        const { nodeType, config, codePackage, options, entryPoint } = requestType.value;
        const request = {
          mode: "stream",
          staysOpen: false,
          nodeType,
          config: new Map(Object.entries(config)),
          codePackage,
          entryPoint,
          options,
        } as const;
        return { kind: "init", request, format: undefined };
      }
      case "data": {
        const { sessionId, inputData, serializationFormat } = requestType.value;
        return { kind: "data", sessionId, input: inputData, format: serializationFormat };
      }
      case "close":
        return { kind: "close", sessionId: requestType.value.sessionId };
      case undefined:
        return { kind: "empty" };
    }
  },
  opened: ({ id }) =>
    executeResponse({
      $case: "init",
      value: { sessionId: id, status: ExecutionStatus.SUCCESS, errorMessage: "" },
    }),
  refused: ({ status, errorMessage }) =>
    executeResponse({ $case: "init", value: { sessionId: "", status, errorMessage } }),
  output: (session, { output, metrics }) =>
    executeResponse({
      $case: "data",
      value: { sessionId: session.id, outputData: output, metrics: metrics(Date.now()), ...session.takeConsole() },
    }),
  failed: (session, { failureReason, errorMessage = "", errorTraceback = "" }) =>
    executeResponse({
      $case: "error",
      value: { sessionId: session.id, errorMessage, errorTraceback, failureReason, ...session.takeConsole() },
    }),
  closed: (session) =>
    executeResponse({
      $case: "close",
      value: {
        sessionId: session.id,
        totalMetrics: session.totals.metrics(session.sandboxId, 0),
        ...session.takeConsole(),
      },
    }),
};

/** StreamNode: one node, outputs alone. */
export const STREAM_NODE: Dialect<StreamData> = {
  method: "StreamNode",
  read: ({ payload }): Incoming => {
    switch (payload?.$case) {
      case "init": {
        const { nodeType, config, serializationFormat } = payload.value;
        const request = {
          mode: "stream",
          staysOpen: false,
          nodeType,
          config: new Map(Object.entries(config)),
          codePackage: new Uint8Array(),
          entryPoint: "",
          options: undefined,
        } as const;
        return { kind: "init", request, format: serializationFormat };
      }
      case "data":
        return { kind: "data", input: payload.value };
      case undefined:
        return { kind: "empty" };
    }
  },
  refused: ({ errorMessage }) => nodeResponse(undefined, errorMessage),
  output: (_session, { output }) => bytesField(NODE_DATA_FIELD, output),
  failed: (_session, { errorMessage = "" }) => nodeResponse(undefined, errorMessage),
};

/** StreamObject: a user's object, its own or that of a session. */
export const STREAM_OBJECT: Dialect<StreamObjectRequest> = {
  method: "StreamObject",
  read: ({ payload }): Incoming => {
    switch (payload?.$case) {
      case "init": {
        const { objectSpecifier, config, serializationFormat, entryPoint, options } = payload.value;
        if (objectSpecifier?.$case === "sessionId") {
          return { kind: "attach", sessionId: objectSpecifier.value, format: serializationFormat };
        }
        const request = {
          mode: "object",
          staysOpen: false,
          nodeType: "custom",
          config: new Map(Object.entries(config)),
          codePackage: objectSpecifier?.value ?? new Uint8Array(),
          entryPoint,
          options,
        } as const;
        return { kind: "init", request, format: serializationFormat };
      }
      case "data":
        return { kind: "data", input: payload.value };
      case undefined:
        return { kind: "empty" };
    }
  },
  refused: ({ errorMessage }) => objectResponse({ $case: "error", value: errorMessage }),
  output: (_session, { output }) => bytesField(OBJECT_DATA_FIELD, output),
  // There is no other place for where it happened.
  failed: (_session, { errorMessage = "", errorTraceback = "" }) =>
    objectResponse({ $case: "error", value: errorTraceback === "" ? errorMessage : errorTraceback }),
};

/** `StreamData.data` and `StreamObjectResponse.data`. */
const NODE_DATA_FIELD = 2;
const OBJECT_DATA_FIELD = 1;
/** Wire type of fields that have a length (https://protobuf.dev/programming-guides/encoding/#structure). */
const LENGTH_DELIMITED = 2;

/** A message of one field of bytes, written at once: the generated encoder copies them twice. */
function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  let lengthBytes = 1;
  for (let left = bytes.length >>> 7; left > 0; left >>>= 7) lengthBytes++;
  const message = new Uint8Array(1 + lengthBytes + bytes.length);
  message[0] = field << 3 | LENGTH_DELIMITED;
  for (let at = 1, left = bytes.length; at <= lengthBytes; at++, left >>>= 7) {
    message[at] = left & 0x7f | (at < lengthBytes ? 0x80 : 0);
  }
  message.set(bytes, 1 + lengthBytes);
  return message;
}

function executeResponse(responseType: StreamExecuteResponse["responseType"]): Uint8Array {
  return StreamExecuteResponse.encode({ responseType }).finish();
}

function nodeResponse(payload: StreamData["payload"], errorMessage: string): Uint8Array {
  return StreamData.encode({ payload, errorMessage }).finish();
}

function objectResponse(payload: StreamObjectResponse["payload"]): Uint8Array {
  return StreamObjectResponse.encode({ payload }).finish();
}
