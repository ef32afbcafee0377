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
    keys: ["server.host", "server.allowUnauthenticatedPublicBind", "server.tls.clientCaFile", "auth.tokensFile"],
    check({ server, auth }) {
      if (isLoopbackHost(server.host) || server.allowUnauthenticatedPublicBind) return undefined;
      if (auth.tokensFile !== null || server.tls.clientCaFile !== null) return undefined;
      return `"${server.host}" can be reached from other machines, and callers need not prove who they are. ` +
        "Bind to 127.0.0.1; or make tokens with `rexec token create` and set auth.tokensFile (TOKENS_FILE); or ask for " +
        "client certificates with server.tls.clientCaFile (GRPC_TLS_CLIENT_CA); or set " +
        "server.allowUnauthenticatedPublicBind (ALLOW_UNAUTHENTICATED_PUBLIC_BIND=true) where something in front of " +
        "the service decides who may call it";
    },
  },
  {
    keys: ["server.host", "auth.tokensFile", "server.tls.certFile", "server.allowPlaintextTokens"],
    check({ server, auth }) {
      if (auth.tokensFile === null || server.tls.certFile !== null) return undefined;
      if (isLoopbackHost(server.host) || server.allowPlaintextTokens) return undefined;
      return `"${server.host}" can be reached from other machines, and tokens would cross the network unencrypted. ` +
        "Set server.tls.certFile and keyFile (GRPC_TLS_CERT, GRPC_TLS_KEY), or server.allowPlaintextTokens " +
        "(ALLOW_PLAINTEXT_TOKENS=true) where something in front of the service encrypts";
    },
  },
  needs("server.tls.certFile", "GRPC_TLS_CERT", "server.tls.keyFile", "GRPC_TLS_KEY"),
  needs("server.tls.keyFile", "GRPC_TLS_KEY", "server.tls.certFile", "GRPC_TLS_CERT"),
  needs("server.tls.clientCaFile", "GRPC_TLS_CLIENT_CA", "server.tls.certFile", "GRPC_TLS_CERT"),
  {
    keys: ["metrics.port", "server.port", "metrics.host", "server.host", "metrics.enabled"],
    check({ metrics, server }) {
      const same = metrics.enabled && metrics.port !== 0 && metrics.port === server.port &&
        (metrics.host === server.host || isWildcard(metrics.host) || isWildcard(server.host));
      return same ? `${metrics.port} is also server.port; two listeners need two ports` : undefined;
    },
  },
  share("pool.maxWorkers", "MAX_WORKERS", ({ pool }) => pool.maxWorkers),
  share("pool.maxTaskHosts", undefined, ({ pool }) => pool.maxTaskHosts),
  share("python.maxSandboxes", "MAX_PYTHON_SANDBOXES", ({ python }) => python.enabled ? python.maxSandboxes : Infinity),
  share("server.maxConnections", "MAX_CONNECTIONS", ({ server }) => server.maxConnections),
  share("server.maxConnectionsPerPeer", undefined, ({ server }) => server.maxConnectionsPerPeer),
  {
    keys: ["policy.callers", "server.processes"],
    check({ policy, server }) {
      for (const [caller, { maxActiveTasks = 0 }] of Object.entries(policy.callers)) {
        if (maxActiveTasks === 0 || maxActiveTasks >= server.processes) continue;
        return `maxActiveTasks of "${caller}" is ${maxActiveTasks}, and cannot be divided among ` +
          `${server.processes} front processes. Raise it, or lower server.processes (GRPC_PROCESSES)`;
      }
      return undefined;
    },
  },
  ceiling("timeoutSeconds", "MAX_EXECUTION_TIME"),
  ceiling("memoryMb", "MAX_MEMORY_MB"),
  ceiling("cpuPercent", "MAX_CPU_PERCENT"),
  ceiling("outputMb", "MAX_OUTPUT_SIZE_MB"),
];

type TlsKey = "server.tls.certFile" | "server.tls.keyFile" | "server.tls.clientCaFile";

/** A file of TLS that does nothing without another. */
function needs(key: TlsKey, variable: string, other: TlsKey, otherVariable: string): ConfigRule {
  const valueOf = ({ server: { tls } }: Config, name: TlsKey) => {
    if (name === "server.tls.certFile") return tls.certFile;
    return name === "server.tls.keyFile" ? tls.keyFile : tls.clientCaFile;
  };
  return {
    keys: [key, other],
    check(config) {
      if (valueOf(config, key) === null || valueOf(config, other) !== null) return undefined;
      return `without ${other} there is no TLS. Set ${other} (${otherVariable}) too, or take ${key} (${variable}) away`;
    },
  };
}

/** A total of the service of which every front process needs one at least. */
function share(key: string, variable: string | undefined, total: (config: Config) => number): ConfigRule {
  return {
    keys: [key, "server.processes"],
    check(config) {
      const count = total(config);
      const { processes } = config.server;
      if (count >= processes) return undefined;
      const name = variable === undefined ? "it" : `it (${variable})`;
      return `${count} cannot be divided among ${processes} front processes. Raise ${name}, or lower ` +
        "server.processes (GRPC_PROCESSES)";
    },
  };
}

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
