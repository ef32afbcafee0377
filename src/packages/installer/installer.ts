/**
 * Runs installers: each in a sandbox host of its own, which reaches one registry and nothing else, and is destroyed after
 * its one task. What it answers was made of strangers' archives and is treated so.
 *
 * @module
 */

import { z } from "zod";
import { ServiceError } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import { type Grants, NO_GRANTS } from "../../sandbox/grants.ts";
import { HostProcess } from "../../sandbox/host_process.ts";
import { HostWatch } from "../../sandbox/host_watch.ts";
import type { HostOptions } from "../../sandbox/launch.ts";
import type { TaskEnd } from "../../sandbox/task.ts";
import { MEGABYTE } from "../../units.ts";
import { type InstallRequest, splitInstallAnswer } from "../../../workers/install_protocol.ts";
import type { PackageTask } from "../../../workers/protocol.ts";

const logger = serviceLogger("packages");

/** Installers that run at once. */
const MAX_AT_ONCE = 2;
/** What an installer takes besides what it unpacks. */
const BASE_MEMORY_MB = 256;
/** Archive, files, converted files, layer and answer are there at once. */
const COPIES = 6;
/** CPU time that an installer may use per second of its time limit, in milliseconds. */
const CPU_MS_PER_SECOND = 1_000;
const MAX_THREADS = 64;
const NOTHING = new Uint8Array();

/** What installers are started with. */
export interface InstallerOptions {
  /** As for hosts of user code. */
  readonly host: Omit<HostOptions, "id" | "role" | "grants" | "installs" | "memoryMb">;
  /** Largest code package that is looked into, in bytes and in files. */
  readonly maxPackageBytes: number;
  readonly maxPackageFiles: number;
}

/** What one installer is to do. */
export interface InstallOrder {
  readonly request: InstallRequest;
  /** Hosts that it may reach, as {@linkcode hostOf} writes them; none for no network. */
  readonly hosts: readonly string[];
  readonly codePackage?: Uint8Array;
  /** What is unpacked, and what comes back, in bytes. */
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** The policy's rule for that time, for messages. */
  readonly timeoutRule: string;
}

/** What came of it. */
export interface InstallResult {
  readonly lines: readonly string[];
  /** Its own memory. */
  readonly layer: Uint8Array;
}

const InstallAnswer = z.strictObject({ lines: z.array(z.string().min(1).max(1_000)).max(20_000) });

/** See the module. Owned by whoever made it. */
export class Installer implements AsyncDisposable {
  readonly #options: InstallerOptions;
  readonly #hosts = new Set<HostProcess>();
  readonly #watch = new HostWatch(() => this.#hosts);
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #nextHost = 1;

  constructor(options: InstallerOptions) {
    this.#options = options;
  }

  /** Runs an installer, after those before it. @throws {ServiceError} see {@linkcode DependencyResolver} */
  async run(order: InstallOrder): Promise<InstallResult> {
    while (this.#running.size >= MAX_AT_ONCE) await Promise.race(this.#running);
    this.#closing.signal.throwIfAborted();
    const running = this.#run(order);
    const tracked = running.then(() => {}, () => {}).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
    return await running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ServiceError("DRAINING", "Cannot install packages: the service is shutting down"));
    for (const host of this.#hosts) host.kill("retired");
    this.#watch[Symbol.dispose]();
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #run(order: InstallOrder): Promise<InstallResult> {
    const id = `install-${this.#nextHost++}`;
    const memoryMb = BASE_MEMORY_MB + Math.ceil(COPIES * order.maxBytes / MEGABYTE);
    const grants: Grants = order.hosts.length === 0 ? NO_GRANTS : { ...NO_GRANTS, networkHosts: order.hosts };
    const options: HostOptions = {
      ...this.#options.host,
      id,
      role: "task",
      installs: true,
      memoryMb,
      grants,
      maxUnpackedBytes: MEGABYTE,
    };
    await using host = await HostProcess.start(options, { signal: this.#closing.signal });
    this.#hosts.add(host);
    try {
      return resultOf(await this.#end(host, order, memoryMb * MEGABYTE), order);
    } finally {
      this.#hosts.delete(host);
    }
  }

  #end(host: HostProcess, order: InstallOrder, memoryBytes: number): Promise<TaskEnd> {
    const { promise, resolve } = Promise.withResolvers<TaskEnd>();
    const cpuMs = order.timeoutMs / 1_000 * CPU_MS_PER_SECOND;
    host.run({
      message: this.#message(order, memoryBytes),
      limits: { timeoutMs: order.timeoutMs, cpuMs, cpuPercent: 100, memoryBytes, threads: MAX_THREADS },
      onEnd: (end) => resolve(end),
      onLog: () => {},
      onEgress: (event) => logger.debug("Installer {host} uses its network: {event}", { host: host.id, event }),
    }, performance.now());
    this.#watch.wake();
    return promise;
  }

  #message({ request, codePackage = NOTHING, maxBytes }: InstallOrder, memoryLimitBytes: number): PackageTask {
    const { maxPackageBytes, maxPackageFiles } = this.#options;
    return {
      format: "raw",
      memoryLimitBytes,
      maxOutputBytes: answerBytes(maxBytes),
      maxConsoleBytes: 0,
      options: {
        entryPoint: "",
        dependencies: [],
        maxPackageBytes,
        maxUnpackedBytes: maxBytes,
        maxFiles: maxPackageFiles,
        blockedImports: [],
        validated: false,
        environment: {},
      },
      input: new TextEncoder().encode(JSON.stringify(request)),
      layers: [],
      codePackage,
    };
  }
}

/** The longest answer to an order, in bytes: converted modules are a little longer, and there is an index. */
export function answerBytes(maxBytes: number): number {
  return 2 * maxBytes + 4 * MEGABYTE;
}

/** Name and port of a registry, as the rules of the egress proxy write them. */
export function hostOf(registry: string): string {
  const { hostname, port, protocol } = new URL(registry);
  return `${hostname}:${port === "" ? (protocol === "http:" ? 80 : 443) : port}`;
}

function resultOf(end: TaskEnd, { timeoutMs, timeoutRule }: InstallOrder): InstallResult {
  switch (end.kind) {
    case "result": {
      const { outcome, message, output } = end.result;
      if (outcome !== "OK") throw new ServiceError(outcome, message);
      return checked(output);
    }
    case "stopped":
      if (end.reason === "timeout") {
        throw new ServiceError(
          "TASK_TIMEOUT",
          `Cannot install packages: it takes longer than ${timeoutMs / 1_000} seconds (policy: ${timeoutRule})`,
        );
      }
      throw new ServiceError("RESOURCE_LIMIT", `Cannot install packages: the installer passed its ${end.reason} limit`);
    case "lost":
      throw new ServiceError("SANDBOX_LOST", `Cannot install packages: the installer ended (${end.exit.reason})`);
    case "returned":
      throw new ServiceError("INTERNAL", "Cannot install packages: the installer gave its task back");
  }
}

function checked(output: Uint8Array): InstallResult {
  try {
    const { answer, layer } = splitInstallAnswer(output);
    // A copy: the output is a view on a buffer of the connection's.
    return { lines: InstallAnswer.parse(answer).lines, layer: layer.slice() };
  } catch (cause) {
    throw new ServiceError("SANDBOX_LOST", "Cannot install packages: the installer's answer is malformed", { cause });
  }
}
