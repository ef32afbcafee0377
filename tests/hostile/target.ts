/**
 * Whom the protocol cases of the corpus attack, and what comes of an attack.
 * @module
 */

import { type Client, credentials, Metadata, status as callStatus } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import {
  ExecuteCustomTaskRequest,
  ExecuteCustomTaskResponse,
  ExecuteNodeRequest,
  ExecuteNodeResponse,
  RemoteExecutionServiceClient,
} from "../../protos/generated/execution.ts";
import { ExecutionStatus, FailureReason } from "../../protos/generated/types.ts";
import type { TestServer } from "../support/server.ts";

/** A call that has no answer by then has none. Far above what any takes, in milliseconds. */
const PATIENCE_MS = 60_000;
const SERVICE = "/remotemedia.execution.RemoteExecutionService";

/** What came of one attack; a case has as many as it sends requests. */
export interface Outcome {
  /** Which of the case's requests it was. */
  readonly what: string;
  /** All names of its status. The corpus uses those of executions and those of calls. */
  readonly statuses: readonly string[];
  /** Its error message. */
  readonly text: string;
  /** Its traceback, which shows where in the sandbox's code it was, and nothing of the host. */
  readonly traceback?: string;
  /** The parsed output of what succeeded. */
  readonly result?: unknown;
  /** What is wrong with it beside its status. */
  readonly faults?: readonly string[];
}

/** A case of the corpus, as TypeScript. */
export interface ProtocolCase {
  attack(target: Target): Promise<readonly Outcome[]>;
  /** A status that the service gives where the corpus has another, and why that is as good. */
  readonly instead?: { readonly status: string; readonly why: string };
}

/** Cases by their id in the corpus. */
export type ProtocolCases = Readonly<Record<string, ProtocolCase>>;

/** Names that an outcome of an execution has as a status of the call; as `GRPC_STATUS` in src/rpc/status.ts has it. */
const SAME: Readonly<Record<string, string>> = {
  RESOURCE_LIMIT: "RESOURCE_EXHAUSTED",
  SECURITY_VIOLATION: "PERMISSION_DENIED",
  TIMEOUT: "DEADLINE_EXCEEDED",
};

/** Request of a task, of which the input is given as JSON text. */
export type TaskRequest = Partial<Omit<ExecuteCustomTaskRequest, "codePackage" | "inputData">> & {
  readonly code: string | Uint8Array;
  /** Input as JSON, not necessarily valid. */
  readonly input?: string | Uint8Array;
};

/** The service under attack. Dispose closes the connection. */
export class Target implements Disposable {
  readonly server: TestServer;
  /** Takes connections that no task may make. */
  readonly forbiddenPort: number;
  readonly #stub: Client;

  constructor(server: TestServer, forbiddenPort: number) {
    this.server = server;
    this.forbiddenPort = forbiddenPort;
    this.#stub = new RemoteExecutionServiceClient(server.address, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_send_message_length": -1,
      "grpc.max_receive_message_length": -1,
    });
  }

  get port(): number {
    return this.server.ready.port;
  }

  /** Sends the bytes as they are as the message of both methods that execute. */
  async sendRaw(body: Uint8Array, what = ""): Promise<Outcome[]> {
    return await Promise.all([this.sendNode(body, what), this.sendTask(body, what)]);
  }

  /** Sends the bytes as they are to ExecuteNode. */
  async sendNode(body: Uint8Array, what = ""): Promise<Outcome> {
    return outcomeOf(`ExecuteNode ${what}`, await this.#send("ExecuteNode", body), (bytes) => ({
      failureReason: FailureReason.UNSPECIFIED,
      ...ExecuteNodeResponse.decode(bytes),
    }));
  }

  /** Sends the bytes as they are to ExecuteCustomTask. */
  async sendTask(body: Uint8Array, what = ""): Promise<Outcome> {
    return outcomeOfTask(`ExecuteCustomTask ${what}`, await this.#send("ExecuteCustomTask", body));
  }

  /** Runs a node. */
  async node(request: Partial<ExecuteNodeRequest>, what = ""): Promise<Outcome> {
    return await this.sendNode(ExecuteNodeRequest.encode(ExecuteNodeRequest.fromPartial(request)).finish(), what);
  }

  /** Runs a task. */
  async task(request: TaskRequest, what = ""): Promise<Outcome> {
    return await this.sendTask(encodeTask(request), what);
  }

  [Symbol.dispose](): void {
    this.#stub.close();
  }

  #send(method: string, body: Uint8Array): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#stub.makeUnaryRequest(
      `${SERVICE}/${method}`,
      Buffer.from,
      (bytes) => new Uint8Array(bytes),
      body,
      new Metadata(),
      { deadline: Date.now() + PATIENCE_MS },
      (error, bytes) => resolve(error ?? { bytes: bytes ?? new Uint8Array() }),
    );
    return promise;
  }
}

/** A request of a task on the wire; JSON in and out unless it says otherwise. */
export function encodeTask({ code, input = "null", ...rest }: TaskRequest): Uint8Array {
  return ExecuteCustomTaskRequest.encode(ExecuteCustomTaskRequest.fromPartial({
    serializationFormat: "json",
    ...rest,
    codePackage: toBytes(code),
    inputData: toBytes(input),
  })).finish();
}

/** UTF-8 of a text, or the bytes themselves. */
function toBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

/** What ExecuteCustomTask came to. */
export function outcomeOfTask(what: string, answer: Answer): Outcome {
  return outcomeOf(what, answer, (bytes) => ExecuteCustomTaskResponse.decode(bytes));
}

/** How a call ends: with a status that is not OK, or with a message. */
export type Answer = { readonly code: number; readonly details: string } | { readonly bytes: Uint8Array };

type AnyResponse = Pick<
  ExecuteCustomTaskResponse,
  "status" | "failureReason" | "errorMessage" | "errorTraceback" | "outputData"
>;

function outcomeOf(what: string, answer: Answer, decode: (bytes: Uint8Array) => AnyResponse): Outcome {
  if ("code" in answer) {
    const name = callStatus[answer.code] ?? "";
    const same = Object.entries(SAME).filter(([, other]) => other === name).map(([status]) => status);
    return { what, statuses: [name, ...same], text: answer.details };
  }
  const { status, failureReason, errorMessage, errorTraceback, outputData } = decode(answer.bytes);
  const name = ExecutionStatus[status];
  const same = failureReason === FailureReason.INVALID_TASK ? "INVALID_ARGUMENT" : SAME[name];
  return {
    what,
    statuses: same === undefined ? [name] : [name, same],
    text: errorMessage,
    traceback: errorTraceback,
    ...(status === ExecutionStatus.SUCCESS ? { result: parseOutput(outputData) } : {}),
  };
}

/** Outputs are JSON where they are looked at; pickles are not. */
function parseOutput(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
