/**
 * Runs a load from several processes, and watches the server meanwhile.
 * @module
 */

import { fileURLToPath } from "node:url";
import { Histogram } from "./histogram.ts";
import type { LoadPart, LoadPlan, LoadReport } from "./load_plan.ts";
import { processTree, proportionalBytes, threadTimes } from "./usage.ts";

/** What to load, and how. */
export interface LoadOptions extends LoadPlan {
  /** Processes that share the parts' streams and callers. */
  readonly processes: number;
  /** The server's process, to measure it and its hosts; absent when it runs elsewhere. */
  readonly serverPid?: number | undefined;
}

/** What came of one part, all processes together. */
export interface PartResult {
  readonly latency: Histogram;
  readonly sent: number;
  readonly answered: number;
  readonly unsent: number;
  readonly unanswered: number;
  readonly errors: ReadonlyMap<string, number>;
  /** Answers a second in the measured time. */
  readonly answersPerSecond: number;
}

/** CPU of a server, in percent of one core over the whole run, by its parts. */
export interface ServerCpu {
  readonly frontLoop: number;
  readonly frontOthers: number;
  readonly hostRelays: number;
  readonly hostWorkers: number;
  readonly hostOthers: number;
}

/** What came of a load. */
export interface LoadResult {
  readonly parts: ReadonlyMap<string, PartResult>;
  readonly lag: Histogram;
  /** Of all generator processes, in percent of one core. */
  readonly clientCpu: number;
  readonly server:
    | {
      readonly cpu: ServerCpu;
      readonly memoryBytes: number;
      readonly frontMemoryBytes: number;
      readonly hosts: number;
    }
    | undefined;
}

/**
 * Opens everything, lets it run, and adds up.
 * @throws {Error} when a process of the generator fails
 */
export async function runLoad({ processes, serverPid, ...plan }: LoadOptions): Promise<LoadResult> {
  const children = Array.from({ length: processes }, (_, index) =>
    new LoadProcess({
      ...plan,
      parts: Object.fromEntries(
        Object.entries(plan.parts).map(([name, part]) => [name, share(part, index, processes)]),
      ),
    }));
  await Promise.all(children.map((child) => child.line("ready")));
  const clientPids = children.map(({ pid }) => pid);
  const before = { server: cpuOf(serverPid), client: totalCpu(clientPids), at: performance.now() };
  await Promise.all(children.map((child) => child.start()));
  await Promise.all(children.map((child) => child.line("paced")));
  const elapsedMs = performance.now() - before.at;
  const toPercent = (micros: number) => micros / elapsedMs / 10;
  const clientCpu = toPercent(totalCpu(clientPids) - before.client);
  const after = cpuOf(serverPid);
  const pids = serverPid === undefined ? [] : processTree(serverPid);
  const memory = pids.map(proportionalBytes);
  const reports = await Promise.all(children.map((child) => child.report()));
  return {
    ...merge(reports, plan.seconds - plan.warmUpSeconds),
    clientCpu,
    server: pids.length === 0 ? undefined : {
      cpu: cpuBetween(before.server, after, toPercent),
      memoryBytes: memory.reduce((sum, bytes) => sum + bytes, 0),
      frontMemoryBytes: memory[0] ?? NaN,
      hosts: pids.length - 1,
    },
  };
}

/** The part of one of several processes. */
function share(part: LoadPart, index: number, processes: number): LoadPart {
  return { ...part, count: Math.floor((part.count + index) / processes) };
}

/** One process of the generator. */
class LoadProcess {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(plan: LoadPlan) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        fileURLToPath(new URL("./load_process.ts", import.meta.url)),
        JSON.stringify(plan),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  get pid(): number {
    return this.#child.pid;
  }

  async start(): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("\n"));
    await writer.close();
  }

  /** Waits for a line. */
  async line(expected: string): Promise<void> {
    const line = await this.#next();
    if (line !== expected) throw new Error(`Cannot generate load: a process said "${line}" instead of "${expected}"`);
  }

  async report(): Promise<LoadReport> {
    // Our own program prints it.
    const report = JSON.parse(await this.#next()) as LoadReport;
    await this.#child.status;
    return report;
  }

  async #next(): Promise<string> {
    while (!this.#text.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("Cannot generate load: a process ended early");
      this.#text += value;
    }
    const end = this.#text.indexOf("\n");
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return line;
  }
}

function merge(reports: readonly LoadReport[], measuredSeconds: number): Pick<LoadResult, "parts" | "lag"> {
  const lag = new Histogram();
  for (const report of reports) lag.addAll(report.lag);
  const names = Object.keys(reports[0]?.parts ?? {});
  const parts = new Map(names.map((name): [string, PartResult] => {
    const found = reports.flatMap(({ parts }) => parts[name] ?? []);
    const sum = (key: "sent" | "answered" | "unsent" | "unanswered") => found.reduce((all, part) => all + part[key], 0);
    const latency = new Histogram();
    const errors = new Map<string, number>();
    for (const part of found) {
      latency.addAll(part.latency);
      for (const [kind, count] of Object.entries(part.errors)) errors.set(kind, (errors.get(kind) ?? 0) + count);
    }
    return [name, {
      latency,
      errors,
      sent: sum("sent"),
      answered: sum("answered"),
      unsent: sum("unsent"),
      unanswered: sum("unanswered"),
      answersPerSecond: latency.count / measuredSeconds,
    }];
  }));
  return { parts, lag };
}

const NO_CPU: ServerCpu = { frontLoop: 0, frontOthers: 0, hostRelays: 0, hostWorkers: 0, hostOthers: 0 };

/** Microseconds so far of a server's parts. A host that ends takes its time with it. */
function cpuOf(pid: number | undefined): ServerCpu {
  if (pid === undefined) return NO_CPU;
  const [front, ...hosts] = processTree(pid).map(threadTimes);
  const sum = (key: "main" | "workers" | "others") => hosts.reduce((total, times) => total + times[key], 0);
  return {
    frontLoop: front?.main ?? 0,
    frontOthers: (front?.others ?? 0) + (front?.workers ?? 0),
    hostRelays: sum("main"),
    hostWorkers: sum("workers"),
    hostOthers: sum("others"),
  };
}

function cpuBetween(before: ServerCpu, after: ServerCpu, toPercent: (micros: number) => number): ServerCpu {
  const part = (key: keyof ServerCpu) => toPercent(Math.max(0, after[key] - before[key]));
  return {
    frontLoop: part("frontLoop"),
    frontOthers: part("frontOthers"),
    hostRelays: part("hostRelays"),
    hostWorkers: part("hostWorkers"),
    hostOthers: part("hostOthers"),
  };
}

function totalCpu(pids: readonly number[]): number {
  return pids.map(threadTimes).reduce((sum, { main, workers, others }) => sum + main + workers + others, 0);
}
