/**
 * Where a worker with network keeps its way to make the network functions. Those are captured while the runtime is whole,
 * by a module that takes time to load, so that only workers with network load it.
 *
 * @module
 */

import type { GrantedNetwork, NetworkGrant } from "./network/granted_network.ts";

/** Makes the functions, and what they are used with. */
export interface NetworkApi {
  grant(grant: NetworkGrant): GrantedNetwork;
  /** `Request`, `Response` and so on. */
  readonly classes: Readonly<Record<string, unknown>>;
}

let api: NetworkApi | undefined;

/** Called once, before the worker is locked. */
export function setNetworkApi(made: NetworkApi): void {
  api = made;
}

/** What was captured; `undefined` in a worker without network. */
export function networkApi(): NetworkApi | undefined {
  return api;
}
