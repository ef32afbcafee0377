/**
 * The network of one sandbox host: its egress proxy, and what its process must be permitted to ask that.
 * @module
 */

import type { Grants } from "../grants.ts";
import { EGRESS_LIMITS } from "./context.ts";
import type { EgressEvent } from "./events.ts";
import { type EgressPermissions, egressPermissions, RELAY_HOSTNAME } from "./permissions.ts";
import { EGRESS_USER, EgressProxy } from "./proxy.ts";
import { HostRules } from "./rules.ts";

/** What a host is told at its start: how its worker reaches the proxy, all but the token. */
export interface EgressBootstrap {
  readonly relayHostname: string;
  readonly maxConnections: number;
  /** The worker's `net` permission, with `:0` where the relay's port belongs. */
  readonly workerNet: true | string[];
}

/** A proxy that listens. Owned by the host that it is for. */
export class EgressAccess implements AsyncDisposable {
  /** Who hears of connections. */
  onEvent: (event: EgressEvent) => void = () => {};
  readonly permissions: EgressPermissions;
  readonly #policy: HostRules;
  readonly #token = crypto.getRandomValues(new Uint8Array(24)).toBase64({ alphabet: "base64url" });
  readonly #proxy: EgressProxy;

  private constructor(socketPath: string, { networkHosts, wantedHosts }: Grants) {
    const policy = HostRules.parse(networkHosts ?? []);
    this.#policy = policy;
    this.permissions = egressPermissions(policy);
    this.#proxy = EgressProxy.listen({
      socketPath,
      token: this.#token,
      rules: policy.narrowedTo(wantedHosts),
      limits: EGRESS_LIMITS,
      onEvent: (event) => this.onEvent(event),
    });
  }

  /** Starts the proxy of a host with these grants; `undefined` without network. */
  static open(socketPath: string | null, grants: Grants): EgressAccess | undefined {
    return socketPath === null ? undefined : new EgressAccess(socketPath, grants);
  }

  get bootstrap(): EgressBootstrap {
    return {
      relayHostname: RELAY_HOSTNAME,
      maxConnections: EGRESS_LIMITS.maxConnections,
      workerNet: this.permissions.worker(0),
    };
  }

  /** What the worker proves itself with. */
  get credentials(): { readonly user: string; readonly token: string } {
    return { user: EGRESS_USER, token: this.#token };
  }

  /** Whether a `net` permission that was asked for is one that the host has: the proxy tells of what becomes of it. */
  isPermitted(target: string): boolean {
    if (target.startsWith("unix:")) return true;
    // Deno writes a name, a name with its port, or the URL that is fetched.
    const host = target.includes("://") ? hostOf(target) : target;
    return host === RELAY_HOSTNAME || host.startsWith(`${RELAY_HOSTNAME}:`) || this.#policy.grantsSomeOf(host);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy[Symbol.asyncDispose]();
  }
}

/** Host and port of a URL, the scheme's own port included. */
function hostOf(text: string): string {
  const url = URL.parse(text);
  if (url === null) return "";
  return url.port === "" ? `${url.hostname}:${url.protocol === "http:" ? 80 : 443}` : url.host;
}
