/**
 * A front as its supervisor sees it: a process that is started, serves, and ends.
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { abortable } from "../async/abortable.ts";
import { messageOf, ServiceError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { tryResidentBytes } from "../sandbox/proc.ts";
import { frontCommand } from "./front_command.ts";
import type { SocketHandle } from "./listen_sockets.ts";
import { FromFront, FRONT_PROTOCOL, type FrontInfo, LineReader, type ToFront, toLine } from "./protocol.ts";

const logger = serviceLogger("supervisor");

/** A front that does not tell how it is within this time is left out, in milliseconds. */
const REPORT_TIMEOUT_MS = 2_000;

/** What a front is started with. */
export interface FrontOptions {
  /** Path of the program. */
  readonly program: string;
  readonly sockets: readonly SocketHandle[];
  readonly start: Omit<Extract<ToFront, { kind: "start" }>, "kind" | "sockets">;
  /** How long it may take to serve, in milliseconds. */
  readonly startTimeoutMs: number;
}

/** How a front ended. */
export interface FrontEnd {
  /** In words: `code 1`, `SIGKILL`. */
  readonly how: string;
  /** Whether it said that it is done. */
  readonly drained: boolean;
}

/** What a front tells of itself. */
export interface FrontReport {
  readonly metrics: string;
  readonly residentBytes: number;
}

/** A process that serves. */
export class FrontProcess {
  readonly #child: ChildProcess;
  readonly #options: FrontOptions;
  readonly #ready = Promise.withResolvers<FrontInfo>();
  readonly #ended = Promise.withResolvers<FrontEnd>();
  readonly #reports = new Map<number, PromiseWithResolvers<FrontReport>>();
  readonly #startTimer: ReturnType<typeof setTimeout>;
  #nextReport = 1;
  #lastMetrics: string | undefined;
  #readyAt: number | undefined;
  #residentAtStart: number | undefined;

  private constructor(options: FrontOptions) {
    this.#options = options;
    const { program, args, env } = frontCommand(options.program);
    this.#child = spawn(program, [...args], {
      env: { ...Deno.env.toObject(), ...env },
      stdio: ["pipe", "pipe", "inherit", "ipc"],
    });
    this.#ready.promise.catch(() => {});
    this.#startTimer = setTimeout(() => {
      this.#fail("INTERNAL", `it did not serve within ${options.startTimeoutMs} ms`);
      this.kill();
    }, options.startTimeoutMs);
    this.#watch();
  }

  /** Starts one. It is to be stopped, retired or killed. */
  static start(options: FrontOptions): FrontProcess {
    return new FrontProcess(options);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Resolves when it serves. @rejects {ServiceError} when it ends instead, with its own reason */
  get ready(): Promise<FrontInfo> {
    return this.#ready.promise;
  }

  /** Resolves when the process is gone. */
  get ended(): Promise<FrontEnd> {
    return this.#ended.promise;
  }

  /** Since it serves, in milliseconds; 0 before. */
  get servedMs(): number {
    return this.#readyAt === undefined ? 0 : performance.now() - this.#readyAt;
  }

  /** What it counted until it drained, once it has. */
  get lastMetrics(): string | undefined {
    return this.#lastMetrics;
  }

  /** Resident memory when it began to serve, in bytes; `undefined` where it was not measured. */
  get residentAtStart(): number | undefined {
    return this.#residentAtStart;
  }

  /** Has it take connections from another front's socket, too. */
  listen(socket: number): void {
    this.#say({ kind: "listen", socket });
  }

  /** Has it drain while another serves. */
  retire(): void {
    this.#say({ kind: "retire" });
  }

  /** Has it drain and refuse what comes; the second time it kills what runs. */
  stop(): void {
    this.#say({ kind: "stop" });
  }

  /** Ends the process at once. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Resident memory in bytes: what the kernel says, or it itself where the kernel does not. */
  async residentBytes(): Promise<number | undefined> {
    return tryResidentBytes(this.pid) ?? (await this.report())?.residentBytes;
  }

  /** Asks how it is. @returns `undefined` when it does not answer */
  async report(): Promise<FrontReport | undefined> {
    const id = this.#nextReport++;
    const asked = Promise.withResolvers<FrontReport>();
    this.#reports.set(id, asked);
    this.#say({ kind: "report", id });
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), REPORT_TIMEOUT_MS);
    try {
      return await abortable(asked.promise, timeout.signal);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#reports.delete(id);
    }
  }

  #watch(): void {
    const { stdin, stdout } = this.#child;
    const reader = new LineReader();
    stdout?.on("data", (bytes: Uint8Array) => {
      try {
        for (const line of reader.push(bytes)) this.#hear(FromFront.parse(JSON.parse(line)));
      } catch (error) {
        logger.error("Front {front} killed: it does not speak the protocol: {error}", {
          front: this.#options.start.front,
          error: messageOf(error),
        });
        this.kill();
      }
    });
    // What cannot be said to one that is gone is of no interest; its end is.
    stdin?.on("error", () => {});
    this.#child.on("error", (error) => this.#end(messageOf(error)));
    this.#child.on("exit", (code, signal) => this.#end(signal ?? `code ${code}`));
  }

  #hear(message: FromFront): void {
    switch (message.kind) {
      case "hello":
        return this.#greet(message.protocol, message.version);
      case "ready":
        clearTimeout(this.#startTimer);
        this.#readyAt = performance.now();
        this.#residentAtStart = tryResidentBytes(this.pid);
        return this.#ready.resolve(message.info);
      case "failed":
        // Its own words and code; a code that this build does not know is handled as an error of ours.
        return this.#fail(message.code as ErrorCode, message.message);
      case "report":
        return this.#reports.get(message.id)?.resolve(message);
      case "drained":
        this.#lastMetrics = message.metrics;
    }
  }

  #greet(protocol: number, version: string): void {
    if (protocol !== FRONT_PROTOCOL) {
      this.#fail(
        "UNSUPPORTED_RUNTIME",
        `it is version ${version}, for which the whole service has to be started again`,
      );
      return this.kill();
    }
    const { sockets, start } = this.#options;
    // The types know handles as servers and sockets only.
    for (const [socket, handle] of sockets.entries()) this.#child.send({ socket }, handle as never, () => {});
    this.#say({ kind: "start", sockets: sockets.length, ...start });
  }

  #say(message: ToFront): void {
    this.#child.stdin?.write(toLine(message));
  }

  #fail(code: ErrorCode, message: string): void {
    this.#ready.reject(new ServiceError(code, message));
  }

  #end(how: string): void {
    clearTimeout(this.#startTimer);
    this.#fail("INTERNAL", `it ended with ${how} before it served`);
    for (const { reject } of this.#reports.values()) reject(new Error("the front has ended"));
    this.#ended.resolve({ how, drained: this.#lastMetrics !== undefined });
  }
}
