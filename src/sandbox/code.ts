/**
 * Where the sandbox's own code lies and how a host is started from it.
 * @module
 */

import { fileURLToPath } from "node:url";
import { ASSET_NAMES } from "../../workers/protocol.ts";
import { ServiceError } from "../errors.ts";
import type { JailedCommand } from "./jails/mod.ts";

/** The argument that makes the compiled program start in the role of a sandbox host. */
export const HOST_ROLE = "sandbox-host";

const DIRECTORY = new URL("../../dist/sandbox/", import.meta.url);

/** URLs of the modules that a host starts. */
export const SANDBOX_CODE = {
  host: new URL("host.js", DIRECTORY),
  worker: new URL("worker.js", DIRECTORY),
  taskWorker: new URL("task_worker.js", DIRECTORY),
  probeWorker: new URL("probe_worker.js", DIRECTORY),
  importMap: new URL("import_map.json", DIRECTORY),
} as const;

/** Files that a host hands to its worker on request. */
const ASSETS = ASSET_NAMES.map((name) => new URL(`assets/${name}`, DIRECTORY));

/** The one folder that a host may read. */
export function sandboxDirectory(): string {
  return fileURLToPath(DIRECTORY);
}

/**
 * Makes sure that the sandbox's code has been built.
 * @throws {ServiceError} `CONFIG_INVALID` when it has not
 */
export async function requireSandboxCode(): Promise<void> {
  for (const url of [...Object.values(SANDBOX_CODE), ...ASSETS]) {
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

/** What a host may do to reach the server and nothing else. */
export interface HostCommandOptions {
  readonly socketPath: string;
  /** Folder that the host may write user code to, for its worker to read; `null` for none. */
  readonly codeDirectory: string | null;
  /** Deno's cache folder for this host: hosts share nothing with the user's own. */
  readonly denoDirectory: string;
  /** Old-space size of each V8 heap, in megabytes. */
  readonly heapMb: number;
}

/**
 * The command that starts this same program as a sandbox host.
 *
 * From sources, rights come from flags: read the bundle, connect to the one socket. A compiled program carries its flags
 * inside; there the host gives up its rights itself before it starts a worker.
 */
export function hostCommand({ socketPath, codeDirectory, denoDirectory, heapMb }: HostCommandOptions): JailedCommand {
  const env = { DENO_DIR: denoDirectory, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
  const writable = codeDirectory === null ? [socketPath] : [socketPath, codeDirectory];
  const safety = `--disallow-code-generation-from-strings,--max-old-space-size=${heapMb}`;
  // Compiled in, these flags would hold for the server too, which needs code generation.
  if (Deno.build.standalone) {
    return { program: Deno.execPath(), args: [HOST_ROLE], env: { ...env, DENO_V8_FLAGS: safety } };
  }
  // Deno caches code as it was compiled before it ran: without this flag the functions that a task needs are not in it.
  // For the many tasks of a node's host they are compiled once anyway.
  const v8Flags = codeDirectory === null ? safety : `${safety},--no-lazy`;
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
      `--import-map=${fileURLToPath(SANDBOX_CODE.importMap)}`,
      `--allow-read=${[fileURLToPath(DIRECTORY), ...writable].join(",")}`,
      `--allow-write=${writable.join(",")}`,
      `--allow-net=unix:${socketPath}`,
      "--deny-env",
      "--deny-sys",
      "--deny-run",
      "--deny-ffi",
      "--deny-import",
      "--unstable-worker-options",
      `--v8-flags=${v8Flags}`,
      fileURLToPath(SANDBOX_CODE.host),
    ],
    env,
  };
}
