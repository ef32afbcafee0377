/**
 * The real service in a process of its own, for tests that talk to it over sockets.
 * @module
 */

import { z } from "zod";

const READY_LINE = z.object({
  pid: z.int(),
  port: z.int(),
  metricsPort: z.int().optional(),
  sandbox: z.string(),
  workers: z.int(),
  probedOperations: z.int(),
});

/** Where a server serves. */
export type ReadyLine = z.output<typeof READY_LINE>;

/** What a server is started with. */
export interface TestServerOptions {
  /** Settings by key, over those of `config/`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Environment over ours; `undefined` by default: `PATH`, `HOME` and where the packages are cached. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it leads a process group of its own, so that a signal can go to all of it. */
  readonly ownGroup?: boolean;
  /** The program, `tests/support/serve.ts` by default. */
  readonly program?: URL;
}

/** How a server ended. */
export interface ServerExit {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  /** All that it wrote to standard error. */
  readonly stderr: string;
}

const PROGRAM = new URL("serve.ts", import.meta.url);

/**
 * Starts the service and waits until it serves; with `await using`, it is stopped by SIGKILL if it still runs.
 *
 * @throws {Error} with its standard error when it ends instead
 */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  // A folder of its own, since one that is killed cannot clean up.
  const folder = Deno.makeTempDirSync({ prefix: "rexec-test-" });
  const child = spawn({ ...options, env: { TMPDIR: folder, ...options.env } });
  const stderr = new TextCollector(child.stderr);
  const exited = child.status.then(async ({ code, signal }): Promise<ServerExit> => {
    const said = await stderr.end;
    await Deno.remove(folder, { recursive: true });
    return { code, signal, stderr: said };
  });
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let line = "";
  while (!line.includes("\n")) {
    const { value, done } = await lines.read();
    if (done) throw new Error(`The server did not start: ${JSON.stringify(await exited)}`);
    line += value;
  }
  await lines.cancel();
  return new TestServer(child, READY_LINE.parse(JSON.parse(line)), exited, stderr);
}

/** Starts a server that is to fail. @returns how it ended */
export async function failToStart(options: TestServerOptions = {}): Promise<ServerExit> {
  const child = spawn(options);
  const stderr = new TextCollector(child.stderr);
  const stdout = new TextCollector(child.stdout);
  const { code, signal } = await child.status;
  const said = await stdout.end;
  if (said !== "") throw new Error(`The server started: ${said}`);
  return { code, signal, stderr: await stderr.end };
}

/** A service that serves. */
export class TestServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stderr: TextCollector;
  /** Where it serves. */
  readonly ready: ReadyLine;
  /** Resolves when it has ended. */
  readonly exited: Promise<ServerExit>;

  constructor(child: Deno.ChildProcess, ready: ReadyLine, exited: Promise<ServerExit>, stderr: TextCollector) {
    this.#child = child;
    this.ready = ready;
    this.exited = exited;
    this.#stderr = stderr;
  }

  /** `127.0.0.1:<port>` of gRPC. */
  get address(): string {
    return `127.0.0.1:${this.ready.port}`;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What it has written to standard error so far. */
  get log(): string {
    return this.#stderr.text;
  }

  /** Resolves when its standard error holds this text. @throws {Error} when it ends without it */
  async logged(text: string | RegExp): Promise<void> {
    await this.#stderr.until((log) => typeof text === "string" ? log.includes(text) : text.test(log));
  }

  /** All of Prometheus' text. */
  async metrics(): Promise<string> {
    return await (await fetch(`http://127.0.0.1:${this.ready.metricsPort}/metrics`)).text();
  }

  /** Sends a signal. */
  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  /** Drains it by SIGTERM and waits for its end. */
  async stop(): Promise<ServerExit> {
    this.signal("SIGTERM");
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.exited;
  }
}

function spawn({ settings = {}, env = {}, ownGroup = false, program = PROGRAM }: TestServerOptions): Deno.ChildProcess {
  const args = ["run", "-A", "--no-check", program.pathname, JSON.stringify(settings)];
  const command = ownGroup
    ? new Deno.Command("/usr/bin/setsid", { args: [Deno.execPath(), ...args], ...STREAMS, env: environment(env) })
    : new Deno.Command(Deno.execPath(), { args, ...STREAMS, env: environment(env) });
  return command.spawn();
}

const STREAMS = { stdin: "null", stdout: "piped", stderr: "piped", clearEnv: true } as const;

/** Settings that the developer has in the environment must not reach the tests. */
function environment(env: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "DENO_DIR", "TMPDIR"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) kept[name] = value;
  }
  return { ...kept, ...env };
}

/** Reads a stream of text to its end and wakes whoever waits for a part of it. */
class TextCollector {
  text = "";
  readonly end: Promise<string>;
  #ended = false;
  #wake = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.end = this.#collect(stream);
  }

  async until(condition: (text: string) => boolean): Promise<void> {
    while (!condition(this.text)) {
      if (this.#ended) throw new Error(`The stream ended before what was waited for; it said: ${this.text}`);
      await this.#wake.promise;
    }
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<string> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      this.#awaken();
    }
    this.#ended = true;
    this.#awaken();
    return this.text;
  }

  #awaken(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}
