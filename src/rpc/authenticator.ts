/**
 * Who calls: from the call's token, its connection's certificate, or nobody in particular.
 * @module
 */

import type { Metadata } from "@grpc/grpc-js";
import { ServiceError } from "../errors.ts";
import { ANONYMOUS } from "../execution/callers.ts";
import { serviceLogger } from "../logging/mod.ts";
import type { ConnectionEnds } from "./connections.ts";
import { LogThrottle } from "./log_throttle.ts";
import type { TokenStore } from "./token_file.ts";

const logger = serviceLogger("rpc", "auth");

const BEARER = /^Bearer +([^\s]+)$/i;
/** Headers that are remembered once they proved good. */
const MAX_REMEMBERED = 1_000;

/** How callers prove who they are. */
export interface AuthenticatorOptions {
  /** Absent where there are no tokens. */
  readonly tokens: TokenStore | undefined;
  /** Whether certificates of clients count. */
  readonly certificates: boolean;
  /** The caller that the certificate of a connection names. */
  readonly callerOfConnection: (ends: ConnectionEnds) => string | undefined;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** What a call comes with. */
export interface CallCredentials {
  readonly metadata: Metadata;
  readonly connection: ConnectionEnds;
}

/**
 * Tells callers apart. A token counts before a certificate, and a bad token is not made good by one.
 *
 * Headers that proved good are remembered by their text, so that a call costs no hash. The time that looking one up takes
 * tells nothing of its text: a table compares texts only where their seeded hashes agree.
 */
export class Authenticator {
  readonly #options: Required<AuthenticatorOptions>;
  readonly #remembered = new Map<string, { readonly caller: string; readonly expiresAt: number }>();
  readonly #failures = new LogThrottle();

  constructor(options: AuthenticatorOptions) {
    this.#options = { now: Date.now, ...options };
  }

  /** Whether callers have to prove who they are. */
  get required(): boolean {
    return this.#options.tokens !== undefined || this.#options.certificates;
  }

  /**
   * The caller's name.
   * @throws {ServiceError} `UNAUTHENTICATED`, with the same words whatever is wrong; the log has the reason
   */
  authenticate({ metadata, connection }: CallCredentials): string {
    const { tokens, certificates, callerOfConnection } = this.#options;
    if (tokens !== undefined) {
      const headers = metadata.get("authorization");
      if (headers.length > 0) return this.#callerOfHeader(headers, tokens, connection);
    }
    if (!this.required) return ANONYMOUS;
    const caller = certificates ? callerOfConnection(connection) : undefined;
    return caller ?? this.#fail(tokens === undefined ? "no name in the certificate" : "no token", connection);
  }

  #callerOfHeader(headers: readonly unknown[], tokens: TokenStore, connection: ConnectionEnds): string {
    const [header] = headers;
    if (headers.length > 1 || typeof header !== "string") return this.#fail("more than one token", connection);
    const known = this.#remembered.get(header) ?? this.#find(header, tokens);
    if (known === undefined) return this.#fail("an unknown token", connection);
    if (known.expiresAt <= this.#options.now()) {
      return this.#fail(`an expired token of "${known.caller}"`, connection);
    }
    return known.caller;
  }

  #find(header: string, tokens: TokenStore) {
    const token = BEARER.exec(header)?.[1];
    const found = token === undefined ? undefined : tokens.find(token);
    if (found === undefined) return undefined;
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(header, found);
    return found;
  }

  #fail(reason: string, { remoteAddress }: ConnectionEnds): never {
    this.#failures.log((suppressed) =>
      logger.warn("Call from {peer} refused: it came with {reason}", { peer: remoteAddress, reason, suppressed })
    );
    throw new ServiceError(
      "UNAUTHENTICATED",
      "Cannot take call: it needs the header `authorization: Bearer <token>` with a valid token, or a client certificate",
    );
  }
}
