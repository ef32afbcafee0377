/**
 * A warm cache of compiled code: a host that starts from one takes half the time and a third less memory, because V8
 * need not parse the worker again.
 *
 * Only hosts that never see a task fill it; all others get a copy, or see it read-only, so that no task can put code
 * into another's host.
 *
 * @module
 */

import { NO_GRANTS } from "./grants.ts";
import { HostProcess } from "./host_process.ts";
import type { HostOptions, HostRole } from "./launch.ts";

/**
 * Fills a cache by starting a host and ending it once it is ready, in the jail of those that will start from it: Deno
 * knows compiled code by its path.
 *
 * @returns the folder that others start from; `null` for a compiled program, which carries its own
 * @throws {ServiceError} `SANDBOX_LOST` when the host cannot start
 */
export async function fillCache(
  role: HostRole,
  options: Omit<HostOptions, "id" | "role" | "cache" | "grants">,
): Promise<string | null> {
  if (Deno.build.standalone) return null;
  const directory = `${options.runtimeDirectory}/${role}.warm-cache`;
  await using _host = await HostProcess.start({
    ...options,
    id: `warm-${role}`,
    role,
    cache: { kind: "fill", directory },
    grants: NO_GRANTS,
  }, { signal: AbortSignal.timeout(options.startTimeoutMs) });
  return directory;
}
