/**
 * Starts the process of a sandbox host, with the files and the socket that it has for itself.
 * @module
 */

import { abortable } from "../async/abortable.ts";
import { messageOf, ServiceError } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { MAX_TASK_TEXT_BYTES, ProtocolError, type PythonVersion } from "../../workers/protocol.ts";
import { closeQuietly } from "./close_quietly.ts";
import { copyCache } from "./cache_files.ts";
import { hostCommand, pythonCode, sandboxCode, sandboxDirectory } from "./code.ts";
import { EgressAccess } from "./egress/mod.ts";
import type { Grants } from "./grants.ts";
import type { ControlGroup, ControlGroups } from "./cgroups/mod.ts";
import type { HostPaths } from "./host_paths.ts";
import type { HostCache, Jail } from "./jails/mod.ts";
import { MEGABYTE } from "../units.ts";

const logger = serviceLogger("sandbox");

const MAX_STDERR_LENGTH = 4_096;
/** The runtime says a few lines before it dies; a host that says more than this is made to talk. In characters. */
const MAX_STDERR_READ = 1024 * 1024;
/** Address space that V8, Deno's threads and its code take before any task: the least that starts is 1,152 MB. */
const RUNTIME_DATA_MB = 1_152;
/** The interpreter's own memory, and the compiler's for its WebAssembly, before any task. */
const PYTHON_DATA_MB = 256;
const OPEN_FILE_LIMIT = 64;
/** Descriptors of the connections of a host with network: two in the relay for each, and one in its worker. */
const NETWORK_FILES = 64;
/** Longest file that a host may write where nothing asks for more: a file of Deno's cache. */
const LEAST_FILE_LIMIT_BYTES = 16 * MEGABYTE;
/** Longest snapshot: the memory of an interpreter that has not run anything. */
const SNAPSHOT_LIMIT_BYTES = 256 * MEGABYTE;
/** Where in a filled cache a snapshot lies. Folders of a cache are not copied: each host maps the one file. */
const SNAPSHOT_FOLDER = "python";
const SNAPSHOT_FILE = `${SNAPSHOT_FOLDER}/snapshot`;

/** What a host is for: built-in nodes one after the other, or one task of user code. */
export type HostRole = "node" | "task";

/** An interpreter of Python. */
export interface HostPythonOptions {
  readonly version: PythonVersion;
  /** Whether it starts from the memory of another where its version can: sooner, and with the same hash seed. */
  readonly sharesMemory: boolean;
}

/** What a host needs to start. */
export interface HostOptions {
  readonly id: string;
  readonly role: HostRole;
  /** Whether its worker installs packages; its role is `task` then. */
  readonly installs?: boolean;
  readonly jail: Jail;
  /** Folder of the service's own for sockets and caches; removed with the service. */
  readonly runtimeDirectory: string;
  readonly startTimeoutMs: number;
  /** Memory ceiling of a task, in megabytes. */
  readonly memoryMb: number;
  /** Longest input of a task, in bytes. */
  readonly maxInputBytes: number;
  /** Bytes that a code package may have once unpacked. */
  readonly maxUnpackedBytes: number;
  readonly cache: HostCache;
  readonly grants: Grants;
  /** The interpreter that it runs; absent for TypeScript and JavaScript. */
  readonly python?: HostPythonOptions;
  /** Where the kernel's control groups can be had, each host for user code gets one. */
  readonly controlGroups?: ControlGroups | undefined;
}

/** A started process at the other end of a socket; nothing of what it says has been checked yet. */
export interface LaunchedHost {
  readonly child: Deno.ChildProcess;
  readonly connection: Deno.Conn;
  /** The end of what it wrote to standard error, once it has ended. Untrusted. */
  readonly stderr: Promise<string>;
  /** What it has to say first. */
  readonly token: Uint8Array;
  /** Where its files lie. */
  readonly files: HostFiles;
  readonly controlGroup: ControlGroup | undefined;
  readonly egress: EgressAccess | undefined;
}

/** The files of a host on disk. */
export interface HostFiles {
  readonly outside: HostPaths;
  /** The same as the host sees them. */
  readonly inside: HostPaths;
  /** Removes what is the host's own. */
  remove(): Promise<void>;
}

/**
 * Starts a host's process and waits until it has connected and `prepare` has done with it.
 *
 * @throws {ServiceError} `SANDBOX_LOST` when it ends, does not connect, or `prepare` throws; nothing is left of it then
 */
export async function launch<T>(
  options: HostOptions,
  signal: AbortSignal,
  prepare: (host: LaunchedHost) => Promise<T>,
): Promise<T> {
  const files = hostFiles(options);
  const { outside } = files;
  const token = crypto.getRandomValues(new Uint8Array(32));
  using listener = Deno.listen({ transport: "unix", path: outside.socket });
  const controlGroup = options.role === "task" ? options.controlGroups?.create(options.id) : undefined;
  let egress: EgressAccess | undefined;
  let child: Deno.ChildProcess | undefined;
  let stderr = Promise.resolve("");
  let connecting: Promise<Deno.Conn> | undefined;
  try {
    await makeFiles(options, outside);
    egress = EgressAccess.open(outside.egress, options.grants);
    child = spawnHost(options, { files, controlGroup, egress });
    const writing = child;
    stderr = readTail(child.stderr, { maxLength: MAX_STDERR_LENGTH, onFlood: () => killQuietly(writing) });
    await writeBootstrap(child, options, { inside: files.inside, token, egress });
    connecting = listener.accept();
    const connection = await firstOf(connecting, child, signal);
    return await prepare({ child, connection, stderr, token, files, controlGroup, egress });
  } catch (cause) {
    connecting?.then(closeQuietly, () => {});
    let end = "";
    if (child !== undefined) {
      killQuietly(child);
      end = `; exit code ${(await child.status).code}`;
    }
    await files.remove();
    controlGroup?.[Symbol.dispose]();
    await egress?.[Symbol.asyncDispose]();
    const detail = (await stderr).trim();
    throw new ServiceError(
      "SANDBOX_LOST",
      `Cannot start sandbox host "${options.id}": ${messageOf(cause)}${end}${detail && `; ${detail}`}`,
      { cause },
    );
  } finally {
    await Deno.remove(outside.socket).catch(() => {});
  }
}

/** Gives what an operation gives, unless the process ends or the signal aborts first. */
export async function firstOf<T>(operation: Promise<T>, child: Deno.ChildProcess, signal: AbortSignal): Promise<T> {
  operation.catch(() => {});
  const exit = child.status.then(({ code }) => {
    throw new ProtocolError(`it ended early with code ${code}`);
  });
  return await abortable(Promise.race([operation, exit]), signal);
}

/** Kills a process that may have ended already. */
export function killQuietly(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** The files of a host that is started with these options. */
export function hostFiles({ id, role, jail, runtimeDirectory, cache, grants, python }: HostOptions): HostFiles {
  const own = `${runtimeDirectory}/${id}`;
  const outside: HostPaths = {
    bundle: sandboxDirectory(),
    socket: `${own}.sock`,
    cache: cache.kind === "fill" ? cache.directory : `${own}.cache`,
    // Python has a file system in memory.
    code: role === "task" && python === undefined ? own : null,
    scratch: grants.scratchBytes === null ? null : `${own}.scratch`,
    audit: role === "task" ? `${own}.audit` : null,
    egress: grants.networkHosts === null ? null : `${own}.egress.sock`,
    snapshot: python === undefined || cache.kind === "fill" ? null : snapshotIn(cache.from),
  };
  const { code, scratch, audit } = outside;
  const removable = [code, scratch, audit, cache.kind === "copy" ? outside.cache : null];
  return {
    outside,
    inside: jail.inside(outside),
    async remove() {
      for (const path of removable) {
        if (path !== null) await Deno.remove(path, { recursive: true }).catch(() => {});
      }
    },
  };
}

/** The snapshot of a filled cache, if there is one. */
function snapshotIn(cache: string | null): string | null {
  if (cache === null) return null;
  const path = `${cache}/${SNAPSHOT_FILE}`;
  try {
    return Deno.statSync(path).isFile ? path : null;
  } catch {
    return null;
  }
}

async function makeFiles(
  { jail, cache, python }: HostOptions,
  { code, scratch, audit, ...paths }: HostPaths,
): Promise<void> {
  if (audit !== null) await Deno.writeFile(audit, new Uint8Array(), { createNew: true, mode: 0o600 });
  if (cache.kind === "fill") {
    await Deno.mkdir(cache.directory, { mode: 0o700 });
    if (python !== undefined) await Deno.mkdir(`${cache.directory}/${SNAPSHOT_FOLDER}`, { mode: 0o700 });
  }
  // A jail with a file system of its own has empty folders in memory instead, and a copy of the cache in one of them.
  if (jail.type === "bubblewrap") return;
  for (const folder of [code, scratch]) {
    if (folder !== null) await Deno.mkdir(folder, { mode: 0o700 });
  }
  if (cache.kind === "copy") await copyCache(cache.from, paths.cache);
}

/** What a host is started with, besides what it is for. */
type Means = Pick<LaunchedHost, "files" | "controlGroup" | "egress">;

function spawnHost(options: HostOptions, { files, controlGroup, egress }: Means): Deno.ChildProcess {
  const { outside, inside } = files;
  const { jail, memoryMb, maxUnpackedBytes, grants, cache, role, runtimeDirectory, python } = options;
  const scratchBytes = grants.scratchBytes ?? 0;
  const codeBytes = outside.code === null ? 0 : maxUnpackedBytes;
  const makesSnapshot = python !== undefined && cache.kind === "fill";
  const dataMb = (role === "task" && python !== undefined ? PYTHON_DATA_MB : 0) + RUNTIME_DATA_MB + memoryMb;
  const { program, args, env } = jail.enclose({
    command: hostCommand({
      paths: inside,
      heapMb: memoryMb,
      egress: egress?.permissions ?? null,
      snapshotFolder: makesSnapshot ? `${inside.cache}/${SNAPSHOT_FOLDER}` : null,
    }),
    paths: outside,
    cache,
    dataLimitBytes: dataMb * MEGABYTE,
    fileLimitBytes: Math.max(
      LEAST_FILE_LIMIT_BYTES,
      codeBytes,
      scratchBytes,
      makesSnapshot ? SNAPSHOT_LIMIT_BYTES : 0,
    ),
    openFileLimit: egress === undefined ? OPEN_FILE_LIMIT : OPEN_FILE_LIMIT + NETWORK_FILES,
    codeBytes,
    scratchBytes,
    controlGroupFiles: controlGroup?.procsFiles ?? [],
  });
  return new Deno.Command(program, {
    args: [...args],
    env: { ...env },
    clearEnv: true,
    cwd: runtimeDirectory,
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

/** The token goes through standard input: arguments and environment can be read by others of the same user. */
async function writeBootstrap(
  child: Deno.ChildProcess,
  { role, installs = false, maxInputBytes, grants, python, cache }: HostOptions,
  { inside, token, egress }: {
    readonly inside: HostPaths;
    readonly token: Uint8Array;
    readonly egress: EgressAccess | undefined;
  },
): Promise<void> {
  const modules = sandboxCode(inside.bundle);
  const pythonUrl = python === undefined ? undefined : pythonCode(inside.bundle, python.version);
  const userWorker = egress === undefined ? modules.taskWorker : modules.networkTaskWorker;
  const taskWorker = installs ? modules.installWorker : userWorker;
  const bootstrap = {
    socketPath: inside.socket,
    token: token.toHex(),
    workerUrl: pythonUrl === undefined ? role === "task" ? taskWorker : modules.worker : `${pythonUrl}worker.js`,
    probeWorkerUrl: modules.probeWorker,
    maxFrameBytes: maxInputBytes + MAX_TASK_TEXT_BYTES,
    codeDirectory: inside.code,
    packages: role === "node" || installs || python !== undefined
      ? null
      : { readerUrl: modules.packageReader, validatorUrl: modules.packageValidator },
    scratchDirectory: inside.scratch,
    workingDirectory: grants.workingDirectory,
    egress: egress === undefined ? null : { socketPath: inside.egress, ...egress.bootstrap },
    python: pythonUrl === undefined ? null : {
      filesUrl: pythonUrl,
      sharesMemory: python?.sharesMemory ?? false,
      mode: cache.kind === "fill" ? "snapshot" : inside.snapshot === null ? "cold" : "from snapshot",
      snapshotPath: inside.snapshot ?? `${inside.cache}/${SNAPSHOT_FILE}`,
    },
  };
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(JSON.stringify(bootstrap)));
  await stdin.close();
}

/** Reads a stream to its end and keeps the last characters. */
async function readTail(
  stream: ReadableStream<Uint8Array>,
  { maxLength, onFlood }: { readonly maxLength: number; readonly onFlood: () => void },
): Promise<string> {
  let tail = "";
  let length = 0;
  try {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      tail = (tail + text).slice(-maxLength);
      length += text.length;
      if (length > MAX_STDERR_READ) onFlood();
    }
  } catch (error) {
    logger.debug("Cannot read the standard error of a sandbox host: {error}", { error: messageOf(error) });
  }
  return tail;
}
