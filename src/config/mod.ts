/**
 * Configuration: schema, sources, faults and description.
 * @module
 */
export { describeConfig, type DescribeConfigOptions } from "./describe.ts";
export { ENVIRONMENT, type EnvironmentBinding } from "./environment.ts";
export {
  allSettings,
  CONFIG_FILES,
  DEFAULT_CONFIG_DIR,
  loadConfig,
  type LoadConfigOptions,
  type LoadedConfig,
  type Origin,
  readConfigFile,
} from "./load.ts";
export { isLoopbackHost } from "./rules.ts";
export {
  AuthOptions,
  CALLER_NAME,
  CallerPolicy,
  Config,
  ExecutionCeilingOptions,
  ExecutionLimitOptions,
  ExecutionSectionOptions,
  LOG_LEVELS,
  LoggingOptions,
  type LogLevelName,
  MetricsOptions,
  PolicyOptions,
  PoolOptions,
  SandboxOptions,
  ServerOptions,
  SessionOptions,
} from "./schema.ts";
