/**
 * Entry of the Web Worker that runs user code in TypeScript and JavaScript.
 *
 * The order is what keeps the user's code from speaking for us: `harden.ts` captures and locks first, then this glue
 * and the codecs load, the host validates the package and writes its files, and only then is its entry module imported,
 * by us and never as the worker's main module.
 *
 * @module
 */

import { exposeGrants, openedPackage, workingDirectory } from "./harden.ts";
import type { PackageRunContext } from "./load_package.ts";
import { PackageStream } from "./package_stream.ts";
import { runPackage } from "./run_package.ts";
import { serveTask, type TaskServices } from "./task_service.ts";
import { warmUp } from "./warm_up.ts";

serveTask({
  run: (task, services) => runPackage(task, contextOf(services)),
  open: (task, options, { nowMs, give, ...services }) =>
    PackageStream.open(task, options, { ...contextOf(services), nowMs, give }),
  warmUp,
});

function contextOf({ signal }: Pick<TaskServices, "signal">): PackageRunContext {
  return { signal, openedPackage, exposeGrants, workingDirectory: workingDirectory() };
}
