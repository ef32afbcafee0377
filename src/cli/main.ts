/**
 * Entry point of the program, the command line and the service alike.
 * @module
 */

import process from "node:process";
import { run } from "./program.ts";
import { realTerminal } from "./terminal.ts";

if (import.meta.main) {
  const interrupted = new AbortController();
  // The service has handlers of its own, and drains; a command ends at once.
  const onInterrupt = () => interrupted.abort(new DOMException("Interrupted", "AbortError"));
  Deno.addSignalListener("SIGINT", onInterrupt);
  try {
    process.exitCode = await run(Deno.args, realTerminal(), interrupted.signal);
  } finally {
    Deno.removeSignalListener("SIGINT", onInterrupt);
  }
}
