/**
 * What the service counts and measures, for Prometheus.
 * @module
 */
import { cpuUsage } from "node:process";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Label of everything that is not known by name, so that callers cannot make up series. */
export const UNKNOWN = "unknown";

/** Label of callers that the policy does not name. */
export const OTHER = "other";

const MAX_METHODS = 64;
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const WAIT_BUCKETS = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30];

/** What an execution came to, as a label. */
export type ExecutionOutcome = "success" | "error" | "timeout" | "cancelled" | "resource_limit" | "security_violation";

/** Why a sandbox host was replaced, as a label. */
export type HostRestartReason = "killed" | "crashed" | "out_of_memory" | "retired";

/** Load that is read when somebody asks, rather than counted up and down. */
export interface LoadSources {
  /** Executions that wait for a sandbox. */
  readonly queueLength: () => number;
  /** Executions that run. */
  readonly activeTasks: () => number;
  /** Streams and sessions of objects that are open. */
  readonly sessions: () => number;
  /** Open client connections. */
  readonly connections: () => number;
  /** Sandbox hosts by state. The states are ours, so they are few. */
  readonly hosts: () => Readonly<Record<string, number>>;
}

/** What {@linkcode Metrics} needs to know. */
export interface MetricsSetup {
  /** Labels of `rexec_build_info`, such as `{ version, deno }`. */
  readonly build: Readonly<Record<string, string>>;
}

/**
 * The service's metrics, in a registry of their own.
 *
 * Every method is cheap enough for each call (some 100 to 250 ns), and none throws.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #nodeTypes = new Set<string>();
  readonly #methods = new Set<string>();
  readonly #callers = new Set<string>();

  readonly #requests = this.#counter("rexec_requests_total", "gRPC calls that ended", ["method", "status"]);
  readonly #executions = this.#counter("rexec_executions_total", "Executions that ended", ["node_type", "status"]);
  readonly #served = this.#counter("rexec_caller_executions_total", "Executions that ended, by caller", [
    "caller",
    "status",
  ]);
  readonly #restarts = this.#counter("rexec_host_restarts_total", "Sandbox hosts that were replaced", ["reason"]);
  readonly #audited = this.#counter("rexec_audit_events_total", "Refusals, denials and kills", ["event"]);
  readonly #sessions = this.#counter("rexec_sessions_total", "Streams and sessions of objects that ended", [
    "node_type",
    "end",
  ]);
  readonly #inputs = this.#counter("rexec_session_inputs_total", "Inputs and calls that sessions processed", [
    "node_type",
  ]);
  readonly #bytesIn = this.#counter("rexec_bytes_in_total", "Payload bytes received", []);
  readonly #bytesOut = this.#counter("rexec_bytes_out_total", "Payload bytes sent", []);
  readonly #durations = new Histogram({
    name: "rexec_execution_duration_seconds",
    help: "Wall time of executions in their sandbox",
    labelNames: ["node_type"],
    buckets: DURATION_BUCKETS,
    registers: [this.#registry],
  });
  readonly #waits = new Histogram({
    name: "rexec_queue_wait_seconds",
    help: "Time that executions waited for a sandbox",
    buckets: WAIT_BUCKETS,
    registers: [this.#registry],
  });

  /** @param setup Which labels there are */
  constructor({ build }: MetricsSetup) {
    new Gauge({
      name: "rexec_build_info",
      help: "Versions of what runs, as labels",
      labelNames: Object.keys(build),
      registers: [this.#registry],
    }).set(build, 1);
    this.#addProcessMetrics();
  }

  /** Gives node types series of their own; executions of others count as {@linkcode UNKNOWN}. */
  addNodeTypes(nodeTypes: Iterable<string>): void {
    for (const nodeType of nodeTypes) this.#nodeTypes.add(nodeType);
  }

  /** Gives callers series of their own; executions of others count as {@linkcode OTHER}. Without any, none is counted. */
  addCallers(callers: Iterable<string>): void {
    for (const caller of callers) this.#callers.add(caller);
  }

  /** An execution of a caller ended. */
  callerServed(caller: string, outcome: ExecutionOutcome): void {
    if (this.#callers.size === 0) return;
    this.#served.inc({ caller: this.#callers.has(caller) ? caller : OTHER, status: outcome });
  }

  /** A gRPC call ended with a status code's name, such as `OK`. */
  requestEnded(method: string, status: string): void {
    if (!this.#methods.has(method)) {
      if (this.#methods.size >= MAX_METHODS) method = UNKNOWN;
      else this.#methods.add(method);
    }
    this.#requests.inc({ method, status });
  }

  /** An execution ended after so many seconds in its sandbox. */
  executionEnded(nodeType: string, outcome: ExecutionOutcome, seconds: number): void {
    const node_type = this.#nodeTypes.has(nodeType) ? nodeType : UNKNOWN;
    this.#executions.inc({ node_type, status: outcome });
    this.#durations.observe({ node_type }, toDuration(seconds));
  }

  /**
   * A stream or a session of an object ended.
   * @param end how; the ends are the service's own, so they are few
   * @param inputs that it processed
   */
  sessionEnded(nodeType: string, end: string, inputs: number): void {
    const node_type = this.#nodeTypes.has(nodeType) ? nodeType : UNKNOWN;
    this.#sessions.inc({ node_type, end });
    this.#inputs.inc({ node_type }, inputs);
  }

  /** An execution waited so many seconds for its sandbox. */
  queueWaited(seconds: number): void {
    this.#waits.observe(toDuration(seconds));
  }

  /** A sandbox host was replaced. */
  hostRestarted(reason: HostRestartReason): void {
    this.#restarts.inc({ reason });
  }

  /** Something was refused, denied or ended by force. The events are the audit's own, so they are few. */
  audited(event: string): void {
    this.#audited.inc({ event });
  }

  /** Payload bytes came in. */
  bytesReceived(count: number): void {
    if (count > 0) this.#bytesIn.inc(count);
  }

  /** Payload bytes went out. */
  bytesSent(count: number): void {
    if (count > 0) this.#bytesOut.inc(count);
  }

  /**
   * Adds the load gauges.
   *
   * @param load Asked at each scrape
   * @throws {Error} When called twice
   */
  watchLoad(load: LoadSources): void {
    this.#gauge("rexec_queue_length", "Executions that wait for a sandbox", load.queueLength);
    this.#gauge("rexec_tasks_active", "Executions that run", load.activeTasks);
    this.#gauge("rexec_sessions", "Streams and sessions of objects that are open", load.sessions);
    this.#gauge("rexec_connections", "Open client connections", load.connections);
    new Gauge({
      name: "rexec_hosts",
      help: "Sandbox hosts by state",
      labelNames: ["state"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [state, count] of Object.entries(load.hosts())) this.set({ state }, count);
      },
    });
  }

  /** Everything in Prometheus' text format; its media type is {@linkcode Metrics.contentType}. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Media type of {@linkcode Metrics.render}'s text. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * Ours instead of prom-client's default metrics: those start observers that nothing stops, and list V8 heap spaces and
   * handles that mean nothing here.
   */
  #addProcessMetrics(): void {
    this.#gauge("process_resident_memory_bytes", "Resident memory of the server process", () => Deno.memoryUsage().rss);
    this.#gauge("process_heap_bytes", "JavaScript heap of the server process", () => Deno.memoryUsage().heapUsed);
    const startedAt = performance.timeOrigin / 1_000;
    this.#gauge("process_start_time_seconds", "Start of the server process since the epoch", () => startedAt);
    let before = 0;
    new Counter({
      name: "process_cpu_seconds_total",
      help: "CPU time of the server process, without its sandbox hosts",
      registers: [this.#registry],
      collect() {
        const { user, system } = cpuUsage();
        const now = (user + system) / 1e6;
        this.inc(Math.max(0, now - before));
        before = Math.max(before, now);
      },
    });
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }
}

/** Clocks that were set back must not throw. */
function toDuration(seconds: number): number {
  return seconds > 0 ? seconds : 0;
}
