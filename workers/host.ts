/**
 * Entry of a sandbox host: a process without rights that starts the worker and relays its frames. It listens to nobody,
 * connects to the one socket that it was given on standard input, and ends when that socket does.
 *
 * @module
 */

import { startEgressRelay } from "./network/relay.ts";
import { probePermissions } from "./probe.ts";
import { readAsset } from "./read_asset.ts";
import { type PackageModules, PackageOpener, type WriteFiles } from "./package_opener.ts";
import { writeFiles } from "./write_files.ts";
import type { WriteRequest } from "./write_worker.ts";
import {
  ASSET_NAMES,
  type AssetReply,
  decodeJsonPayload,
  decodePackageTask,
  encodeFrame,
  encodeHello,
  encodeJsonFrame,
  encodePackageTask,
  type Frame,
  FrameKind,
  FrameReader,
  FrameWriter,
  isAssetName,
  joinPieces,
} from "./protocol.ts";
import type {
  PackageTask,
  ProbeOutcome,
  ProbeTargets,
  PythonFiles,
  PythonSnapshot,
  PythonStart,
  PythonWasm,
} from "./protocol.ts";

/** What the server writes to a host's standard input. */
export interface HostBootstrap {
  /** Path of the Unix socket that the server listens on for this host alone. */
  readonly socketPath: string;
  /** Hex; proves to the server that the connection comes from the process that it started. */
  readonly token: string;
  readonly workerUrl: string;
  readonly probeWorkerUrl: string;
  /** Longest frame that the server may send, in bytes. */
  readonly maxFrameBytes: number;
  /** Folder for the files of user code, the one that its worker may read; `null` when the worker runs built-in nodes. */
  readonly codeDirectory: string | null;
  /** Folder that its worker may read and write; `null` where its task was granted none. */
  readonly scratchDirectory: string | null;
  /** What opens the packages of its tasks; `null` where they bring none, or an interpreter opens them. */
  readonly packages: PackageModules | null;
  /** Where in the scratch folder the task starts; empty for the folder itself. */
  readonly workingDirectory: string;
  /** How the worker reaches the network; `null` where its task was granted none. */
  readonly egress: HostEgress | null;
  /** What its worker's interpreter starts from; `null` when it runs no Python. */
  readonly python: HostPython | null;
}

/** The interpreter of a host for Python. */
export interface HostPython {
  /** Folder of the version's files, as a `file:` URL that ends with a slash. */
  readonly filesUrl: string;
  readonly mode: PythonStart["pythonMode"];
  /** See {@linkcode PythonStart}. */
  readonly sharesMemory: boolean;
  /** Where the snapshot is read from, or written to. */
  readonly snapshotPath: string;
}

/** The way out of a host with network. */
export interface HostEgress {
  /** The egress proxy's Unix socket. */
  readonly socketPath: string;
  /** Where the relay is to listen. */
  readonly relayHostname: string;
  readonly maxConnections: number;
  /** The worker's `net` permission, with `:0` where the relay's port belongs. */
  readonly workerNet: true | string[];
}

/** Exit codes of a host, as the server reads them. */
export const HOST_EXIT = { serverGone: 0, workerEnded: 70, cannotStart: 78 } as const;

/** Rights that a host gives up once it is connected; it has none of the others from the start. */
const GIVEN_UP = ["net", "env", "sys", "run", "ffi", "import"];

/** What is read of standard input at once: more than a bootstrap has. */
const BOOTSTRAP_BLOCK_BYTES = 16 * 1024;

/** A frame up to this length is sooner copied than written anew without its package. */
const SMALL_FRAME_BYTES = 16 * 1024;

/** Lies beside the bundle that this is a part of. */
const ASSETS = new URL("assets/", import.meta.url);
/** Names that are being read: a worker that keeps asking makes the host do no more than one that asks once. */
const filesOnTheirWay = new Set<string>();

/** Flags of {@linkcode PythonStart}, and the number of the signal in Python. */
const SIGNAL = 0;
const WAS_INTERRUPTED = 1;
const SIGINT = 2;

async function runHost(): Promise<void> {
  // Signals for the whole process group (a Ctrl-C) are the server's business: it drains while its hosts go on.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) Deno.addSignalListener(signal, () => {});
  // Checked by nobody but us: the server writes it, and a host started by hand ends here.
  const bootstrap = JSON.parse(await readStandardInput()) as HostBootstrap;
  const connection = await Deno.connect({ transport: "unix", path: bootstrap.socketPath });
  // A compiled program has the rights that it was compiled with. Its way to give up the right to read is another one:
  // giving up single paths does nothing to a right to all.
  const hasAllRights = Deno.permissions.querySync({ name: "read" }).state === "granted";
  for (const name of GIVEN_UP) {
    // The relay connects for as long as the host lives.
    if (name === "net" && bootstrap.egress !== null) continue;
    // `import` is a permission that Deno's own type does not list yet.
    Deno.permissions.revokeSync({ name } as Deno.PermissionDescriptor);
  }
  Deno.permissions.revokeSync({ name: "read", path: bootstrap.socketPath });
  const mayWrite = bootstrap.codeDirectory !== null || bootstrap.python?.mode === "snapshot";
  if (!mayWrite && !hasAllRights) Deno.permissions.revokeSync({ name: "write" });

  const writer = new FrameWriter((bytes) => connection.write(bytes), () => Deno.exit(HOST_EXIT.serverGone));
  writer.send(encodeHello(fromHex(bootstrap.token)));

  enterScratch(bootstrap);
  const helpers = hasAllRights ? await startHelpers(bootstrap) : undefined;
  const opener = openerOf(bootstrap, helpers);
  if (hasAllRights) await opener?.load({ withValidator: true });
  const { egress } = bootstrap;
  const relayPort = egress === null ? undefined : startEgressRelay({ ...egress, hostname: egress.relayHostname }).port;
  const sandbox = new SandboxWorker({ bootstrap, writer, helpers, relayPort });
  // While the worker starts; should it fail, the task that needs it says so.
  opener?.load({ withValidator: false }).catch(() => {});
  await relay(connection, { sandbox, opener, bootstrap, writer });
  Deno.exit(HOST_EXIT.serverGone);
}

/** Reads standard input to its end. Streams and `Response` are not loaded for it: that would be a tenth of a sandbox's start. */
async function readStandardInput(): Promise<string> {
  const decoder = new TextDecoder();
  const block = new Uint8Array(BOOTSTRAP_BLOCK_BYTES);
  let text = "";
  while (true) {
    const count = await Deno.stdin.read(block);
    if (count === null) return text + decoder.decode();
    text += decoder.decode(block.subarray(0, count), { stream: true });
  }
}

/** The worker that tasks run in, and the host's side of all that it may ask for. */
class SandboxWorker {
  readonly #bootstrap: HostBootstrap;
  readonly #writer: FrameWriter;
  /** There when the host was started with all rights, which it then gives up. */
  readonly #helpers: Helpers | undefined;
  readonly #relayPort: number | undefined;
  /** Shared with the worker of Python's: see {@linkcode PythonStart}. */
  readonly #flags = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  #worker: Worker;

  constructor({ bootstrap, writer, helpers, relayPort }: {
    readonly bootstrap: HostBootstrap;
    readonly writer: FrameWriter;
    readonly helpers: Helpers | undefined;
    /** Where the egress relay listens; `undefined` without network. */
    readonly relayPort: number | undefined;
  }) {
    this.#relayPort = relayPort;
    this.#bootstrap = bootstrap;
    this.#writer = writer;
    this.#helpers = helpers;
    this.#worker = this.#start(helpers !== undefined);
  }

  get prober(): Worker | undefined {
    return this.#helpers?.prober;
  }

  /** Moves bytes into the worker; a buffer that is theirs alone is transferred, anything else copied once. */
  send(bytes: Uint8Array): void {
    const owned = bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice();
    this.#worker.postMessage(owned, [owned.buffer as ArrayBuffer]); // allocated here or by the frame reader, never shared
  }

  /** Opens the package of a task, and tells the server when it has passed every check, the worker what came of it. */
  async open(opener: PackageOpener, taskId: number, task: PackageTask): Promise<void> {
    const worker = this.#worker;
    try {
      const { reply, isValidated } = await opener.open(task);
      if (isValidated) this.#writer.hold(encodeFrame(FrameKind.Validated, taskId));
      worker.postMessage(reply);
    } catch (error) {
      this.#fail(`it cannot open packages (${error instanceof Error ? error.name : "unknown error"})`);
    }
  }

  /**
   * Has Python take a SIGINT at once, whatever it does: messages are heard only when it has nothing to do.
   * See https://pyodide.org/en/stable/usage/keyboard-interrupts.html
   */
  interrupt(): void {
    if (this.#bootstrap.python === null) return;
    Atomics.store(this.#flags, WAS_INTERRUPTED, 1);
    Atomics.store(this.#flags, SIGNAL, SIGINT);
    Atomics.notify(this.#flags, SIGNAL);
  }

  /** Ends the worker and starts another. What the old one still says is not heard. */
  renew(): void {
    // Without the right to read nothing can be loaded any more.
    if (this.#helpers !== undefined) return this.#fail("a host that gave up all of its rights cannot start it again");
    this.#worker.onmessage = null;
    this.#worker.terminate();
    this.#worker = this.#start(false);
  }

  #start(mustSeal: boolean): Worker {
    const { workerUrl, codeDirectory, scratchDirectory, egress } = this.#bootstrap;
    const port = this.#relayPort;
    const net = egress === null
      ? false
      : egress.workerNet === true || egress.workerNet.map((host) => host.replace(/:0$/, `:${port}`));
    const grants = [
      ...(scratchDirectory === null ? [] : ["files"]),
      ...(egress === null ? [] : [`network=${egress.relayHostname}:${port}`]),
    ];
    const worker = startWorker(
      workerUrl,
      permissionsOf({ read: [codeDirectory, scratchDirectory], write: [scratchDirectory], net }),
      // Read by harden.ts, which locks the worker accordingly.
      grants.join(" "),
    );
    let sealed = !mustSeal;
    worker.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (!sealed) {
        // Its first word says that it has loaded; nothing that comes after needs a right of the host's.
        for (const name of ["read", "write"] as const) Deno.permissions.revokeSync({ name });
        sealed = true;
      }
      if (data instanceof Uint8Array) this.#writer.send([data]);
      else if (typeof data === "string") void sendFile(worker, data, this.#helpers?.files);
      else if (isSnapshot(data)) this.#writeSnapshot(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(String(event.message));
    };
    const { python } = this.#bootstrap;
    if (python !== null) void this.#startPython(worker, python);
    return worker;
  }

  /** Once: the files go to the worker, and no host of Python's is renewed. */
  async #startPython(worker: Worker, python: HostPython): Promise<void> {
    try {
      // Without the right to read there is only what was read before.
      const { files, wasm } = this.#helpers?.interpreter ?? readInterpreter(python);
      this.#flags.fill(0);
      const { mode, sharesMemory } = python;
      const start: PythonStart = { pythonMode: mode, sharesMemory, files, flags: this.#flags };
      const { standardLibrary, library, snapshot } = files;
      const buffers = [standardLibrary, library, ...(snapshot === undefined ? [] : [snapshot])];
      worker.postMessage(start, buffers.map(({ buffer }) => buffer));
      const compiled: PythonWasm = { pythonWasm: await wasm };
      worker.postMessage(compiled);
    } catch (error) {
      this.#fail(`its Python cannot be read (${error instanceof Error ? error.name : "unknown error"})`);
    }
  }

  /** Only a host that gets no task makes one. */
  #writeSnapshot({ pythonSnapshot }: PythonSnapshot): void {
    const { python } = this.#bootstrap;
    if (python?.mode !== "snapshot") return;
    // A whole one or none, for whoever looks for it.
    Deno.writeFileSync(`${python.snapshotPath}.new`, pythonSnapshot);
    Deno.renameSync(`${python.snapshotPath}.new`, python.snapshotPath);
  }

  #fail(message: string): void {
    const reason = new TextEncoder().encode(message.slice(0, 1_000));
    this.#writer.send(encodeFrame(FrameKind.Fatal, 0, reason));
    void this.#writer.flushed().then(() => Deno.exit(HOST_EXIT.workerEnded));
  }
}

/** What opens the packages of this host's tasks, if they bring any. */
function openerOf({ packages, codeDirectory }: HostBootstrap, helpers: Helpers | undefined): PackageOpener | undefined {
  if (packages === null || codeDirectory === null) return undefined;
  const write: WriteFiles = helpers?.writer === undefined
    ? (files) => writeFiles(files, codeDirectory)
    : (files) => writeThrough(helpers.writer, { files, directory: codeDirectory });
  return new PackageOpener({ modules: packages, directory: codeDirectory, write });
}

/** Has a worker write, since this process may not. */
async function writeThrough(writer: Worker | undefined, request: WriteRequest): Promise<string | null> {
  if (writer === undefined) return "no writer";
  const reply = nextMessage(writer);
  writer.postMessage(request);
  // Our own worker, whose code no task shares.
  return await reply as string | null;
}

/** Makes the folder that a task with a scratch folder starts in, and goes there. */
function enterScratch({ scratchDirectory, workingDirectory }: HostBootstrap): void {
  if (scratchDirectory === null) return;
  const directory = workingDirectory === "" ? scratchDirectory : `${scratchDirectory}/${workingDirectory}`;
  Deno.mkdirSync(directory, { recursive: true });
  Deno.chdir(directory);
}

/** Hands frames from the server to the worker until the server goes away. */
async function relay(connection: Deno.Conn, { sandbox, opener, bootstrap, writer }: {
  readonly sandbox: SandboxWorker;
  readonly opener: PackageOpener | undefined;
  readonly bootstrap: HostBootstrap;
  readonly writer: FrameWriter;
}): Promise<void> {
  const reader = new FrameReader(() => bootstrap.maxFrameBytes);
  while (true) {
    const count = await connection.read(reader.nextBuffer());
    if (count === null) return;
    let pieces: Uint8Array[] = [];
    let bytes = 0;
    const flush = () => {
      if (bytes > 0) sandbox.send(joinPieces(pieces, bytes));
      pieces = [];
      bytes = 0;
    };
    for (const frame of reader.advance(count)) {
      if (frame.kind === FrameKind.Renew) {
        flush();
        sandbox.renew();
        continue;
      }
      if (opener !== undefined && isPackage(frame)) {
        flush();
        openPackage(frame, sandbox, opener);
        continue;
      }
      if (frame.kind === FrameKind.WarmUp) void opener?.warmUp();
      if (frame.kind === FrameKind.SoftLimit || frame.kind === FrameKind.Cancel) sandbox.interrupt();
      if (frame.kind === FrameKind.Probe) {
        void probeHost(frame.payload, bootstrap.probeWorkerUrl, sandbox.prober).then((outcomes) =>
          writer.send(encodeJsonFrame(FrameKind.ProbeReport, 0, outcomes))
        );
      }
      pieces.push(frame.bytes);
      bytes += frame.bytes.length;
    }
    flush();
  }
}

/** A frame that brings a package. */
interface PackageFrame extends Frame {
  readonly kind: typeof FrameKind.Package | typeof FrameKind.OpenPackage;
}

function isPackage(frame: Frame): frame is PackageFrame {
  return frame.kind === FrameKind.Package || frame.kind === FrameKind.OpenPackage;
}

/** Opens the package here; the worker, which needs none of a large one, decodes the task meanwhile. */
function openPackage(
  { kind, taskId, bytes, payload }: PackageFrame,
  sandbox: SandboxWorker,
  opener: PackageOpener,
): void {
  if (bytes.length <= SMALL_FRAME_BYTES) sandbox.send(bytes.slice());
  const task = decodePackageTask(payload);
  if (bytes.length > SMALL_FRAME_BYTES) {
    const [head, tail] = encodePackageTask(taskId, { ...task, layers: [], codePackage: new Uint8Array() }, kind);
    sandbox.send(tail === undefined ? head : joinPieces([head, tail], head.length + tail.length));
  }
  void sandbox.open(opener, taskId, task);
}

/** Answers a request for a file; one for anything else is no message that our worker sends, and gets no answer. */
async function sendFile(
  worker: Worker,
  name: string,
  loaded: ReadonlyMap<string, AssetReply> | undefined,
): Promise<void> {
  if (filesOnTheirWay.has(name) || !isAssetName(name)) return;
  filesOnTheirWay.add(name);
  const reply = loaded?.get(name) ?? await readAsset(name, new URL(name, ASSETS));
  filesOnTheirWay.delete(name);
  // What was loaded ahead is copied: another worker may not come, but the same one may ask again.
  worker.postMessage(reply, "bytes" in reply && loaded === undefined ? [reply.bytes.buffer] : []);
}

/** An interpreter's files, and its WebAssembly, which another thread compiles. */
interface Interpreter {
  readonly files: PythonFiles;
  readonly wasm: Promise<WebAssembly.Module>;
}

/**
 * Reads what an interpreter is made of, and compiles what has to be: the worker that wants it still starts meanwhile.
 * @throws {Error} what the file system does
 */
function readInterpreter({ filesUrl, mode, snapshotPath }: HostPython): Interpreter {
  const wasm = WebAssembly.compile(readWhole(new URL("pyodide.asm.wasm", filesUrl)));
  wasm.catch(() => {});
  const files = {
    standardLibrary: readWhole(new URL("python_stdlib.zip", filesUrl)),
    library: readWhole(new URL("library.zip", filesUrl)),
    snapshot: mode === "from snapshot" ? readWhole(snapshotPath) : undefined,
  };
  return { files, wasm };
}

/** Reads a file into memory of its size: `Deno.readFile` takes three times as long for 30 MB. */
function readWhole(path: URL | string): Uint8Array<ArrayBuffer> {
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(file.statSync().size);
  for (let at = 0; at < bytes.length;) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) throw new Error("it has become shorter");
    at += count;
  }
  return bytes;
}

function isSnapshot(data: unknown): data is PythonSnapshot {
  return typeof data === "object" && data !== null && "pythonSnapshot" in data &&
    data.pythonSnapshot instanceof Uint8Array;
}

async function probeHost(
  payload: Uint8Array,
  probeWorkerUrl: string,
  prober: Worker | undefined,
): Promise<ProbeOutcome[]> {
  const targets = decodeJsonPayload(payload) as ProbeTargets; // from the server, which we trust
  const worker = prober ?? await startReady(probeWorkerUrl, "none");
  worker.postMessage(targets);
  // Our own worker, whose code no task shares.
  const fromWorker = await nextMessage(worker) as ProbeOutcome[];
  return [...await probePermissions("host", targets), ...fromWorker];
}

/** What a host that gives up all of its rights must have loaded before. */
interface Helpers {
  readonly files: ReadonlyMap<string, AssetReply>;
  readonly interpreter: Interpreter | undefined;
  readonly prober: Worker;
  /** Writes the files of user code. */
  readonly writer: Worker | undefined;
}

async function startHelpers({ probeWorkerUrl, codeDirectory, python }: HostBootstrap): Promise<Helpers> {
  const names = codeDirectory === null ? ASSET_NAMES : [];
  const replies = await Promise.all(names.map((name) => readAsset(name, new URL(name, ASSETS))));
  return {
    files: new Map(replies.map((reply) => [reply.name, reply])),
    interpreter: python === null ? undefined : readInterpreter(python),
    prober: await startReady(probeWorkerUrl, "none"),
    writer: codeDirectory === null
      ? undefined
      : await startReady(new URL("write_worker.js", import.meta.url).href, permissionsOf({ write: [codeDirectory] })),
  };
}

/** Starts a worker and waits for its first message, which says that it has loaded. */
async function startReady(url: string, permissions: Deno.PermissionOptions): Promise<Worker> {
  const worker = startWorker(url, permissions);
  await nextMessage(worker);
  return worker;
}

function nextMessage(worker: Worker): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  worker.onmessage = ({ data }: MessageEvent<unknown>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`Cannot go on without worker: ${event.message}`));
  };
  return promise;
}

/** No permission, but for the folders to read and to write. */
function permissionsOf(
  { read = [], write = [], net = false }: {
    readonly read?: readonly (string | null)[];
    readonly write?: readonly (string | null)[];
    readonly net?: boolean | string[];
  },
): Deno.PermissionOptions {
  const readable = read.filter((path) => path !== null);
  const writable = write.filter((path) => path !== null);
  if (readable.length === 0 && writable.length === 0 && net === false) return "none";
  const permissions = {
    read: readable.length > 0 && readable,
    write: writable.length > 0 && writable,
    net,
    env: false,
    sys: false,
    run: false,
    ffi: false,
    import: false,
  };
  return permissions as Deno.PermissionOptions; // Deno's own type does not list `import` yet.
}

function startWorker(url: string, permissions: Deno.PermissionOptions, name = ""): Worker {
  return new Worker(url, { type: "module", name, deno: { permissions } });
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(
    { length: hex.length / 2 },
    (_, index) => Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16),
  );
}

await runHost();
