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
export async function reuseKeyOf(
  { codePackage, dependencies }: { readonly codePackage: Uint8Array; readonly dependencies: readonly string[] },
  of: { readonly caller: string; readonly grants: Grants; readonly policy: PolicyOptions },
): Promise<string | null> {
  const { caller, grants, policy } = of;
  if (policy.reuse === "never" || caller === ANONYMOUS || grants.scratchBytes !== null) return null;
  // The bytes came from the wire: never shared.
  const digest = await crypto.subtle.digest("SHA-256", codePackage as Uint8Array<ArrayBuffer>);
  return JSON.stringify([
    caller,
    new Uint8Array(digest).toHex(),
    dependencies,
    grants.networkHosts,
    grants.wantedHosts,
  ]);
}
