/**
 * Entry point of the program, the command line and the service alike.
 * @module
 */

import process from "node:process";
import { Interrupts } from "./interrupts.ts";
import { run } from "./program.ts";
import { realTerminal } from "./terminal.ts";

if (import.meta.main) {
  const interrupts = new Interrupts();
  // The service has handlers of its own, and drains; a command ends at once, or as it says.
  const onInterrupt = () => interrupts.interrupt();
  Deno.addSignalListener("SIGINT", onInterrupt);
  const terminal = realTerminal();
  try {
    process.exitCode = await run(Deno.args, terminal, interrupts);
  } finally {
    Deno.removeSignalListener("SIGINT", onInterrupt);
  }
  terminal.endInput();
}
