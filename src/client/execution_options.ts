/**
 * What a call asks of its execution.
 * @module
 */

import type { ExecutionOptions } from "../../protos/generated/types.ts";

/** int32 of the wire. */
const MAX_INT = 2 ** 31 - 1;

/**
 * Limits of one execution, all of them whole numbers. What is absent or 0 is the service's default. The call rejects with
 * {@linkcode RpcError} of code PERMISSION_DENIED for more than the policy's ceiling, which its message names.
 *
 * An execution that comes to a limit rejects with {@linkcode ExecutionError}, whose `failureReason` says which one.
 */
export interface RequestedLimits {
  /** Wall time, in seconds; then `TIME_LIMIT`. The call's own `timeoutMs` should be longer. */
  readonly timeoutSeconds?: number | undefined;
  /** Memory, in mebibytes; then `MEMORY_LIMIT`. */
  readonly memoryLimitMb?: number | undefined;
  /** CPU time per wall time, in percent of one core. The execution is slowed down to it and does not fail. */
  readonly cpuLimitPercent?: number | undefined;
  /** CPU time altogether, in seconds; then `CPU_LIMIT`. */
  readonly cpuTimeSeconds?: number | undefined;
  /** Size of the encoded output, in mebibytes; then `RESULT_LIMIT`. */
  readonly maxOutputSizeMb?: number | undefined;
}

/**
 * What user code may do besides computing. The call rejects with {@linkcode RpcError} before anything runs: code
 * PERMISSION_DENIED for what the policy does not grant, its message names the rule; INVALID_ARGUMENT for a wish that makes
 * no sense.
 */
export interface RequestedGrants {
  /** Asks for the network: `fetch` and the functions of `Deno` that connect. Default false. */
  readonly enableNetworking?: boolean | undefined;
  /**
   * Hosts to reach, `name` or `name:port`, or addresses likewise; with `enableNetworking` only. Default: all that the
   * policy grants.
   */
  readonly networkHosts?: readonly string[] | undefined;
  /** Asks for a private scratch folder, which is deleted with the task. Default false. */
  readonly enableFilesystem?: boolean | undefined;
  /** Folder to start in, relative to the scratch folder, made where it is missing; with `enableFilesystem` only. */
  readonly workingDirectory?: string | undefined;
  /** Environment variables by name, all that the code sees; the policy must allow each name. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/**
 * The request's options.
 * @throws {RangeError} for a limit that is no whole number from 0
 */
export function toExecutionOptions(asked: RequestedLimits & RequestedGrants | undefined): ExecutionOptions | undefined {
  if (asked === undefined) return undefined;
  const limit = (name: keyof RequestedLimits) => {
    const value = asked[name] ?? 0;
    if (Number.isInteger(value) && value >= 0 && value <= MAX_INT) return value;
    throw new RangeError(`options.${name} must be a whole number from 0 to ${MAX_INT}, not ${value}`);
  };
  return {
    timeoutSeconds: limit("timeoutSeconds"),
    memoryLimitMb: limit("memoryLimitMb"),
    cpuLimitPercent: limit("cpuLimitPercent"),
    cpuTimeSeconds: limit("cpuTimeSeconds"),
    maxOutputSizeMb: limit("maxOutputSizeMb"),
    enableNetworking: asked.enableNetworking ?? false,
    networkHosts: [...asked.networkHosts ?? []],
    enableFilesystem: asked.enableFilesystem ?? false,
    workingDirectory: asked.workingDirectory ?? "",
    environment: { ...asked.environment },
  };
}
