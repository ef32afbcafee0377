/**
 * Which environment variable sets which setting.
 * @module
 */

/** One environment variable. */
export interface EnvironmentBinding {
  /** The variable's name. */
  readonly name: string;
  /** Key of the setting, such as `server.port`. */
  readonly key: string;
  /** What a number is multiplied with to get the setting's unit: 1000 for a variable in seconds and a setting in milliseconds. */
  readonly scale?: number;
  /**
   * Key of a second setting that is lowered to the variable's value when it is above it. `MAX_MEMORY_MB=256` means that
   * nothing gets more than 256 MB, so the default limit may not stay at 512.
   */
  readonly lowers?: string;
}

/** Every environment variable that configures the service, but `CONFIG_DIR`, which says where the files are. */
export const ENVIRONMENT: readonly EnvironmentBinding[] = [
  { name: "GRPC_HOST", key: "server.host" },
  { name: "GRPC_PORT", key: "server.port" },
  { name: "GRPC_PROCESSES", key: "server.processes" },
  { name: "MAX_PROCESS_MEMORY_MB", key: "server.maxProcessMemoryMb" },
  { name: "ALLOW_UNAUTHENTICATED_PUBLIC_BIND", key: "server.allowUnauthenticatedPublicBind" },
  { name: "GRPC_TLS_CERT", key: "server.tls.certFile" },
  { name: "GRPC_TLS_KEY", key: "server.tls.keyFile" },
  { name: "GRPC_TLS_CLIENT_CA", key: "server.tls.clientCaFile" },
  { name: "ALLOW_PLAINTEXT_TOKENS", key: "server.allowPlaintextTokens" },
  { name: "TOKENS_FILE", key: "auth.tokensFile" },
  { name: "MAX_CONNECTIONS", key: "server.maxConnections" },
  { name: "DRAIN_TIMEOUT_SECONDS", key: "server.drainTimeoutMs", scale: 1_000 },
  { name: "MAX_INPUT_SIZE_MB", key: "execution.maxInputMb" },
  { name: "QUEUE_LIMIT", key: "execution.queueLimit" },
  { name: "MAX_SESSIONS", key: "sessions.maxSessions" },
  { name: "SESSION_IDLE_TIMEOUT_MS", key: "sessions.idleTimeoutMs" },
  { name: "SANDBOX_ENABLED", key: "sandbox.enabled" },
  { name: "SANDBOX_TYPE", key: "sandbox.type" },
  { name: "MAX_WORKERS", key: "pool.maxWorkers" },
  { name: "PYTHON_ENABLED", key: "python.enabled" },
  { name: "PYTHON_VERSION", key: "python.version" },
  { name: "MAX_PYTHON_SANDBOXES", key: "python.maxSandboxes" },
  { name: "PYTHON_PACKAGES_DIR", key: "python.packagesDirectory" },
  { name: "METRICS_ENABLED", key: "metrics.enabled" },
  { name: "METRICS_HOST", key: "metrics.host" },
  { name: "METRICS_PORT", key: "metrics.port" },
  { name: "MAX_EXECUTION_TIME", key: "policy.ceilings.timeoutSeconds", lowers: "execution.defaults.timeoutSeconds" },
  { name: "MAX_MEMORY_MB", key: "policy.ceilings.memoryMb", lowers: "execution.defaults.memoryMb" },
  { name: "MAX_CPU_PERCENT", key: "policy.ceilings.cpuPercent", lowers: "execution.defaults.cpuPercent" },
  { name: "MAX_OUTPUT_SIZE_MB", key: "policy.ceilings.outputMb", lowers: "execution.defaults.outputMb" },
  { name: "ALLOW_NETWORKING", key: "policy.network.allowed" },
  { name: "ALLOW_FILESYSTEM", key: "policy.filesystem.allowed" },
  { name: "LOG_LEVEL", key: "logging.level" },
  { name: "LOG_LEVELS", key: "logging.levels" },
  { name: "LOG_FORMAT", key: "logging.format" },
  { name: "LOG_FILE", key: "logging.file.path" },
];
