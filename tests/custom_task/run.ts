/**
 * Runs user code on a service.
 * @module
 */

import assert from "node:assert/strict";
import type { Metadata } from "@grpc/grpc-js";
import type { ExecuteCustomTaskRequest, ExecuteCustomTaskResponse } from "../../protos/generated/execution.ts";
import { ExecutionOptions, ExecutionStatus } from "../../protos/generated/types.ts";
import { type Answer, type TestClient, unary } from "../support/client.ts";

/** What most runs leave out: limits, rights, and what to run. */
export interface Run extends Partial<ExecutionOptions> {
  readonly entryPoint?: string;
  readonly input?: unknown;
  readonly dependencies?: string[];
  /** Headers of the call. */
  readonly metadata?: Metadata;
}

/** The request of a run. */
export function toRequest(code: string | Uint8Array, options: Omit<Run, "metadata"> = {}): ExecuteCustomTaskRequest {
  const { entryPoint = "", input = null, dependencies = [], ...wishes } = options;
  return {
    codePackage: typeof code === "string" ? new TextEncoder().encode(code) : code,
    entryPoint,
    inputData: new TextEncoder().encode(JSON.stringify(input)),
    serializationFormat: "json",
    dependencies,
    options: ExecutionOptions.fromPartial(wishes),
  };
}

/** Runs a single module, or a code package, with JSON in and out. */
export function tryRun(
  client: TestClient,
  code: string | Uint8Array,
  options: Run = {},
): Promise<Answer<ExecuteCustomTaskResponse>> {
  const { metadata, ...asked } = options;
  return unary(client.stub, client.stub.executeCustomTask, toRequest(code, asked), {}, metadata).answer;
}

/** As {@linkcode tryRun}, for a call that must succeed, whatever the execution comes to. */
export async function run(
  client: TestClient,
  code: string | Uint8Array,
  options: Run = {},
): Promise<ExecuteCustomTaskResponse> {
  const answer = await tryRun(client, code, options);
  assert(answer.ok, answer.ok ? "" : answer.details);
  return answer.response;
}

/** The result of an execution that must have succeeded. */
export function resultOf(response: ExecuteCustomTaskResponse): unknown {
  assert.equal(response.status, ExecutionStatus.SUCCESS, response.errorMessage);
  return JSON.parse(new TextDecoder().decode(response.outputData));
}
