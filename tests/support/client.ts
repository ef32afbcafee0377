/**
 * A plain grpc-js client of the service's stubs, for tests that must see what is on the wire.
 * @module
 */

import { mendGrpc } from "../../src/client/mend_grpc.ts";
import {
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientOptions,
  type ClientUnaryCall,
  credentials,
  InterceptingCall,
  type Interceptor,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { type ExecuteNodeResponse, RemoteExecutionServiceClient } from "../../protos/generated/execution.ts";
import { ExecutionOptions, type ExecutionStatus } from "../../protos/generated/types.ts";

/** What a call answers with: the response, or the status that it failed with. */
export type Answer<Response> =
  | { readonly ok: true; readonly response: Response }
  | { readonly ok: false; readonly code: number; readonly details: string };

/** A request to run a node, with what most tests leave out. */
export interface NodeCall {
  readonly nodeType: string;
  /** Sent as JSON; bytes are sent as they are. */
  readonly input?: unknown;
  readonly format?: string;
  readonly config?: Readonly<Record<string, string>>;
  readonly options?: Partial<ExecutionOptions>;
}

/** What running a node came to, its output parsed. */
export interface NodeAnswer extends ExecuteNodeResponse {
  readonly status: ExecutionStatus;
  readonly output: unknown;
}

/** A call under way. */
export interface PendingCall<Response> {
  readonly answer: Promise<Answer<Response>>;
  cancel(): void;
}

type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** Connects; dispose closes the connection. No two share one, since grpc-js would otherwise pool them. */
export class TestClient implements Disposable {
  readonly stub: RemoteExecutionServiceClient;

  /** @param headers sent with every call, a token say */
  constructor(address: string, headers: Readonly<Record<string, string>> = {}) {
    this.stub = connect(RemoteExecutionServiceClient, address, { interceptors: [withHeaders(headers)] });
  }

  /** Runs a node. @throws {Error} when the call fails */
  async run(call: NodeCall, options: Partial<CallOptions> = {}): Promise<NodeAnswer> {
    const answer = await this.start(call, options).answer;
    if (!answer.ok) throw new Error(`The call failed with status ${answer.code}: ${answer.details}`);
    const { response } = answer;
    const isJson = (call.format ?? "json") === "json" && response.outputData.length > 0;
    return { ...response, output: isJson ? JSON.parse(new TextDecoder().decode(response.outputData)) : undefined };
  }

  /** Starts to run a node. */
  start(
    { nodeType, input = null, format = "json", config = {}, options }: NodeCall,
    callOptions: Partial<CallOptions> = {},
  ): PendingCall<ExecuteNodeResponse> {
    return unary(this.stub, this.stub.executeNode, {
      nodeType,
      config,
      inputData: input instanceof Uint8Array ? input : new TextEncoder().encode(JSON.stringify(input)),
      serializationFormat: format,
      options: options === undefined ? undefined : ExecutionOptions.fromPartial(options),
    }, callOptions);
  }

  [Symbol.dispose](): void {
    this.stub.close();
  }
}

/** Makes a client of any stub with a connection of its own. */
export function connect<Stub extends Client>(
  Stub: new (address: string, credentials: ChannelCredentials, options: ClientOptions) => Stub,
  address: string,
  options: ClientOptions = {},
): Stub {
  mendGrpc();
  return new Stub(address, credentials.createInsecure(), {
    ...options,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
}

function withHeaders(headers: Readonly<Record<string, string>>): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
        next(metadata, listener);
      },
    });
}

/** Calls a method of a stub. */
export function unary<Request, Response>(
  stub: Client,
  method: Unary<Request, Response>,
  request: Request,
  options: Partial<CallOptions> = {},
  metadata = new Metadata(),
): PendingCall<Response> {
  const { promise, resolve } = Promise.withResolvers<Answer<Response>>();
  const call = method.call(stub, request, metadata, options, (error, response) => {
    resolve(error === null ? { ok: true, response } : { ok: false, code: error.code, details: error.details });
  });
  return { answer: promise, cancel: () => call.cancel() };
}
