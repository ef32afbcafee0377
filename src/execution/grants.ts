/**
 * What one execution may do: the request's wishes within what the policy grants.
 * @module
 */

import type { ExecutionOptions } from "../../protos/generated/types.ts";
import type { PolicyOptions } from "../config/schema.ts";
import { ServiceError } from "../errors.ts";
import { HostRules } from "../sandbox/egress/mod.ts";
import { type Grants, NO_GRANTS } from "../sandbox/grants.ts";
import { MEGABYTE } from "../units.ts";

/** Longest path of a working directory, in bytes: what Linux lets a single name have (`NAME_MAX`). */
const MAX_DIRECTORY_BYTES = 255;
const MAX_VARIABLES = 1_000;

/**
 * Refuses what the policy does not grant. Built-in nodes need no rights; a request that asks for one is refused all the
 * same.
 *
 * @throws {ServiceError} `PERMISSION_DENIED`; the message names the rule
 */
export function refuseUngranted(options: ExecutionOptions | undefined, policy: PolicyOptions): void {
  if (options === undefined) return;
  if (options.enableNetworking && !policy.network.allowed) refuse("enable_networking", "network.allowed");
  if (options.enableFilesystem && !policy.filesystem.allowed) refuse("enable_filesystem", "filesystem.allowed");
  for (const name of Object.keys(options.environment)) {
    if (!isAllowedName(name, policy.environment.allowedNames)) {
      refuse(`environment["${name.slice(0, 100)}"]`, "environment.allowedNames");
    }
  }
}

/**
 * What user code is granted.
 *
 * @throws {ServiceError} `PERMISSION_DENIED` for a right that the policy does not grant, the message names the rule;
 * `INVALID_ARGUMENT` for a wish that makes no sense
 */
export function resolveGrants(options: ExecutionOptions | undefined, policy: PolicyOptions): Grants {
  refuseUngranted(options, policy);
  if (options === undefined) return NO_GRANTS;
  const { enableNetworking, enableFilesystem, workingDirectory, environment, networkHosts } = options;
  if (Object.keys(environment).length > MAX_VARIABLES) {
    throw invalid("environment", `has ${Object.keys(environment).length} variables, allowed are ${MAX_VARIABLES}`);
  }
  for (const [name, value] of Object.entries(environment)) {
    if (value.includes("\0")) throw invalid(`environment["${name}"]`, "must not hold a NUL character");
  }
  if (workingDirectory !== "" && !enableFilesystem) {
    throw invalid("working_directory", "needs options.enable_filesystem, which gives the task a folder to work in");
  }
  if (networkHosts.length > 0 && !enableNetworking) {
    throw invalid("network_hosts", "needs options.enable_networking");
  }
  if (enableNetworking) HostRules.parse(policy.network.hosts).narrowedTo(networkHosts);
  return {
    networkHosts: enableNetworking ? policy.network.hosts : null,
    wantedHosts: networkHosts,
    scratchBytes: enableFilesystem ? policy.filesystem.scratchMb * MEGABYTE : null,
    workingDirectory: normalDirectory(workingDirectory),
  };
}

/** A path below the scratch folder, without empty segments and dots. */
function normalDirectory(directory: string): string {
  const { length } = new TextEncoder().encode(directory);
  if (length > MAX_DIRECTORY_BYTES) {
    throw invalid("working_directory", `has ${length} bytes, allowed are ${MAX_DIRECTORY_BYTES}`);
  }
  const segments = directory.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (directory.startsWith("/") || directory.includes("\0") || segments.includes("..")) {
    throw invalid("working_directory", "must be a path within the task's scratch folder, relative and without `..`");
  }
  return segments.join("/");
}

function isAllowedName(name: string, allowed: readonly string[]): boolean {
  return allowed.some((pattern) => pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern);
}

function invalid(field: string, fault: string): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", `Cannot run task: options.${field} ${fault}`);
}

function refuse(field: string, rule: string): never {
  throw new ServiceError(
    "PERMISSION_DENIED",
    `Cannot run task: options.${field} is not granted by the policy's ${rule}`,
    { details: { rule } },
  );
}
