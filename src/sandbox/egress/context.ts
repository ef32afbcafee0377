/**
 * What the connections of one egress proxy share, and its bounds.
 * @module
 */

import type { Resolve } from "./dial.ts";
import type { BoundedEvents } from "./events.ts";
import type { HostRules } from "./rules.ts";

/** Bounds of one egress proxy. */
export interface EgressLimits {
  /** Connections at once; further ones wait. */
  readonly maxConnections: number;
  /** Connections in the proxy's life; further ones are refused. */
  readonly maxConnectionsTotal: number;
  /** Length of a request's line and fields. */
  readonly maxHeadBytes: number;
  /** Time for the head to come. */
  readonly headTimeoutMs: number;
  /** Time to resolve the name and to connect. */
  readonly connectTimeoutMs: number;
  /** A connection on which nothing moves for this long is closed. */
  readonly idleTimeoutMs: number;
  /** Bytes that the task may send, heads included, in the proxy's life; `null` for no limit. */
  readonly maxSentBytes: number | null;
  /** Bytes that the task may receive in the proxy's life; `null` for no limit. */
  readonly maxReceivedBytes: number | null;
  /** Events told; the rest is counted. */
  readonly maxEvents: number;
}

/** Bounds that leave ordinary programs alone. */
export const EGRESS_LIMITS: EgressLimits = {
  maxConnections: 16,
  maxConnectionsTotal: 10_000,
  maxHeadBytes: 32 * 1024,
  headTimeoutMs: 10_000,
  connectTimeoutMs: 15_000,
  idleTimeoutMs: 120_000,
  maxSentBytes: null,
  maxReceivedBytes: null,
  maxEvents: 100,
};

/** What the connections of one proxy share. */
export interface EgressContext {
  readonly rules: HostRules;
  readonly limits: EgressLimits;
  readonly resolve: Resolve;
  readonly events: BoundedEvents;
  /** Whether these are the task's credentials. */
  readonly isAuthentic: (credentials: string | undefined) => boolean;
  readonly traffic: { sentBytes: number; receivedBytes: number };
}

/** Which limit of the task's traffic is passed, if one is. */
export function trafficFault({ traffic, limits }: EgressContext): string | undefined {
  if (limits.maxSentBytes !== null && traffic.sentBytes > limits.maxSentBytes) {
    return `the task has sent more than ${limits.maxSentBytes} bytes`;
  }
  if (limits.maxReceivedBytes !== null && traffic.receivedBytes > limits.maxReceivedBytes) {
    return `the task has received more than ${limits.maxReceivedBytes} bytes`;
  }
  return undefined;
}
