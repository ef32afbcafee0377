/**
 * A sandbox host that lies, and the server's end of it.
 *
 * Starting a real host for each input would take most of the time. So the process is a shell that hands on what it was
 * given and then sleeps; its part on the socket is played here, which the server cannot tell.
 *
 * @module
 */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { ServiceError } from "../../../src/errors.ts";
import { HostProcess } from "../../../src/sandbox/host_process.ts";
import type { HostTask, PlacedStream, StreamSink, TaskEnd, TaskLimits } from "../../../src/sandbox/task.ts";
import type { Jail } from "../../../src/sandbox/jails/mod.ts";
import {
  type ConsoleText,
  encodeHello,
  encodeJsonFrame,
  FrameKind,
  MAX_LOG_LINE_LENGTH,
  MAX_LOG_LINES,
  type NodeTask,
  OUTPUT_COST_BYTES,
  type PackageTask,
  type StreamOutput,
  type TaskLog,
} from "../../../workers/protocol.ts";
import { hostOptions, RuntimeDirectory } from "../../support/hosts.ts";
import { descendantsOf, isAlive, openFiles, residentBytes, until } from "../../support/processes.ts";
import { bytesOf, concat } from "../../support/zip_writer.ts";
import type { Subject, Target } from "../engine.ts";
import { type HostScript, makeScript, parseScript, type Step } from "./host_script.ts";

/** Memory that the server may keep after all hosts are gone. */
const MAX_GROWTH_BYTES = 300 * 2 ** 20;
/** The runtime opens a few of its own with the first process; a leak would be one for each input. */
const MAX_NEW_FILES = 8;
/** What is not over by then never will be. */
const HANG_MS = 60_000;

/** Writes standard input to a file, a line, and stays until it is killed. */
const PROGRAM = 'IFS= read -r line; echo "$line" > "$1"; exec sleep 100000';

/** The server's end of a host's connection. */
export const host: Target = {
  name: "host",
  description: "a sandbox host that lies",
  iterations: 120,
  reaches: ["refused at start", "ended", "ended with results", "ended with outputs", "outlived"],
  generate: (random) => bytesOf(JSON.stringify(makeScript(random))),
  start: () => HostSubject.start(),
};

class HostSubject implements Subject {
  readonly #directory = new RuntimeDirectory();
  readonly #files = openFiles(Deno.pid);
  readonly #memoryBytes = residentBytes(Deno.pid);
  /** Errors that nobody caught: each would end the service. */
  readonly #uncaught: unknown[] = [];
  #count = 0;

  static start(): HostSubject {
    const subject = new HostSubject();
    globalThis.addEventListener("unhandledrejection", subject.#onUncaught);
    globalThis.addEventListener("error", subject.#onUncaught);
    return subject;
  }

  readonly #onUncaught = (event: PromiseRejectionEvent | ErrorEvent): void => {
    event.preventDefault();
    this.#uncaught.push("reason" in event ? event.reason : event.error);
  };

  async run(input: Uint8Array): Promise<string> {
    const script = parseScript(input);
    const id = `host-${this.#count++}`;
    const bootstrap = `${this.#directory.path}/${id}.bootstrap`;
    const options = hostOptions(this.#directory, {
      id,
      role: script.role,
      jail: shellJail(bootstrap),
      startTimeoutMs: HANG_MS,
    });
    const starting = HostProcess.start(options, { signal: new AbortController().signal });
    // Handled below; what happens first must not count as unhandled.
    starting.catch(() => {});
    await using player = await Player.join(bootstrap, script.deaf);
    await player.begin(script.badStart);
    const outcome = await this.#play(script, starting, player);
    assert.deepEqual(this.#uncaught, [], "an error that nobody caught");
    await Deno.remove(bootstrap);
    assert.deepEqual(this.#directory.entries, [], "files that were left behind");
    return outcome;
  }

  async #play(script: HostScript, starting: Promise<HostProcess>, player: Player): Promise<string> {
    let host: HostProcess;
    try {
      host = await soon("the start", starting);
    } catch (error) {
      assert(error instanceof ServiceError && error.code === "SANDBOX_LOST", String(error));
      assert(script.badStart !== undefined, "a good start was refused");
      return "refused at start";
    }
    const scene = new Scene(host, player);
    for (const step of script.steps) await scene.play(step);
    if (!script.violates) await turns(10);
    const endedAlone = script.violates || !host.isServing;
    // From here on it is the kernel that listens: a process that is killed leaves nothing unread.
    player.listen();
    if (!endedAlone) host.kill();
    await soon("its end", host.exited);
    await scene.check();
    assert(!isAlive(host.pid), "the process is gone");
    const results = scene.tasks.some(({ end }) => end?.kind === "result");
    const found = scene.outputs > 0 ? " with outputs" : results ? " with results" : "";
    return `${endedAlone ? "ended" : "outlived"}${found}`;
  }

  async finish(): Promise<void> {
    assert.deepEqual(descendantsOf(Deno.pid), [], "processes that were left behind");
    await until("all files are closed", () => openFiles(Deno.pid) <= this.#files + MAX_NEW_FILES);
    const growth = residentBytes(Deno.pid) - this.#memoryBytes;
    assert(growth < MAX_GROWTH_BYTES, `memory grew by ${growth} bytes`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    globalThis.removeEventListener("unhandledrejection", this.#onUncaught);
    globalThis.removeEventListener("error", this.#onUncaught);
    await this.#directory[Symbol.asyncDispose]();
  }
}

/** Starts the shell instead of a host. */
function shellJail(bootstrap: string): Jail {
  const enclose = () => ({
    program: "/bin/sh",
    args: ["-c", PROGRAM, "sh", bootstrap],
    env: { PATH: "/usr/bin:/bin" },
  });
  return { type: "process", description: "a shell", inside: (paths) => paths, enclose };
}

/** The host's end of the connection. */
class Player implements AsyncDisposable {
  readonly #connection: Deno.Conn;
  readonly #token: Uint8Array;
  #listening: Promise<void> | undefined;

  private constructor(connection: Deno.Conn, token: Uint8Array) {
    this.#connection = connection;
    this.#token = token;
  }

  /** Connects as the process that was just started. */
  static async join(bootstrap: string, deaf: boolean): Promise<Player> {
    let line = "";
    await until("the process was told its part", () => {
      line = tryRead(bootstrap);
      return line.endsWith("\n");
    });
    const { socketPath, token } = JSON.parse(line);
    const connection = await Deno.connect({ transport: "unix", path: socketPath });
    const player = new Player(connection, Uint8Array.fromHex(token));
    if (!deaf) player.listen();
    return player;
  }

  /** Says that it is the host that was started, and ready. */
  async begin(badStart: string | undefined): Promise<void> {
    if (badStart !== undefined) {
      await this.say(Uint8Array.fromHex(badStart));
      return this.hangUp();
    }
    await this.say(concat(...encodeHello(this.#token), ...encodeJsonFrame(FrameKind.Ready, 0, { nodes: [] })));
  }

  async say(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
    } catch {
      // The server has hung up, as it should on a liar.
    }
  }

  /** Takes in and forgets what the server says; hangs up when it does. */
  listen(): void {
    this.#listening ??= this.#forget();
  }

  async #forget(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      while (await this.#connection.read(buffer) !== null);
    } catch {
      // Reset: as good as an end.
    }
    this.hangUp();
  }

  hangUp(): void {
    try {
      this.#connection.close();
    } catch {
      // It is closed already.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hangUp();
    await this.#listening;
  }
}

/** Server and host with the tasks between them. */
class Scene {
  readonly tasks: FuzzTask[] = [];
  readonly #streams: FuzzStream[] = [];
  readonly #giveUp: (() => void)[] = [];

  constructor(readonly host: HostProcess, readonly player: Player) {}

  async play(step: Step): Promise<void> {
    switch (step.do) {
      case "run": {
        if (!this.host.isServing) return;
        const task = new FuzzTask(step, this.host.role === "task" ? PACKAGE_MESSAGE : NODE_MESSAGE);
        this.tasks.push(task);
        if (step.opens) {
          const isNode = this.host.role === "node";
          const stream = new FuzzStream(task, isNode ? step.maxOutputBytes : STREAM.creditBytes);
          this.#streams.push(stream);
          task.stream = stream;
        }
        this.#giveUp.push(this.host.run(task, performance.now()));
        return;
      }
      case "step": {
        const giveUp = this.#streams[step.stream]?.step(step);
        if (giveUp !== undefined) this.#giveUp.push(giveUp);
        return;
      }
      case "grant":
        return this.#streams[step.stream]?.grant(step.bytes);
      case "close":
        return this.#streams[step.stream]?.close();
      case "give up":
        return this.#giveUp[step.task]?.();
      case "limits":
        return this.host.enforceLimits(performance.now() + step.afterMs, 100);
      case "say": {
        const bytes = Uint8Array.fromHex(step.hex.repeat(step.times));
        const pieceBytes = Math.max(1, Math.ceil(bytes.length / step.pieces));
        for (let at = 0; at < bytes.length; at += pieceBytes) {
          await this.player.say(bytes.subarray(at, at + pieceBytes));
        }
        return;
      }
      case "turn":
        return await turns(10);
      case "settle":
        for (let turns = 0; turns < 1_000 && this.host.isServing && this.host.taskCount > 0; turns++) {
          await setImmediate();
        }
        return;
      case "hang up":
        return this.player.hangUp();
      case "exit":
        this.player.hangUp();
        // It may be dead already.
        if (isAlive(this.host.pid)) Deno.kill(this.host.pid, "SIGTERM");
    }
  }

  /** Outputs of streams that came. */
  get outputs(): number {
    return this.#streams.reduce((sum, { outputs }) => sum + outputs, 0);
  }

  /** Each task has ended once, with no more than it may have. */
  async check(): Promise<void> {
    for (const { end, ends, logs, message } of this.tasks) {
      assert(ends === 1 && end !== undefined, `a task ended ${ends} times`);
      assert(logs.length <= MAX_LOG_LINES, `${logs.length} lines`);
      assert(logs.every((log) => log.message.length <= MAX_LOG_LINE_LENGTH));
      if (end.kind !== "result") continue;
      const { outcome, output } = end.result;
      assert(output.length <= (outcome === "OK" ? message.maxOutputBytes : 0), `${output.length} bytes of ${outcome}`);
      for (const amount of Object.values(end.usage)) assert(amount >= 0 && Number.isFinite(amount));
    }
    const lost = this.tasks.flatMap(({ end }) => end?.kind === "lost" ? [end.started] : []);
    assert(!lost.slice(1).includes(true), "only the first can have been running");
    for (const stream of this.#streams) await stream.check();
    assert.deepEqual([this.host.taskCount, this.host.streamCount], [0, 0]);
  }
}

const STREAM = { mode: "stream", config: {}, creditBytes: 2_000 } as const;
const COMMON = { format: "json", memoryLimitBytes: 2 ** 29, input: bytesOf("[1]") };
const NODE_MESSAGE: Omit<NodeTask, "maxOutputBytes"> = { ...COMMON, nodeType: "Node", config: new Map() };
const PACKAGE_MESSAGE: Omit<PackageTask, "maxOutputBytes"> = {
  ...COMMON,
  maxConsoleBytes: 1_000,
  layers: [],
  codePackage: new Uint8Array(200_000),
  options: {
    entryPoint: "",
    dependencies: [],
    maxPackageBytes: 1,
    maxUnpackedBytes: 1,
    maxFiles: 1,
    blockedImports: [],
    validated: false,
    environment: {},
    stream: STREAM,
  },
};

/** A stream as its owner sees it. */
class FuzzStream implements StreamSink {
  outputs = 0;
  readonly #opening: FuzzTask;
  #placed: PlacedStream | undefined;
  #closing: Promise<void> | undefined;
  #creditBytes: number;
  #consoleBytes = 0;
  #losses = 0;
  #steps = 0;
  #stepEnds = 0;
  /** What was thrown in a callback would pass for a fault of the host. */
  readonly #faults: string[] = [];

  constructor(opening: FuzzTask, creditBytes: number) {
    this.#opening = opening;
    this.#creditBytes = creditBytes;
  }

  onOpened(stream: PlacedStream): void {
    this.#expect(this.#placed === undefined, "it was opened twice");
    const { end } = this.#opening;
    this.#expect(end?.kind === "result" && end.result.outcome === "OK", "its opening did not end well");
    this.#placed = stream;
  }

  onOutput({ output, runMicros }: StreamOutput): void {
    this.#expect(this.#placed !== undefined && this.#losses === 0, "an output of a stream that is not open");
    this.#expect(this.#creditBytes > 0, "an output without credit");
    this.#expect(output.length <= this.#opening.message.maxOutputBytes && runMicros >= 0, "an output out of bounds");
    this.#creditBytes -= output.length + OUTPUT_COST_BYTES;
    this.outputs++;
  }

  onConsole({ text }: ConsoleText): void {
    this.#consoleBytes += text.length;
    const kept = "maxConsoleBytes" in this.#opening.message ? this.#opening.message.maxConsoleBytes : 0;
    const allowed = (this.#stepEnds + 1) * (4 * kept + 64 * 1024);
    this.#expect(this.#consoleBytes <= allowed, `${this.#consoleBytes} of console`);
  }

  onLost(): void {
    this.#losses++;
  }

  step({ action, timeoutMs }: Extract<Step, { do: "step" }>): (() => void) | undefined {
    if (this.#placed === undefined || this.#closing !== undefined) return undefined;
    this.#steps++;
    const { limits, message } = this.#opening;
    return this.#placed.run({
      action,
      format: "json",
      method: "m",
      input: bytesOf("[1]"),
      limits: { ...limits, timeoutMs },
      onEnd: (end) => {
        this.#stepEnds++;
        this.#expect(end.kind !== "returned", "a step that is to go elsewhere");
        if ("nodeType" in message) this.#creditBytes = message.maxOutputBytes;
      },
    });
  }

  grant(bytes: number): void {
    if (this.#placed === undefined) return;
    this.#placed.grant(bytes);
    this.#creditBytes += bytes;
  }

  close(): void {
    this.#closing ??= this.#placed?.close();
  }

  #expect(isTrue: boolean, fault: string): void {
    if (!isTrue) this.#faults.push(fault);
  }

  /** All that it was asked for has ended, and it is told of its loss unless it was closed. */
  async check(): Promise<void> {
    assert.deepEqual(this.#faults, []);
    assert.equal(this.#stepEnds, this.#steps, "steps that ended");
    if (this.#placed === undefined) return assert.equal(this.#losses, 0);
    if (this.#closing === undefined) assert.equal(this.#losses, 1, "it was not told that it is lost");
    assert(this.#losses <= 1, `it was lost ${this.#losses} times`);
    this.close();
    await soon("the end of a stream", this.#closing ?? Promise.resolve());
  }
}

class FuzzTask implements HostTask {
  readonly message: NodeTask | PackageTask;
  readonly limits: TaskLimits;
  readonly logs: TaskLog[] = [];
  stream?: StreamSink;
  ends = 0;
  end: TaskEnd | undefined;

  constructor(
    { timeoutMs, maxOutputBytes }: { readonly timeoutMs: number; readonly maxOutputBytes: number },
    message: Omit<NodeTask, "maxOutputBytes"> | Omit<PackageTask, "maxOutputBytes">,
  ) {
    this.message = { ...message, maxOutputBytes };
    const { memoryLimitBytes: memoryBytes } = message;
    this.limits = { timeoutMs, cpuMs: 600_000, cpuPercent: 100_000, threads: 1_000, memoryBytes };
  }

  onEnd(end: TaskEnd): void {
    this.ends++;
    this.end ??= end;
  }

  onLog(log: TaskLog): void {
    this.logs.push(log);
  }

  onConsole(): void {}
}

/** Lets what has been sent be read: that takes a few turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await setImmediate();
}

function tryRead(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** Waits, and fails where there is nothing to wait for. */
async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: hang, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`Still waiting for ${what}`)), HANG_MS);
  try {
    return await Promise.race([promise, hang]);
  } finally {
    clearTimeout(timer);
  }
}
