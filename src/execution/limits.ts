/**
 * What one execution may use: the request's wishes, the service's defaults, the policy's ceilings.
 * @module
 */

import type { ExecutionOptions } from "../../protos/generated/types.ts";
import type { ExecutionCeilingOptions, ExecutionLimitOptions, PolicyOptions } from "../config/schema.ts";
import { ServiceError } from "../errors.ts";
import { MEGABYTE } from "../units.ts";

/** Limits of one execution, complete. */
export interface ExecutionLimits {
  /** Wall time, in milliseconds. */
  readonly timeoutMs: number;
  readonly memoryBytes: number;
  /** CPU time per wall time, in percent of one core. */
  readonly cpuPercent: number;
  /** CPU time altogether, in milliseconds. */
  readonly cpuMs: number;
  readonly threads: number;
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
 * @throws {ServiceError} `INVALID_ARGUMENT` for a negative value, `PERMISSION_DENIED` above a ceiling; the message names
 * the rule
 */
export function resolveLimits(
  options: ExecutionOptions | undefined,
  { defaults, policy: { ceilings } }: LimitSources,
): ExecutionLimits {
  const limit = (field: string, asked: number | undefined, fallback: number, key: keyof ExecutionCeilingOptions) =>
    resolve(field, asked ?? 0, fallback, ceilings, key);
  const seconds = limit("timeout_seconds", options?.timeoutSeconds, defaults.timeoutSeconds, "timeoutSeconds");
  const memoryMb = limit("memory_limit_mb", options?.memoryLimitMb, defaults.memoryMb, "memoryMb");
  const cpuSeconds = limit("cpu_time_seconds", options?.cpuTimeSeconds, ceilings.cpuSeconds, "cpuSeconds");
  const outputMb = limit("max_output_size_mb", options?.maxOutputSizeMb, defaults.outputMb, "outputMb");
  return {
    timeoutMs: seconds * 1_000,
    memoryBytes: memoryMb * MEGABYTE,
    cpuPercent: limit("cpu_limit_percent", options?.cpuLimitPercent, defaults.cpuPercent, "cpuPercent"),
    cpuMs: cpuSeconds * 1_000,
    threads: ceilings.threads,
    outputBytes: outputMb * MEGABYTE,
  };
}

function resolve(
  field: string,
  asked: number,
  fallback: number,
  ceilings: ExecutionCeilingOptions,
  key: keyof ExecutionCeilingOptions,
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
