/**
 * Metrics and health.
 * @module
 */
export { type HealthVerdict, type MetricsServer, type MetricsServerOptions, startMetricsServer } from "./http.ts";
export {
  type ExecutionOutcome,
  type HostRestartReason,
  type LoadSources,
  Metrics,
  type MetricsSetup,
  UNKNOWN,
} from "./metrics.ts";
