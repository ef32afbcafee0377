/**
 * Which executions may have the same sandbox, one after the other.
 * @module
 */

import type { PolicyOptions } from "../config/schema.ts";
import type { Grants } from "../sandbox/grants.ts";
import { ANONYMOUS } from "./callers.ts";

/**
 * What executions must have in common to have the same sandbox one after the other: the caller, the package
 * and what it depends on, the rights.
 * `null` where the policy has each in a sandbox of its own, for callers that nobody can tell apart, and for those that
 * leave files behind.
 */
export function reuseKeyOf(
  { packageDigest, dependencies }: { readonly packageDigest: string; readonly dependencies: readonly string[] },
  of: { readonly caller: string; readonly grants: Grants; readonly policy: PolicyOptions },
): string | null {
  const { caller, grants, policy } = of;
  if (policy.reuse === "never" || caller === ANONYMOUS || grants.scratchBytes !== null) return null;
  return JSON.stringify([caller, packageDigest, dependencies, grants.networkHosts, grants.wantedHosts]);
}
