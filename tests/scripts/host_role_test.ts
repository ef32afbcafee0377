/**
 * The compiled program carries its rights inside, all of them; started as a sandbox host it has to give them up by
 * itself. This starts the host as the compiled program would, and has it try everything that must be impossible.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { writeCompileConfig } from "../../scripts/compile.ts";
import { HOST_ROLE, sandboxCode } from "../../src/sandbox/code.ts";
import {
  decodeJsonPayload,
  encodeJsonFrame,
  type Frame,
  FrameKind,
  FrameReader,
  type ProbeOutcome,
  type ProbeTargets,
  PROTOCOL_VERSION,
} from "../../workers/protocol.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TOKEN = new Uint8Array(32).fill(7);
const MAX_FRAME_BYTES = 4 * 1024 * 1024;

/** What a sandbox host that was started by hand says. */
class HandmadeHost implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #connection: Deno.Conn;
  readonly #reader = new FrameReader(() => MAX_FRAME_BYTES);
  readonly #frames: Frame[] = [];
  #ended = false;

  private constructor(child: Deno.ChildProcess, connection: Deno.Conn) {
    this.#child = child;
    this.#connection = connection;
  }

  /** Starts one with all rights: no flag takes any away. */
  static async start(directory: string): Promise<HandmadeHost> {
    const socketPath = `${directory}/host.sock`;
    using listener = Deno.listen({ transport: "unix", path: socketPath });
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        "--no-prompt",
        // A compiled program has no packages but those inside, and no loader for others.
        "--no-npm",
        "--no-remote",
        "--no-lock",
        `--config=${ROOT}dist/compile.json`,
        `${ROOT}scripts/compiled_main.ts`,
        HOST_ROLE,
      ],
      env: {
        DENO_DIR: `${directory}/deno`,
        DENO_NO_UPDATE_CHECK: "1",
        // A compiled program takes V8's flags from its environment.
        DENO_V8_FLAGS: "--disallow-code-generation-from-strings",
      },
      clearEnv: true,
      cwd: directory,
      stdin: "piped",
    }).spawn();
    const stdin = child.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(JSON.stringify({
      socketPath,
      token: TOKEN.toHex(),
      workerUrl: sandboxCode(null).worker,
      probeWorkerUrl: sandboxCode(null).probeWorker,
      maxFrameBytes: MAX_FRAME_BYTES,
      codeDirectory: null,
      scratchDirectory: null,
      workingDirectory: "",
      egress: null,
      python: null,
    })));
    await stdin.close();
    return new HandmadeHost(child, await listener.accept());
  }

  async next(kind: FrameKind): Promise<Uint8Array> {
    while (this.#frames.length === 0) {
      const count = await this.#connection.read(this.#reader.nextBuffer());
      assert.notEqual(count, null, "the host closed its connection");
      this.#frames.push(...this.#reader.advance(count ?? 0));
    }
    const frame = this.#frames.shift();
    assert.equal(frame?.kind, kind, new TextDecoder().decode(frame?.payload.subarray(0, 500)));
    return frame?.payload ?? new Uint8Array();
  }

  /** What host, unhardened worker and task report of their attempts. */
  async probe(targets: ProbeTargets): Promise<ProbeOutcome[]> {
    const [bytes] = encodeJsonFrame(FrameKind.Probe, 0, targets);
    await this.#connection.write(bytes);
    const reports = [await this.next(FrameKind.ProbeReport), await this.next(FrameKind.ProbeReport)];
    return reports.flatMap((report) => decodeJsonPayload(report) as ProbeOutcome[]);
  }

  /** Closes the connection. @returns the host's exit code */
  async hangUp(): Promise<number> {
    this.#connection.close();
    const { code } = await this.#child.status;
    this.#ended = true;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.#child.kill("SIGKILL");
    await this.hangUp();
  }
}

/** Real things that a sandbox must not reach: a file, a module, a folder, a listener, an environment variable. */
class ProbeSite implements AsyncDisposable {
  readonly targets: ProbeTargets;
  readonly #listener: Deno.TcpListener;
  readonly #accepting: Promise<void>;
  visits = 0;

  private constructor(targets: ProbeTargets, listener: Deno.TcpListener) {
    this.targets = targets;
    this.#listener = listener;
    this.#accepting = this.#accept();
  }

  static async open(directory: string): Promise<ProbeSite> {
    const folder = `${directory}/site`;
    await Deno.mkdir(folder);
    await Deno.writeTextFile(`${folder}/canary.txt`, "canary");
    await Deno.writeTextFile(`${folder}/canary.ts`, "export default 'canary';\n");
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return new ProbeSite({
      file: `${folder}/canary.txt`,
      moduleUrl: `file://${folder}/canary.ts`,
      writableDirectory: folder,
      loopbackPort: listener.addr.port,
      // Set for the host, as a name that it has for certain.
      environmentVariable: "DENO_DIR",
    }, listener);
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.visits++;
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
  }
}

Deno.test("a host that was started with all rights gives them up before its worker starts", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await writeCompileConfig();
    await using host = await HandmadeHost.start(directory);
    assert.deepEqual([...await host.next(FrameKind.Hello)], [PROTOCOL_VERSION, ...TOKEN]);
    await host.next(FrameKind.Ready);

    await using targets = await ProbeSite.open(directory);
    const outcomes = await host.probe(targets.targets);
    for (const place of ["host", "worker", "task"]) {
      assert.ok(outcomes.some((outcome) => outcome.place === place), `the ${place} reported nothing`);
    }
    const leaks = outcomes.filter(({ leaked }) => leaked).map(({ place, attempt }) => `${place}: ${attempt}`);
    assert.deepEqual(leaks, []);
    assert.equal(targets.visits, 0, "the listener was reached");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a host that was started with all rights ends when the server goes away", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await writeCompileConfig();
    await using host = await HandmadeHost.start(directory);
    await host.next(FrameKind.Hello);
    await host.next(FrameKind.Ready);
    assert.equal(await host.hangUp(), 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
