/**
 * Where the sandbox's own code lies and how a host is started from it.
 * @module
 */

import { fileURLToPath, pathToFileURL } from "node:url";
import { ASSET_NAMES, PYTHON_VERSIONS, type PythonVersion } from "../../workers/protocol.ts";
import { ServiceError } from "../errors.ts";
import type { EgressPermissions } from "./egress/mod.ts";
import type { HostPaths } from "./host_paths.ts";
import type { JailedCommand } from "./jails/mod.ts";

/** The argument that makes the compiled program start in the role of a sandbox host. */
export const HOST_ROLE = "sandbox-host";

const DIRECTORY = new URL("../../dist/sandbox/", import.meta.url);

/** Names of the modules that a host starts, and of what keeps them from others. */
const FILES = {
  host: "host.js",
  worker: "worker.js",
  taskWorker: "task_worker.js",
  networkTaskWorker: "network_task_worker.js",
  installWorker: "install_worker.js",
  packageReader: "package_reader.js",
  packageValidator: "package_validator.js",
  probeWorker: "probe_worker.js",
  importMap: "import_map.json",
} as const;

/** Files of a Python version, from the bundle's folder. */
const PYTHON_FILES = [
  "worker.js",
  "pyodide.mjs",
  "pyodide.asm.mjs",
  "pyodide.asm.wasm",
  "python_stdlib.zip",
  "library.zip",
];
const pythonFolder = (version: PythonVersion) => `python/${version}/`;

/** Where the modules of a host lie, as URLs. @param bundle their folder, `null` for a compiled program */
export function sandboxCode(bundle: string | null): Readonly<Record<keyof typeof FILES, string>> {
  const directory = bundle === null ? DIRECTORY : pathToFileURL(`${bundle}/`);
  const url = (name: string) => new URL(name, directory).href;
  return {
    host: url(FILES.host),
    worker: url(FILES.worker),
    taskWorker: url(FILES.taskWorker),
    networkTaskWorker: url(FILES.networkTaskWorker),
    installWorker: url(FILES.installWorker),
    packageReader: url(FILES.packageReader),
    packageValidator: url(FILES.packageValidator),
    probeWorker: url(FILES.probeWorker),
    importMap: url(FILES.importMap),
  };
}

/** Where the files of a Python version lie, as a URL that ends with a slash. @param bundle as in {@linkcode sandboxCode} */
export function pythonCode(bundle: string | null, version: PythonVersion): string {
  return new URL(pythonFolder(version), bundle === null ? DIRECTORY : pathToFileURL(`${bundle}/`)).href;
}

/** Paths of the modules that a host loads when it needs them, `[]` for a compiled program, which loads all before. */
export function packageModulePaths(bundle: string | null): readonly string[] {
  return bundle === null ? [] : [FILES.packageReader, FILES.packageValidator].map((name) => `${bundle}/${name}`);
}

/** Files that a host hands to its worker on request. */
const ASSETS = ASSET_NAMES.map((name) => new URL(`assets/${name}`, DIRECTORY));

/** The one folder that every host may read; `null` for a compiled program, which carries its code inside itself. */
export function sandboxDirectory(): string | null {
  return Deno.build.standalone ? null : fileURLToPath(DIRECTORY).replace(/\/$/, "");
}

/**
 * Makes sure that the sandbox's code has been built.
 * @throws {ServiceError} `CONFIG_INVALID` when it has not
 */
export async function requireSandboxCode(): Promise<void> {
  const files = [
    ...Object.values(FILES),
    ...PYTHON_VERSIONS.flatMap((version) => PYTHON_FILES.map((name) => `${pythonFolder(version)}${name}`)),
  ];
  for (const url of [...files.map((name) => new URL(name, DIRECTORY)), ...ASSETS]) {
    try {
      await Deno.stat(url);
    } catch (cause) {
      throw new ServiceError(
        "CONFIG_INVALID",
        `Cannot start sandboxes: "${fileURLToPath(url)}" is missing; run "deno task bundle" first`,
        { cause },
      );
    }
  }
}

/** V8's flags for a host that lives for one task of user code, most of whose time is its start. */
const SHORT_LIFE_FLAGS = [
  // Deno caches code as it was compiled before it ran: without this flag the functions that a task needs are not in it.
  // For the many tasks of a node's host they are compiled once anyway.
  "--no-lazy",
  // Young objects get room for the start and most tasks: three collections less, in megabytes.
  "--min-semi-space-size=8",
];

/** What a host is started with. */
export interface HostCommandOptions {
  /** As the host sees them. */
  readonly paths: HostPaths;
  /** Old-space size of each V8 heap, in megabytes. */
  readonly heapMb: number;
  /** Rights to ask the egress proxy, `null` for no network. */
  readonly egress: EgressPermissions | null;
  /** Folder that the host may write a snapshot to, `null` for one that makes none. */
  readonly snapshotFolder: string | null;
}

/**
 * The command that starts this same program as a sandbox host.
 *
 * From sources, rights come from flags: read the bundle, connect to the one socket. A compiled program carries its flags
 * inside; there the host gives up its rights itself before it starts a worker.
 */
export function hostCommand({ paths, heapMb, egress, snapshotFolder }: HostCommandOptions): JailedCommand {
  const { bundle, socket, cache, code, scratch, audit } = paths;
  const env = {
    DENO_DIR: cache,
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
    ...(audit === null ? {} : { DENO_AUDIT_PERMISSIONS: audit }),
  };
  const writable = [socket, code, scratch, paths.egress, snapshotFolder].filter((path) => path !== null);
  const readable = [bundle, paths.snapshot, ...writable].filter((path) => path !== null);
  // What V8 optimises of WebAssembly on a guess it throws away when that was wrong. CPython's main loop meets that with
  // every new kind of call: 5 ms each time, and as slow as at first until it has been compiled again.
  const safety = `--disallow-code-generation-from-strings,--no-wasm-deopt,--max-old-space-size=${heapMb}`;
  // Compiled in, these flags would hold for the server too, which needs code generation.
  if (bundle === null) {
    return { program: Deno.execPath(), args: [HOST_ROLE], env: { ...env, DENO_V8_FLAGS: safety } };
  }
  const modules = sandboxCode(bundle);
  const v8Flags = code === null ? safety : [safety, ...SHORT_LIFE_FLAGS].join(",");
  return {
    program: Deno.execPath(),
    args: [
      "run",
      "--no-prompt",
      "--no-remote",
      "--no-npm",
      "--cached-only",
      "--no-lock",
      "--no-check",
      "--quiet",
      "--no-config",
      `--import-map=${fileURLToPath(modules.importMap)}`,
      `--allow-read=${readable.join(",")}`,
      `--allow-write=${writable.join(",")}`,
      ...networkFlags(paths, egress),
      "--deny-env",
      "--deny-sys",
      "--deny-run",
      "--deny-ffi",
      "--deny-import",
      "--unstable-worker-options",
      `--v8-flags=${v8Flags}`,
      modules.host,
    ],
    env,
  };
}

function networkFlags({ socket, egress }: HostPaths, permissions: EgressPermissions | null): string[] {
  if (egress === null || permissions === null) return [`--allow-net=unix:${socket}`];
  const { hostAllow, hostDeny } = permissions;
  const allow = hostAllow === null
    ? "--allow-net"
    : `--allow-net=${[`unix:${socket}`, `unix:${egress}`, ...hostAllow].join(",")}`;
  return hostDeny.length === 0 ? [allow] : [allow, `--deny-net=${hostDeny.join(",")}`];
}
