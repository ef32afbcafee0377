/**
 * A warm cache of compiled code: a host that starts from one takes half the time and a third less memory, because V8
 * need not parse the worker again.
 *
 * Only hosts that never see a task fill it; all others get a copy of their own, so that no task can put code into
 * another's host.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../errors.ts";
import { serviceLogger } from "../logging/mod.ts";
import { cacheFiles } from "./cache_files.ts";
import { pythonCode, sandboxCode } from "./code.ts";
import { NO_GRANTS } from "./grants.ts";
import { HostProcess } from "./host_process.ts";
import { hostFiles, type HostOptions, type HostRole } from "./launch.ts";

const logger = serviceLogger("sandbox");

/** Deno writes compiled code in the background while its worker gets ready; it took under 50 ms where it was measured. */
const WRITE_TIMEOUT_MS = 2_000;
const WRITE_POLL_MS = 5;

/**
 * Fills a cache by starting a host and ending it once it is ready and its worker's code is in the cache, in
 * the jail of those that will start from it: Deno knows compiled code by its path. A host of Python's leaves a snapshot
 * of its interpreter's memory there besides.
 *
 * @returns the folder that others start from; `null` for a compiled program, which carries its own
 * @throws {ServiceError} `SANDBOX_LOST` when the host cannot start
 */
export async function fillCache(
  role: HostRole,
  options: Omit<HostOptions, "id" | "role" | "cache" | "grants">,
): Promise<string | null> {
  if (Deno.build.standalone) return null;
  const { python } = options;
  const name = python === undefined ? role : `python-${python.version.replace(".", "-")}`;
  const directory = `${options.runtimeDirectory}/${name}.warm-cache`;
  const warming = {
    ...options,
    id: `warm-${name}`,
    role,
    cache: { kind: "fill", directory },
    grants: NO_GRANTS,
  } as const;
  {
    const signal = AbortSignal.timeout(options.startTimeoutMs);
    await using host = await HostProcess.start(warming, { signal });
    host.warmUp();
    const { bundle } = hostFiles(warming).inside;
    for (const module of modulesOf(warming, bundle)) await untilWritten(directory, module);
  }
  seal(directory);
  return directory;
}

/** What a host loads that takes long to compile. */
function modulesOf({ role, python }: Pick<HostOptions, "role" | "python">, bundle: string | null): readonly string[] {
  if (python !== undefined) return [`${pythonCode(bundle, python.version)}pyodide.asm.mjs`];
  const { worker, taskWorker, packageReader, packageValidator } = sandboxCode(bundle);
  return role === "task" ? [taskWorker, packageReader, packageValidator] : [worker];
}

/** Waits until a module's compiled code is in the cache. Hosts start without it too, only later. */
async function untilWritten(directory: string, module: string): Promise<void> {
  const deadline = performance.now() + WRITE_TIMEOUT_MS;
  while (!isWritten(directory, module)) {
    if (performance.now() > deadline) {
      logger.warn("Sandbox hosts start slowly: the cache holds no compiled code of {module}", { module });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, WRITE_POLL_MS));
  }
}

function isWritten(directory: string, module: string): boolean {
  try {
    using database = new DatabaseSync(`${directory}/v8_code_cache_v2`, { readOnly: true });
    return database.prepare("SELECT 1 FROM codecache WHERE specifier = ?").get(module) !== undefined;
  } catch (error) {
    // Deno is making the file or its table at this moment.
    logger.debug("Cannot read the cache of compiled code yet: {error}", { error: messageOf(error) });
    return false;
  }
}

/**
 * Puts what lies in write-ahead logs (https://www.sqlite.org/wal.html) into the databases themselves, which Deno had no
 * time for: one file each is less to copy, and a host that was given the logs without their index could not open them.
 */
function seal(directory: string): void {
  for (const name of cacheFiles(directory)) {
    if (/-(?:wal|shm)$/.test(name)) continue;
    // Closing the last connection removes the logs.
    using database = new DatabaseSync(`${directory}/${name}`);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }
}
