/**
 * Serves, by this process alone or under a supervisor, as `server.processes` says.
 * @module
 */

import { type Config, loadConfig } from "../config/mod.ts";
import { serviceLogger, startLogging } from "../logging/mod.ts";
import { serve, type ServeOptions } from "../main.ts";
import { startMetricsServer } from "../metrics/mod.ts";
import { checkRuntime } from "../runtime_check.ts";
import { requireSandboxCode } from "../sandbox/code.ts";
import { StopSignal } from "../stop_signal.ts";
import { ListenSockets } from "./listen_sockets.ts";
import { takeSnapshot } from "./sources.ts";
import { Supervisor } from "./supervisor.ts";

const logger = serviceLogger("supervisor");

/**
 * Serves until a signal comes, then drains.
 *
 * With `server.processes` above 0 SIGHUP reads the configuration again, and SIGUSR2 starts the fronts again from the
 * program as it is on disk.
 *
 * @throws {ServiceError} as {@linkcode serve}
 */
export async function serveSupervised(options: Omit<ServeOptions, "front"> = {}): Promise<void> {
  const env = Deno.env.toObject();
  const { configDir, overrides } = options;
  checkRuntime(Deno.version.deno, env);
  const sources = { env, configDir, overrides };
  if (loadConfig(sources).config.server.processes === 0) return await serve(options);

  const snapshot = takeSnapshot(sources);
  const { config } = snapshot;
  await requireSandboxCode();
  await using stack = new AsyncDisposableStack();
  stack.use(await startLogging(config.logging, { isTerminal: Deno.stderr.isTerminal() }));
  const signals = stack.use(new ReplaceSignals());
  const stopping = stack.use(StopSignal.ofSupervisor(options.signal));
  const { host, port, processes } = config.server;
  const sockets = stack.use(await ListenSockets.bind({ host, port, count: processes }));
  const starting = Supervisor.start({ sockets, sources, snapshot });
  // A stop that comes while they start is heeded once they have started.
  const { supervisor, first } = await starting;
  stack.use(supervisor);
  signals.apply(supervisor);
  const http = config.metrics.enabled ? stack.use(startMetrics(config, supervisor)) : undefined;
  logger.info("Serving gRPC on {host}:{port} with {processes} front processes", {
    host,
    port: sockets.port,
    processes,
  });
  options.onReady?.({
    ...first,
    workers: config.pool.maxWorkers,
    processes,
    metricsPort: http?.port,
    startupMs: performance.now(),
  });

  const { reason } = await stopping.received;
  logger.info("Draining all fronts: {reason}", { reason });
  const hurry = () => supervisor.hurry();
  if (stopping.repeated.aborted) hurry();
  else stopping.repeated.addEventListener("abort", hurry, { once: true });
  await supervisor.stop();
  logger.info("All fronts have ended");
}

function startMetrics({ metrics: { host, port } }: Config, supervisor: Supervisor) {
  return startMetricsServer({
    host,
    port,
    metrics: supervisor,
    isLive: () => ({ ok: true }),
    isReady: () => ({ ok: supervisor.isReady, reason: supervisor.isReady ? undefined : "no front serves" }),
  });
}

/** SIGHUP and SIGUSR2, from the first moment on: both would end the process otherwise. */
class ReplaceSignals implements Disposable {
  #supervisor: Supervisor | undefined;
  readonly #handlers: ReadonlyMap<Deno.Signal, () => void> = new Map<Deno.Signal, () => void>([
    ["SIGHUP", () => void this.#supervisor?.reload()],
    ["SIGUSR2", () => void this.#supervisor?.upgrade()],
  ]);

  constructor() {
    for (const [name, handler] of this.#handlers) Deno.addSignalListener(name, handler);
  }

  /** Signals from now on are for this supervisor; those before had nothing to replace. */
  apply(supervisor: Supervisor): void {
    this.#supervisor = supervisor;
  }

  [Symbol.dispose](): void {
    for (const [name, handler] of this.#handlers) Deno.removeSignalListener(name, handler);
  }
}
