/**
 * What one execution may use: the request's wishes, the service's defaults, the policy's ceilings.
 * @module
 */

import type { ExecutionOptions } from "../../protos/generated/types.ts";
import type { ExecutionLimitOptions, PolicyOptions } from "../config/schema.ts";
import { ServiceError } from "../errors.ts";
import { MEGABYTE } from "../units.ts";

/** Limits of one execution, complete. */
export interface ExecutionLimits {
  /** Wall time, in milliseconds. */
  readonly timeoutMs: number;
  readonly memoryBytes: number;
  /** CPU time per wall time, in percent of one core. */
  readonly cpuPercent: number;
  readonly outputBytes: number;
}

/** Where limits come from. */
export interface LimitSources {
  readonly defaults: ExecutionLimitOptions;
  readonly policy: PolicyOptions;
}

/**
 * Resolves what a request asks for. Zero or absent means the default.
 *
 * @throws {ServiceError} `INVALID_ARGUMENT` for a negative value, `PERMISSION_DENIED` above a ceiling or for a right
 * that the policy does not grant; the message names the rule
 */
export function resolveLimits(
  options: ExecutionOptions | undefined,
  { defaults, policy }: LimitSources,
): ExecutionLimits {
  const { ceilings } = policy;
  if (options === undefined) {
    return toLimits(defaults.timeoutSeconds, defaults.memoryMb, defaults.cpuPercent, defaults.outputMb);
  }
  refuseUngranted(options, policy);
  return toLimits(
    resolve("timeout_seconds", options.timeoutSeconds, defaults.timeoutSeconds, ceilings, "timeoutSeconds"),
    resolve("memory_limit_mb", options.memoryLimitMb, defaults.memoryMb, ceilings, "memoryMb"),
    resolve("cpu_limit_percent", options.cpuLimitPercent, defaults.cpuPercent, ceilings, "cpuPercent"),
    resolve("max_output_size_mb", options.maxOutputSizeMb, defaults.outputMb, ceilings, "outputMb"),
  );
}

function toLimits(timeoutSeconds: number, memoryMb: number, cpuPercent: number, outputMb: number): ExecutionLimits {
  return {
    timeoutMs: timeoutSeconds * 1_000,
    memoryBytes: memoryMb * MEGABYTE,
    cpuPercent,
    outputBytes: outputMb * MEGABYTE,
  };
}

function resolve(
  field: string,
  asked: number,
  fallback: number,
  ceilings: ExecutionLimitOptions,
  key: keyof ExecutionLimitOptions,
): number {
  if (asked === 0) return fallback;
  if (asked < 0) {
    throw new ServiceError("INVALID_ARGUMENT", `Cannot run task: options.${field} is "${asked}", must not be negative`);
  }
  const ceiling = ceilings[key];
  if (asked > ceiling) {
    throw new ServiceError(
      "PERMISSION_DENIED",
      `Cannot run task: options.${field} is "${asked}", above the policy's ceiling ceilings.${key} of ${ceiling}`,
      { details: { rule: `ceilings.${key}`, ceiling: String(ceiling) } },
    );
  }
  return asked;
}

/** Built-in nodes need no rights; a request that asks for one that the policy does not grant is refused all the same. */
function refuseUngranted(options: ExecutionOptions, policy: PolicyOptions): void {
  if (options.enableNetworking && !policy.network.allowed) refuse("enable_networking", "network.allowed");
  if (options.enableFilesystem && !policy.filesystem.allowed) refuse("enable_filesystem", "filesystem.allowed");
  for (const name of Object.keys(options.environment)) {
    if (!isAllowedName(name, policy.environment.allowedNames)) {
      refuse(`environment["${name}"]`, "environment.allowedNames");
    }
  }
}

function isAllowedName(name: string, allowed: readonly string[]): boolean {
  return allowed.some((pattern) => pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern);
}

function refuse(field: string, rule: string): never {
  throw new ServiceError(
    "PERMISSION_DENIED",
    `Cannot run task: options.${field} is not granted by the policy's ${rule}`,
    {
      details: { rule },
    },
  );
}
