/**
 * Entry of the compiled program: a sandbox host or a front where the server asks for one, else the command line of
 * `src/cli/main.ts`. A host loads nothing of the server: it is told apart before anything else is imported.
 *
 * @module
 */

import process from "node:process";
import { HOST_ROLE, sandboxCode } from "../src/sandbox/code.ts";
import { FRONT_ROLE, ROLE_VARIABLE } from "../src/supervisor/front_command.ts";

if (Deno.args[0] === HOST_ROLE) {
  await import(sandboxCode(null).host);
} else if (Deno.env.get(ROLE_VARIABLE) === FRONT_ROLE) {
  const { runFront } = await import("../src/supervisor/front.ts");
  await runFront();
} else {
  const [{ run }, { Interrupts }, { realTerminal }] = await Promise.all([
    import("../src/cli/program.ts"),
    import("../src/cli/interrupts.ts"),
    import("../src/cli/terminal.ts"),
  ]);
  const interrupts = new Interrupts();
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
