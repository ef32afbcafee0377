/**
 * Network access that a policy grants to sandboxed tasks.
 * @module
 */

export type { EgressLimits } from "./client_connection.ts";
export type { Resolve } from "./dial.ts";
export type { EgressEvent } from "./events.ts";
export { type EgressPermissions, egressPermissions, RELAY_HOSTNAME } from "./permissions.ts";
export { EGRESS_LIMITS, EGRESS_USER, EgressProxy, type EgressProxyOptions } from "./proxy.ts";
export { hostRuleFault, HostRules } from "./rules.ts";
