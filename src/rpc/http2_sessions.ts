/**
 * The HTTP/2 sessions of the gRPC server, to tell clients that they should go elsewhere.
 * @module
 */

import type { Server } from "@grpc/grpc-js";
import { EventEmitter } from "node:events";
import { constants, type ServerHttp2Session } from "node:http2";
import { abortable } from "../async/abortable.ts";

/** Stream id of a GOAWAY that refuses none (RFC 9113, 6.8): which call will be the last is not known yet. */
const NO_LAST_STREAM = 2 ** 31 - 1;

/**
 * What a client may have under way to the service on one connection (RFC 9113, 6.9.1). By default it is 64 KB, as for
 * each of its streams, so that streams wait for each other: 50 of them with 20 ms of audio each fill it three times over.
 */
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;

/** Open HTTP/2 sessions of a gRPC server. */
export class Http2Sessions {
  readonly #open = new Set<ServerHttp2Session>();
  /** Those that know already. */
  readonly #told = new WeakSet<ServerHttp2Session>();

  /** @param server with its connection injectors made */
  constructor(server: Server) {
    for (const http2Server of http2ServersOf(server)) {
      http2Server.on("session", (session: ServerHttp2Session) => {
        this.#open.add(session);
        session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
        session.once("close", () => this.#open.delete(session));
      });
    }
  }

  /**
   * Asks every client for a new connection for its next calls, and resolves when all of them have heard it: a client that
   * answers a ping has read the GOAWAY before it, and starts no more calls here.
   *
   * Sessions are not closed: Deno cuts a session's streams off then, although RFC 9113 lets them end.
   *
   * @param signal ends the wait for clients that do not answer
   */
  async sayGoodbye(signal: AbortSignal): Promise<void> {
    const told = [...this.#open].filter((session) => !this.#told.has(session)).map((session) => this.#tell(session));
    // Nobody asks why: whoever has not answered by then is closed with its calls.
    await abortable(Promise.all(told), signal).catch(() => {});
  }

  async #tell(session: ServerHttp2Session): Promise<void> {
    this.#told.add(session);
    const { promise: heard, resolve } = Promise.withResolvers<void>();
    session.once("close", resolve);
    try {
      session.goaway(constants.NGHTTP2_NO_ERROR, NO_LAST_STREAM);
      if (!session.ping(() => resolve())) resolve();
    } catch {
      // It is closing.
      resolve();
    }
    await heard;
    session.off("close", resolve);
  }
}

/**
 * grpc-js has no public way to its sessions, and its own `drain()` closes them at once.
 * @throws {TypeError} when another version keeps them elsewhere
 */
function http2ServersOf(server: Server): EventEmitter[] {
  const servers: unknown = Reflect.get(server, "http2Servers");
  const found = servers instanceof Map ? [...servers.keys()] : [];
  if (found.length === 0 || !found.every((http2Server) => http2Server instanceof EventEmitter)) {
    throw new TypeError("Cannot find the HTTP/2 servers of grpc-js: this version keeps them elsewhere");
  }
  return found;
}
