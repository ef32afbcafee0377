/**
 * The one way out of a sandbox: a forward proxy on a Unix socket, for one task (or its host), that connects to what the
 * policy grants and to nothing else. The sandbox itself has no network.
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { messageOf } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import { ClientConnection } from "./client_connection.ts";
import type { EgressContext, EgressLimits } from "./context.ts";
import { type Resolve, resolveBySystem } from "./dial.ts";
import { BoundedEvents, type EgressEvent } from "./events.ts";
import { closeQuietly } from "../close_quietly.ts";
import type { HostRules } from "./rules.ts";

const logger = serviceLogger("sandbox");

/** User name in a task's credentials; the token is what counts. */
export const EGRESS_USER = "task";

/** Options of an {@linkcode EgressProxy}. */
export interface EgressProxyOptions {
  /** Where to listen; nothing may be there. The file is gone when the proxy is closed. */
  readonly socketPath: string;
  /** Password that the task's client sends (Basic, RFC 7617): in the process jail others can reach the relay's port. */
  readonly token: string;
  readonly rules: HostRules;
  readonly limits: EgressLimits;
  /** Hears of connections, a bounded number of times. Must not throw. */
  readonly onEvent: (event: EgressEvent) => void;
  /** How names are resolved; by the system's resolver when absent. */
  readonly resolve?: Resolve;
}

/**
 * See the module.
 *
 * @example
 * ```ts ignore
 * await using proxy = EgressProxy.listen({ socketPath, token, rules: HostRules.parse(hosts), limits: EGRESS_LIMITS, onEvent });
 * ```
 */
export class EgressProxy implements AsyncDisposable {
  readonly #open = new Map<ClientConnection, Promise<void>>();
  readonly #context: EgressContext;
  readonly #accepting: Promise<void>;
  #closing = false;

  private constructor(readonly listener: Deno.UnixListener, readonly options: EgressProxyOptions) {
    this.#context = {
      rules: options.rules,
      limits: options.limits,
      resolve: options.resolve ?? resolveBySystem,
      events: new BoundedEvents(options.onEvent, options.limits.maxEvents),
      isAuthentic: credentialsCheck(options.token),
      traffic: { sentBytes: 0, receivedBytes: 0 },
    };
    this.#accepting = this.#accept();
  }

  /** @throws {Deno.errors.AddrInUse} when something is at the path already */
  static listen(options: EgressProxyOptions): EgressProxy {
    const listener = Deno.listen({ transport: "unix", path: options.socketPath });
    Deno.chmodSync(options.socketPath, 0o600);
    return new EgressProxy(listener, options);
  }

  /** Bytes sent and received so far, from the task's side. */
  get traffic(): Readonly<EgressContext["traffic"]> {
    return this.#context.traffic;
  }

  async #accept(): Promise<void> {
    const { maxConnections, maxConnectionsTotal } = this.options.limits;
    try {
      // Those that are one too many are told so; when there are too many of them, nobody is listening any more.
      for (let count = 1; count <= maxConnectionsTotal + maxConnections; count++) {
        while (this.#open.size >= maxConnections) await Promise.race(this.#open.values());
        if (this.#closing) return;
        const client = await this.listener.accept();
        const connection = new ClientConnection(client, this.#context);
        const served = connection.serve(count > maxConnectionsTotal).finally(() => this.#open.delete(connection));
        this.#open.set(connection, served);
      }
    } catch (error) {
      if (!this.#closing) {
        logger.warn("An egress proxy cannot accept connections: {error}", { error: messageOf(error) });
      }
    } finally {
      closeQuietly(this.listener);
    }
  }

  /** Closes every connection, and tells how many events were not told. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    closeQuietly(this.listener);
    for (const connection of this.#open.keys()) connection.close();
    await this.#accepting;
    await Promise.all(this.#open.values());
    await Deno.remove(this.options.socketPath).catch((error: unknown) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    this.#context.events.end();
  }
}

/** Compares digests, in a time that tells nothing of the token. */
function credentialsCheck(token: string): (credentials: string | undefined) => boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const expected = digest(btoa(`${EGRESS_USER}:${token}`));
  return (credentials) => {
    const given = /^basic +([A-Za-z0-9+/=]+)$/i.exec(credentials ?? "")?.[1];
    return given !== undefined && timingSafeEqual(digest(given), expected);
  };
}
