/**
 * The start-up probe: a sandbox tries what it must not be able to, and the service does not serve if anything works.
 * @module
 */

import { messageOf, ServiceError } from "../errors.ts";
import type { ProbeOutcome } from "../../workers/protocol.ts";
import type { HostProcess } from "./host_process.ts";

/** Set in the server's environment while the probe runs; a sandbox that can read it leaks. */
const CANARY_VARIABLE = "REXEC_PROBE_CANARY";
const PROBE_TIMEOUT_MS = 10_000;
/** Where the operations are tried; silence proves nothing. */
const PROBED_PLACES: readonly ProbeOutcome["place"][] = ["host", "worker", "task"];
/** Where they are tried in a host that runs Python. */
export const PYTHON_PROBED_PLACES: readonly ProbeOutcome["place"][] = [...PROBED_PLACES, "interpreter"];

/**
 * Probes a sandbox with real targets: a file, a module, a folder, a listener on loopback, an environment variable.
 *
 * @param runtimeDirectory a folder of the service's own, outside what a sandbox may read
 * @param places where something must have been tried
 * @returns every attempt with its outcome
 * @throws {ServiceError} `SANDBOX_LEAK` when anything succeeded, or when the listener was reached
 */
export async function probeSandbox(
  host: HostProcess,
  runtimeDirectory: string,
  places = PROBED_PLACES,
): Promise<readonly ProbeOutcome[]> {
  const directory = `${runtimeDirectory}/probe`;
  await Deno.mkdir(directory, { mode: 0o700 });
  const file = `${directory}/canary.txt`;
  const module = `${directory}/canary.ts`;
  await Deno.writeTextFile(file, "canary");
  await Deno.writeTextFile(module, "export default 'canary';\n");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const visitors = countVisitors(listener);
  Deno.env.set(CANARY_VARIABLE, "canary");
  try {
    const outcomes = await host.probe({
      file,
      moduleUrl: `file://${module}`,
      writableDirectory: directory,
      loopbackPort: listener.addr.port,
      environmentVariable: CANARY_VARIABLE,
    }, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    const leaks = outcomes.filter(({ leaked }) => leaked).map(({ place, attempt, detail }) =>
      `${place}: ${attempt} (${detail})`
    );
    for (const place of places) {
      if (!outcomes.some((outcome) => outcome.place === place)) leaks.push(`${place}: nothing was tried`);
    }
    const visits = visitors.count;
    if (visits > 0) leaks.push(`the loopback listener was reached ${visits} times`);
    if (leaks.length > 0) {
      throw new ServiceError("SANDBOX_LEAK", `Cannot serve: the sandbox leaks: ${leaks.join("; ")}`);
    }
    return outcomes;
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError("SANDBOX_LEAK", `Cannot serve: the sandbox did not prove itself: ${messageOf(cause)}`, {
      cause,
    });
  } finally {
    Deno.env.delete(CANARY_VARIABLE);
    listener.close();
    await visitors.done;
    await Deno.remove(directory, { recursive: true });
  }
}

/** Counts the connections that a listener takes until it is closed. */
function countVisitors(listener: Deno.TcpListener): { readonly count: number; readonly done: Promise<void> } {
  let count = 0;
  const accept = async () => {
    for await (const connection of listener) {
      count++;
      connection.close();
    }
  };
  const done = accept();
  return {
    get count() {
      return count;
    },
    done,
  };
}
