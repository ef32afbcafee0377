/**
 * Network access that a policy grants to sandboxed tasks.
 * @module
 */

export { EgressAccess } from "./access.ts";
export { EGRESS_LIMITS, type EgressLimits } from "./context.ts";
export type { Resolve } from "./dial.ts";
export type { EgressEvent } from "./events.ts";
export { type EgressPermissions, egressPermissions, RELAY_HOSTNAME } from "./permissions.ts";
export { EGRESS_USER, EgressProxy, type EgressProxyOptions } from "./proxy.ts";
export { hostRuleFault, HostRules } from "./rules.ts";
