/**
 * The composition root: configuration → logging → sandboxes → gRPC → drain.
 * @module
 */

import { ExecutionStatus, ServiceStatus } from "../protos/generated/types.ts";
import { loadConfig, type LoadConfigOptions } from "./config/mod.ts";
import type { Config, SandboxOptions } from "./config/schema.ts";
import { ServiceError } from "./errors.ts";
import { highestMemoryMb } from "./execution/callers.ts";
import { maxNpmLayerBytes, maxPythonLayerBytes, TaskPackages } from "./packages/task_packages.ts";
import { CUSTOM_TASK, Executor } from "./execution/executor.ts";
import { serviceLogger, startLogging } from "./logging/mod.ts";
import { LoadMeter } from "./metrics/load_meter.ts";
import { type ExecutionOutcome, Metrics, startMetricsServer } from "./metrics/mod.ts";
import type { BoundSocket } from "./rpc/connections.ts";
import { RpcServer } from "./rpc/server.ts";
import { checkRuntime } from "./runtime_check.ts";
import { ControlGroups } from "./sandbox/cgroups/mod.ts";
import { requireSandboxCode } from "./sandbox/code.ts";
import { NO_GRANTS } from "./sandbox/grants.ts";
import { HostPool } from "./sandbox/host_pool.ts";
import type { HostProcess } from "./sandbox/host_process.ts";
import type { HostExit } from "./sandbox/task.ts";
import { TaskHostPool } from "./sandbox/task_host_pool.ts";
import { selectJail } from "./sandbox/jails/mod.ts";
import { probeSandbox, PYTHON_PROBED_PLACES } from "./sandbox/probe.ts";
import { tryCpuMs, tryResidentBytes } from "./sandbox/proc.ts";
import { RuntimeDirectory } from "./sandbox/runtime_directory.ts";
import { fillCache } from "./sandbox/warm_cache.ts";
import { StopSignal } from "./stop_signal.ts";
import { SERVICE_VERSION } from "./version.ts";
import { MEGABYTE } from "./units.ts";

const logger = serviceLogger("server");

/** Statuses as labels of metrics. */
const OUTCOME_LABEL = {
  [ExecutionStatus.UNSPECIFIED]: "error",
  [ExecutionStatus.SUCCESS]: "success",
  [ExecutionStatus.ERROR]: "error",
  [ExecutionStatus.TIMEOUT]: "timeout",
  [ExecutionStatus.CANCELLED]: "cancelled",
  [ExecutionStatus.RESOURCE_LIMIT]: "resource_limit",
  [ExecutionStatus.SECURITY_VIOLATION]: "security_violation",
  [ExecutionStatus.UNRECOGNIZED]: "error",
} as const satisfies Record<ExecutionStatus, ExecutionOutcome>;

/** What the command line says of the service. */
export interface ServeOptions {
  /** Folder of the configuration files; `CONFIG_DIR` or `config` when absent. */
  readonly configDir?: string | undefined;
  /** Settings by key (`server.port`) that go over files and environment. */
  readonly overrides?: Readonly<Record<string, unknown>> | undefined;
  /** Stops the service, as SIGTERM does. */
  readonly signal?: AbortSignal | undefined;
  /** Called once when calls are welcome. */
  readonly onReady?: ((service: ServiceInfo) => void) | undefined;
  /** Present where a supervisor runs the service as one of several. */
  readonly front?: FrontRole | undefined;
}

/** What a supervisor decides for one of several services on one port. Signals are the supervisor's, too. */
export interface FrontRole {
  /** Where configuration files are read from: all fronts are to see the same. */
  readonly readFile: LoadConfigOptions["readFile"];
  readonly socket: BoundSocket;
  /** What its log lines carry. */
  readonly logFields: Readonly<Record<string, unknown>>;
  /** Drains the service as SIGTERM does where there is no supervisor. */
  readonly stop: AbortSignal;
  /** Drains the service without refusing a call: a successor takes those that come. */
  readonly retire: AbortSignal;
  /** Kills what still runs when draining takes too long for somebody. */
  readonly hurry: AbortSignal;
  /** Called before `onReady`. */
  readonly onStarted: (service: FrontHandle) => void;
  /** Called when no execution is left, with how many were lost. */
  readonly onDrained: (lost: number) => Promise<void>;
}

/** What a supervisor can have of a running front. */
export interface FrontHandle {
  renderMetrics(): Promise<string>;
  /** Takes connections from one more socket. @throws {ServiceError} when it cannot be listened on */
  listenOn(socket: BoundSocket): Promise<void>;
}

/** A service that has come up. */
export interface ServiceInfo {
  readonly host: string;
  readonly port: number;
  /** Absent when metrics are off. */
  readonly metricsPort: number | undefined;
  /** What keeps tasks in. */
  readonly sandbox: string;
  readonly workers: number;
  /** Front processes; 0 when the process serves by itself. */
  readonly processes: number;
  /** Operations that the sandbox was seen to refuse; 0 when the probe is off. */
  readonly probedOperations: number;
  /** From the start of the program, in milliseconds. */
  readonly startupMs: number;
}

/**
 * Serves until a signal comes, then drains.
 *
 * @throws {ServiceError} `UNSUPPORTED_RUNTIME`, `CONFIG_INVALID`, `SANDBOX_LEAK` or `SANDBOX_LOST`: it could not start
 */
export async function serve(options: ServeOptions = {}): Promise<void> {
  const env = Deno.env.toObject();
  const runtime = checkRuntime(Deno.version.deno, env);
  const { configDir, overrides, front } = options;
  const { config } = loadConfig({ env, configDir, overrides, readFile: front?.readFile });
  await requireSandboxCode();

  await using stack = new AsyncDisposableStack();
  stack.use(await startLogging(config.logging, { isTerminal: Deno.stderr.isTerminal(), fields: front?.logFields }));
  if (runtime.kind === "untested") {
    logger.warn("Deno {version} is untested with this service", { version: runtime.version });
  }
  const stopping = stack.use(front === undefined ? StopSignal.ofProcess(options.signal) : StopSignal.ofFront(front));
  const service = await start(config, stack, front?.socket);
  front?.onStarted(service);
  logger.info("Serving gRPC on {host}:{port}", { ...service.info });
  options.onReady?.(service.info);

  const { reason, gently } = await stopping.received;
  logger.info("Draining: {reason}", { reason, active: service.executor.activeCount });
  const grace = AbortSignal.any([AbortSignal.timeout(config.server.drainTimeoutMs), stopping.repeated]);
  if (gently) await service.retire(grace);
  else service.drain();
  const lost = await service.executor.drain(grace);
  const why = stopping.repeated.aborted ? "a second signal came" : "the drain timeout has passed";
  if (lost > 0) logger.warn("Executions killed: {lost}, since {why}", { lost, why });
  else logger.info("Drained: no execution was lost");
  await front?.onDrained(lost);
}

interface RunningService extends FrontHandle {
  readonly info: ServiceInfo;
  readonly executor: Executor;
  /** Lets nobody in any more. */
  drain(): void;
  /** Sends clients to a successor; resolves when no new call comes. */
  retire(signal: AbortSignal): Promise<void>;
}

async function start(
  config: Config,
  stack: AsyncDisposableStack,
  socket: BoundSocket | undefined,
): Promise<RunningService> {
  const { path: runtimeDirectory } = stack.use(await RuntimeDirectory.create());
  let serviceStatus = ServiceStatus.STARTING;
  const controlGroups = detectControlGroups(config.sandbox, stack);
  const jail = await selectJail(config.sandbox, runtimeDirectory);
  const metrics = new Metrics({ build: { version: SERVICE_VERSION, deno: Deno.version.deno } });
  const hostOptions = {
    jail,
    controlGroups,
    runtimeDirectory,
    onHostExit: ({ reason }: HostExit) => metrics.hostRestarted(reason),
    startTimeoutMs: config.pool.startTimeoutMs,
    memoryMb: highestMemoryMb(config.policy),
    maxInputBytes: config.execution.maxInputMb * MEGABYTE,
    maxUnpackedBytes: config.policy.packages.maxUnpackedMb * MEGABYTE,
  };
  const dependencies = stack.use(
    await TaskPackages.open(config, { ...hostOptions, cache: { kind: "copy", from: null } }),
  );
  let proving = Promise.resolve();
  const executor = stack.use(
    await Executor.start({
      execution: config.execution,
      sessions: config.sessions,
      policy: config.policy,
      python: config.python,
      dependencies,
      observer: {
        executionEnded(nodeType, status, durationMs, queueMs, caller) {
          metrics.callerServed(caller, OUTCOME_LABEL[status]);
          metrics.executionEnded(nodeType, OUTCOME_LABEL[status], durationMs / 1_000);
          metrics.queueWaited(queueMs / 1_000);
        },
        sessionEnded: (nodeType, end, inputs) => metrics.sessionEnded(nodeType, end, inputs),
        audited: (event) => metrics.audited(event),
      },
      startPool: async (onCapacity) =>
        await HostPool.start({
          ...hostOptions,
          role: "node",
          grants: NO_GRANTS,
          cache: { kind: "copy", from: await fillCache("node", hostOptions) },
          onCapacity,
          maxWorkers: config.pool.maxWorkers,
        }),
      startTaskPool: async ({ length, onCapacity }) =>
        await TaskHostPool.start({
          ...hostOptions,
          cache: { kind: "copy", from: await fillCache("task", hostOptions) },
          maxInputBytes: hostOptions.maxInputBytes + config.policy.packages.maxCompressedMb * MEGABYTE +
            maxNpmLayerBytes(config.policy),
          onCapacity,
          queueLength: length,
          maxHosts: config.pool.maxTaskHosts,
          readyHosts: config.pool.readyTaskHosts,
          keptIdleMs: config.pool.keptIdleTimeoutMs,
        }),
      startPythonPool: async (version, { length, onCapacity }, { sharing, signal }) => {
        const directory = `${runtimeDirectory}/py${version}`;
        // Something of an attempt that failed may be there.
        await Deno.remove(directory, { recursive: true }).catch(() => {});
        await Deno.mkdir(directory, { mode: 0o700 });
        const options = {
          ...hostOptions,
          python: { version, sharesMemory: !config.python.ownHashSeeds },
          runtimeDirectory: directory,
          startTimeoutMs: config.python.startTimeoutMs,
        };
        const pool = await TaskHostPool.start({
          ...options,
          // Control groups are called so, and have no dots.
          idPrefix: `python${version.replace(".", "")}`,
          cache: { kind: "copy", from: await fillCache("task", options) },
          maxInputBytes: hostOptions.maxInputBytes + config.policy.packages.maxCompressedMb * MEGABYTE +
            maxPythonLayerBytes(config.policy),
          onCapacity,
          queueLength: length,
          sharing,
          maxHosts: config.python.maxSandboxes,
          readyHosts: 0,
          leastHosts: 0,
          keptIdleMs: config.pool.keptIdleTimeoutMs,
        }, signal);
        // One after the other: they share their targets.
        if (config.sandbox.probe) await (proving = proving.catch(() => {}).then(() => prove(pool, runtimeDirectory)));
        return pool;
      },
    }),
  );
  metrics.addCallers(executor.callers.names);
  metrics.addNodeTypes([...executor.nodes.map(({ nodeType }) => nodeType), CUSTOM_TASK]);
  const probed = config.sandbox.probe ? await probeEachKind(executor.hosts, runtimeDirectory) : 0;

  const meter = stack.use(new LoadMeter(() => usageOf([Deno.pid, ...executor.hosts.map(({ pid }) => pid)])));
  const rpc = stack.use(
    await RpcServer.start({ ...config.server, socket }, {
      executor,
      observer: metrics,
      load: () => meter.load,
      serviceStatus: () => serviceStatus,
    }, config.auth),
  );
  metrics.watchLoad({
    queueLength: () => executor.queueLength,
    activeTasks: () => executor.executionCount,
    sessions: () => executor.sessions.size,
    connections: () => rpc.connectionCount,
    hosts: () => {
      const { busy, available, kept, starting } = executor.taskLoad;
      return {
        ...executor.load,
        task_busy: busy,
        task_available: available,
        task_kept: kept,
        task_starting: starting,
        ...pythonStates(executor.pythonLoad),
      };
    },
  });
  const http = config.metrics.enabled
    ? stack.use(startMetricsServer({
      host: config.metrics.host,
      port: config.metrics.port,
      metrics,
      isLive: () => ({ ok: true }),
      isReady: () => ({ ok: serviceStatus === ServiceStatus.HEALTHY, reason: ServiceStatus[serviceStatus] }),
    }))
    : undefined;
  serviceStatus = ServiceStatus.HEALTHY;
  executor.warmUpPython();
  return {
    executor,
    info: {
      host: config.server.host,
      port: rpc.port,
      metricsPort: http?.port,
      sandbox: jail.type,
      workers: config.pool.maxWorkers,
      processes: 0,
      probedOperations: probed,
      startupMs: performance.now(),
    },
    renderMetrics: () => metrics.render(),
    listenOn: (socket) => rpc.listenOn(socket),
    drain() {
      serviceStatus = ServiceStatus.STOPPING;
      rpc.announceDrain();
    },
    retire: (signal) => rpc.retire(signal),
  };
}

/** Before any child lives: the kernel lets only a process without others in its group make groups below it. */
function detectControlGroups({ enabled, controlGroups }: SandboxOptions, stack: AsyncDisposableStack) {
  if (!enabled || controlGroups === "off") return undefined;
  const { groups, description } = ControlGroups.detect();
  logger.info("Limits of user code: {description}", { description });
  return groups && stack.use(groups);
}

/** Probes one host of each role; one for user code is thrown away afterwards, since it has had its task. */
async function probeEachKind(hosts: readonly HostProcess[], runtimeDirectory: string): Promise<number> {
  let operations = 0;
  for (const role of ["node", "task"] as const) {
    const host = hosts.find((candidate) => candidate.role === role);
    if (host === undefined) {
      throw new ServiceError("SANDBOX_LEAK", `Cannot serve: no sandbox for a ${role} is there to prove itself`);
    }
    operations += (await probeSandbox(host, runtimeDirectory)).length;
    if (role === "task") host.kill("retired");
  }
  return operations;
}

/** Hosts of Python by state, as labels of metrics; none where Python is not run. */
function pythonStates(load: Executor["pythonLoad"]): Record<string, number> {
  if (load === undefined) return {};
  return { python_busy: load.busy, python_available: load.available, python_starting: load.starting };
}

/** Probes the host that a pool of Python was started with, and throws it away; one such pool after the other. */
async function prove(pool: TaskHostPool, runtimeDirectory: string): Promise<void> {
  try {
    const [host] = pool.hosts;
    if (host === undefined) throw new ServiceError("SANDBOX_LOST", "Cannot probe sandbox: its host has ended");
    await probeSandbox(host, runtimeDirectory, PYTHON_PROBED_PLACES);
    host.kill("retired");
  } catch (error) {
    await pool[Symbol.asyncDispose]();
    throw error;
  }
}

function usageOf(pids: readonly number[]) {
  return new Map(pids.map((pid) => [pid, { cpuMs: tryCpuMs(pid), residentBytes: tryResidentBytes(pid) }] as const));
}
