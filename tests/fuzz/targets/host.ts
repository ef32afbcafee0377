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
import type { HostTask, TaskEnd, TaskLimits } from "../../../src/sandbox/task.ts";
import type { Jail } from "../../../src/sandbox/jails/mod.ts";
import {
  encodeHello,
  encodeJsonFrame,
  FrameKind,
  MAX_LOG_LINE_LENGTH,
  MAX_LOG_LINES,
  type NodeTask,
  type PackageTask,
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
  reaches: ["refused at start", "ended", "ended with results", "outlived"],
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
    if (!script.violates) await setImmediate();
    const endedAlone = script.violates || !host.isServing;
    // From here on it is the kernel that listens: a process that is killed leaves nothing unread.
    player.listen();
    if (!endedAlone) host.kill();
    await soon("its end", host.exited);
    scene.check();
    assert(!isAlive(host.pid), "the process is gone");
    const results = scene.tasks.some(({ end }) => end?.kind === "result");
    return `${endedAlone ? "ended" : "outlived"}${results ? " with results" : ""}`;
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
  readonly #giveUp: (() => void)[] = [];

  constructor(readonly host: HostProcess, readonly player: Player) {}

  async play(step: Step): Promise<void> {
    switch (step.do) {
      case "run": {
        if (!this.host.isServing) return;
        const task = new FuzzTask(step, this.host.role === "task" ? PACKAGE_MESSAGE : NODE_MESSAGE);
        this.tasks.push(task);
        this.#giveUp.push(this.host.run(task, performance.now()));
        return;
      }
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
        return void await setImmediate();
      case "hang up":
        return this.player.hangUp();
      case "exit":
        this.player.hangUp();
        // It may be dead already.
        if (isAlive(this.host.pid)) Deno.kill(this.host.pid, "SIGTERM");
    }
  }

  /** Each task has ended once, with no more than it may have. */
  check(): void {
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
    assert.equal(this.host.taskCount, 0);
  }
}

const COMMON = { format: "json", memoryLimitBytes: 2 ** 29, input: bytesOf("[1]") };
const NODE_MESSAGE: Omit<NodeTask, "maxOutputBytes"> = { ...COMMON, nodeType: "Node", config: new Map() };
const PACKAGE_MESSAGE: Omit<PackageTask, "maxOutputBytes"> = {
  ...COMMON,
  maxConsoleBytes: 1_000,
  codePackage: new Uint8Array(200_000),
  options: {
    entryPoint: "",
    dependencies: [],
    maxPackageBytes: 1,
    maxUnpackedBytes: 1,
    maxFiles: 1,
    blockedImports: [],
    environment: {},
  },
};

class FuzzTask implements HostTask {
  readonly message: NodeTask | PackageTask;
  readonly limits: TaskLimits;
  readonly logs: TaskLog[] = [];
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
