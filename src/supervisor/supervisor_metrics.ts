/**
 * What a supervisor counts itself.
 * @module
 */

import { Counter, Gauge, Registry } from "prom-client";

/** Why a front was replaced. */
export type ReplacementReason = "crashed" | "memory" | "reload" | "upgrade";

/** Metrics of the supervisor's own. */
export class SupervisorMetrics {
  readonly #registry = new Registry();
  readonly #replaced = new Counter({
    name: "rexec_front_restarts_total",
    help: "Front processes that were replaced",
    labelNames: ["reason"],
    registers: [this.#registry],
  });

  /** @param fronts fronts by state, asked at each scrape */
  constructor(fronts: () => Readonly<Record<string, number>>) {
    for (const reason of ["crashed", "memory", "reload", "upgrade"] as const) this.#replaced.inc({ reason }, 0);
    new Gauge({
      name: "rexec_fronts",
      help: "Front processes by state",
      labelNames: ["state"],
      registers: [this.#registry],
      collect() {
        for (const [state, count] of Object.entries(fronts())) this.set({ state }, count);
      },
    });
    new Gauge({
      name: "rexec_supervisor_resident_memory_bytes",
      help: "Resident memory of the supervisor",
      registers: [this.#registry],
      collect() {
        this.set(Deno.memoryUsage().rss);
      },
    });
  }

  /** A front was replaced. */
  replaced(reason: ReplacementReason): void {
    this.#replaced.inc({ reason });
  }

  /** All of it in Prometheus' text format. */
  render(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Media type of the text. */
  get contentType(): string {
    return this.#registry.contentType;
  }
}
