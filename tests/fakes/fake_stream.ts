/**
 * The service's side of a StreamExecute, as the wire contract has it.
 * @module
 */

import type { ServerDuplexStream } from "@grpc/grpc-js";
import {
  StreamCloseResponse,
  StreamDataResponse,
  StreamErrorResponse,
  type StreamExecuteRequest,
  type StreamExecuteResponse,
  type StreamInitRequest,
  StreamInitResponse,
} from "../../protos/generated/execution.ts";
import { ExecutionMetrics, ExecutionStatus } from "../../protos/generated/types.ts";

/** A call of StreamExecute at the service. */
export type ExecuteCall = ServerDuplexStream<StreamExecuteRequest, StreamExecuteResponse>;

/** One output. */
export interface FakeOutput {
  readonly outputData: Uint8Array;
  readonly durationMs?: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

/** What the fake answers. Absent: every input comes back. */
export interface FakeStream {
  onInit?(init: StreamInitRequest): void;
  /** Outputs of one input, the first of which is 0; a failure ends the stream. */
  process?(
    input: Uint8Array,
    index: number,
  ): readonly FakeOutput[] | { readonly failure: Partial<StreamErrorResponse> };
  flush?(): readonly FakeOutput[];
}

/** The session of every stream. */
export const SESSION_ID = "stream-1";

/** Console text that comes with the last answer. */
export const LAST_WORDS = "closed\n";

/** Answers a call to its end. */
export function serveStream(call: ExecuteCall, { onInit, process, flush }: FakeStream = {}): void {
  let inputs = 0;
  let failed = false;
  call.on("data", ({ requestType: request }: StreamExecuteRequest) => {
    if (failed) return; // What was on its way already.
    if (request?.$case === "init") {
      onInit?.(request.value);
      sendInit(call);
    } else if (request?.$case === "data") {
      const answer = process?.(request.value.inputData, inputs++) ?? [{ outputData: request.value.inputData }];
      if (!("failure" in answer)) return sendOutputs(call, answer);
      failed = true;
      const error = StreamErrorResponse.fromPartial({ sessionId: SESSION_ID, ...answer.failure });
      call.write({ responseType: { $case: "error", value: error } });
      call.end();
    } else {
      sendOutputs(call, flush?.() ?? []);
      const totalMetrics = ExecutionMetrics.fromPartial({ durationMs: 42 });
      const close = StreamCloseResponse.fromPartial({ sessionId: SESSION_ID, totalMetrics, stdout: LAST_WORDS });
      call.write({ responseType: { $case: "close", value: close } });
      call.end();
    }
  });
}

/** Tells that the session is open, or why not. */
export function sendInit(call: ExecuteCall, refusal: Partial<StreamInitResponse> = {}): void {
  const init = { sessionId: SESSION_ID, status: ExecutionStatus.SUCCESS, ...refusal };
  call.write({ responseType: { $case: "init", value: StreamInitResponse.fromPartial(init) } });
}

/** Sends outputs. */
export function sendOutputs(call: ExecuteCall, outputs: readonly FakeOutput[]): void {
  for (const { durationMs, ...output } of outputs) {
    const metrics = durationMs === undefined ? undefined : ExecutionMetrics.fromPartial({ durationMs });
    const data = StreamDataResponse.fromPartial({ sessionId: SESSION_ID, ...output, metrics });
    call.write({ responseType: { $case: "data", value: data } });
  }
}
