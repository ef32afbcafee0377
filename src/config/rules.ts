/**
 * Rules between settings, which no single setting's check can see.
 * @module
 */
import type { Config, ExecutionLimitOptions } from "./schema.ts";

/** One rule between settings. */
export interface ConfigRule {
  /** The settings it looks at; the first is the one to blame. It is not tried when one of them is at fault already. */
  readonly keys: readonly string[];
  /** What is wrong, or `undefined`. */
  readonly check: (config: Config) => string | undefined;
}

/** Every rule between settings. */
export const RULES: readonly ConfigRule[] = [
  {
    keys: ["server.host", "server.allowUnauthenticatedPublicBind"],
    check({ server }) {
      if (isLoopbackHost(server.host) || server.allowUnauthenticatedPublicBind) return undefined;
      return `"${server.host}" can be reached from other machines, and callers need not prove who they are. ` +
        "Bind to 127.0.0.1, or set server.allowUnauthenticatedPublicBind (ALLOW_UNAUTHENTICATED_PUBLIC_BIND=true) " +
        "where something in front of the service decides who may call it";
    },
  },
  {
    keys: ["metrics.port", "server.port", "metrics.host", "server.host", "metrics.enabled"],
    check({ metrics, server }) {
      const same = metrics.enabled && metrics.port !== 0 && metrics.port === server.port &&
        (metrics.host === server.host || isWildcard(metrics.host) || isWildcard(server.host));
      return same ? `${metrics.port} is also server.port; two listeners need two ports` : undefined;
    },
  },
  ceiling("timeoutSeconds", "MAX_EXECUTION_TIME"),
  ceiling("memoryMb", "MAX_MEMORY_MB"),
  ceiling("cpuPercent", "MAX_CPU_PERCENT"),
  ceiling("outputMb", "MAX_OUTPUT_SIZE_MB"),
];

function ceiling(name: keyof ExecutionLimitOptions, variable: string): ConfigRule {
  return {
    keys: [`execution.defaults.${name}`, `policy.ceilings.${name}`],
    check({ execution, policy }) {
      const value = execution.defaults[name];
      const most = policy.ceilings[name];
      if (value <= most) return undefined;
      return `${value} is above the ceiling of ${most}. Lower it, or raise policy.ceilings.${name} ` +
        `(ceilings.${name} in security.yaml, or ${variable})`;
    },
  };
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Whether an address is certainly one that only this machine can reach. */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
