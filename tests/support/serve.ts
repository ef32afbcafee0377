/**
 * Serves for a test: settings come as JSON in the only argument, ports are free ones, and one JSON line on standard
 * output tells where it serves. SIGTERM drains it, as it does the real program.
 *
 * Usage: `deno run -A tests/support/serve.ts '{"pool.maxWorkers": 1}'`
 *
 * The line: `{"port": 41234, "metricsPort": 41235, "pid": 4711, …}`, the rest as `ServiceInfo` in src/main.ts says.
 *
 * @module
 */

import { serveSupervised } from "../../src/supervisor/mod.ts";

/**
 * For tests: free ports, few workers, no sandbox for user code before it is wanted, and a log that one can read where
 * something fails.
 */
const DEFAULTS = {
  "server.port": 0,
  "metrics.port": 0,
  "pool.maxWorkers": 2,
  "pool.readyTaskHosts": 0,
  "python.readySandboxes": 0,
  "logging.format": "json",
};

const overrides: Record<string, unknown> = JSON.parse(Deno.args[0] ?? "{}");
await serveSupervised({
  configDir: Deno.env.get("CONFIG_DIR") ?? new URL("../../config", import.meta.url).pathname,
  overrides: { ...DEFAULTS, ...overrides },
  onReady: (info) => console.log(JSON.stringify({ pid: Deno.pid, ...info })),
});
