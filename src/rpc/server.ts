/**
 * The gRPC server: our service, health and reflection on a listener of our own.
 * @module
 */

import { type ConnectionInjector, Server, ServerCredentials } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import { Buffer } from "node:buffer";
import { DESCRIPTOR_SET_BASE64 } from "../../protos/generated/descriptor_set.ts";
import type { AuthOptions, ServerOptions } from "../config/schema.ts";
import { isLoopbackHost } from "../config/mod.ts";
import { serviceLogger } from "../logging/mod.ts";
import { Authenticator } from "./authenticator.ts";
import { callerInterceptor } from "./caller.ts";
import { type BoundSocket, ConnectionListener } from "./connections.ts";
import { executionService, type ExecutionServiceOptions, serviceDefinition } from "./execution_service.ts";
import { Http2Sessions } from "./http2_sessions.ts";
import type { FlowFinder } from "./streams/message_stream.ts";
import { OpenCalls } from "./open_calls.ts";
import { installTextEncoding } from "./text_encoding.ts";
import { loadTls } from "./tls.ts";
import { readTokenFile, TokenStore } from "./token_file.ts";
import { watchService } from "./watch_service.ts";
import { WatchServiceService } from "../../protos/generated/watch.ts";

const logger = serviceLogger("rpc");

/** The service's name, as health checks ask for it; the empty name stands for the whole server. */
export const SERVICE_NAME = "remotemedia.execution.RemoteExecutionService";

/** Time that answers get to go out, and then connections to close, in milliseconds. */
const CLOSE_GRACE_MS = 500;

/** A gRPC server that listens. Owned by the composition root. */
export class RpcServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #listener: ConnectionListener;
  readonly #health: HealthImplementation;
  readonly #openCalls: OpenCalls;
  readonly #sessions: Http2Sessions;

  private constructor(
    server: Server,
    injector: ConnectionInjector,
    listener: ConnectionListener,
    health: HealthImplementation,
    openCalls: OpenCalls,
    sessions: Http2Sessions,
  ) {
    this.#server = server;
    this.#injector = injector;
    this.#listener = listener;
    this.#health = health;
    this.#openCalls = openCalls;
    this.#sessions = sessions;
  }

  /**
   * Starts to serve; health says SERVING from the first call on.
   * @param options of the listener; with a socket that is bound already host and port are only words
   * @throws {ServiceError} `CONFIG_INVALID` when the address cannot be bound, or a file of TLS or tokens cannot be used
   */
  static async start(
    options: ServerOptions & { readonly socket?: BoundSocket | undefined },
    service: ExecutionServiceOptions,
    auth: AuthOptions = { tokensFile: null },
  ): Promise<RpcServer> {
    installTextEncoding();
    const tls = loadTls(options.tls, Date.now());
    const { tokensFile } = auth;
    const authenticator = new Authenticator({
      tokens: tokensFile === null ? undefined : loadTokens(tokensFile),
      certificates: tls?.ca !== undefined,
      callerOfConnection: (ends) => listener.callerOf(ends),
    });
    const interceptor = callerInterceptor({
      authenticator,
      callers: service.executor.callers,
      onRefused: (method, status) => service.observer.requestEnded(method, status),
      audited: (event) => service.observer.audited(event),
    });
    const server = new Server({
      "grpc.max_receive_message_length": options.maxMessageBytes,
      "grpc.max_send_message_length": options.maxMessageBytes,
      "grpc.max_concurrent_streams": options.maxStreamsPerConnection,
      "grpc.keepalive_time_ms": options.keepaliveIntervalMs,
      "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs,
      "grpc.max_connection_idle_ms": options.idleTimeoutMs,
      "grpc.enable_channelz": 0,
      interceptors: interceptor === undefined ? [] : [interceptor],
    });
    const openCalls = new OpenCalls();
    const findFlow: FlowFinder = (ends) => listener.flowOf(ends);
    server.addService(serviceDefinition, executionService(service, openCalls, findFlow));
    server.addService(WatchServiceService, watchService(service, openCalls));
    const health = new HealthImplementation({ "": "SERVING", [SERVICE_NAME]: "SERVING" });
    health.addToServer(server);
    if (options.reflection) {
      const descriptors = loadFileDescriptorSetFromBuffer(Buffer.from(DESCRIPTOR_SET_BASE64, "base64"));
      new ReflectionService(descriptors).addToServer(server);
    }
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const sessions = new Http2Sessions(server);
    const listener = await ConnectionListener.start(options, injector, tls);
    sayWhoMayCall(options.host, authenticator.required);
    return new RpcServer(server, injector, listener, health, openCalls, sessions);
  }

  /** The port in use, also when 0 was asked for. */
  get port(): number {
    return this.#listener.port;
  }

  /** Open connections. */
  get connectionCount(): number {
    return this.#listener.count;
  }

  /** Takes connections from one more socket. @throws {ServiceError} when it cannot be listened on */
  async listenOn(socket: BoundSocket): Promise<void> {
    await this.#listener.listenOn(socket);
  }

  /**
   * Leaves the next connections to a successor and sends its clients there, which is nothing that a call would notice:
   * those that are open go on, and when this resolves no new one comes.
   * @param signal ends the wait for clients that do not answer
   */
  async retire(signal: AbortSignal): Promise<void> {
    this.#listener.stopAccepting();
    await Promise.all([this.#listener.opened(), this.#sessions.sayGoodbye(signal)]);
    // Connections that were being secured before have come since.
    await this.#sessions.sayGoodbye(signal);
  }

  /** Tells health checks and load balancers that no new call is welcome. */
  announceDrain(): void {
    this.#health.setStatus("", "NOT_SERVING");
    this.#health.setStatus(SERVICE_NAME, "NOT_SERVING");
  }

  /** Sends the answers that are on their way, then closes connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.stopAccepting();
    await using _listener = this.#listener;
    // Deno cuts streams off when their session is closed, although the session's own rule is to let them end.
    await within(CLOSE_GRACE_MS, this.#openCalls.none());
    const closed = Promise.withResolvers<void>();
    this.#server.tryShutdown(() => closed.resolve());
    await within(CLOSE_GRACE_MS, closed.promise);
    this.#server.forceShutdown();
    this.#injector.destroy();
  }
}

function loadTokens(path: string): TokenStore {
  const store = new TokenStore(
    readTokenFile(path, {
      onReadable: () => logger.warn("Other users of this machine can read the tokens file {path}", { path }),
    }),
  );
  if (store.size === 0) logger.warn("The tokens file {path} holds no token: nobody can call", { path });
  return store;
}

function sayWhoMayCall(host: string, required: boolean): void {
  if (required) return;
  if (isLoopbackHost(host)) {
    logger.info("Callers need not prove who they are: every user and program of this machine may call, others cannot");
  } else {
    logger.warn("Callers need not prove who they are, and other machines can reach {host}: anyone there may call", {
      host,
    });
  }
}

/** Waits for a promise, but not for longer than that. */
async function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  try {
    await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
