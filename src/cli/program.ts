/**
 * The command line as a function: arguments in, exit code out.
 * @module
 */

import { Command, CommanderError, Option } from "commander";
import { SERVICE_VERSION } from "../version.ts";
import { addCall } from "./commands/call.ts";
import { addConfig } from "./commands/config.ts";
import { addNodes } from "./commands/nodes.ts";
import { addRun } from "./commands/run.ts";
import { addServe } from "./commands/serve.ts";
import { addStatus } from "./commands/status.ts";
import { addStream } from "./commands/stream.ts";
import { addToken } from "./commands/token.ts";
import { EXIT, EXIT_CODE_HELP, type ExitCode, toExitCode } from "./exit_code.ts";
import { report } from "./report.ts";
import type { Interrupts } from "./interrupts.ts";
import { type GlobalOptions, Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

const EXAMPLES = `
Examples:
  rexec serve                                 run the service here
  rexec nodes                                 what it can do
  rexec call AudioTransform --input in.wav --output out.wav
  rexec stream VoiceActivityDetector --input speech.wav
  rexec run task.ts --data 21                 run code of your own in a sandbox
  rexec call --help                           more of a command`;

/**
 * Runs one command line. Nothing is thrown: what went wrong is printed to standard error.
 * @param args Without the program's name
 */
export async function run(args: readonly string[], terminal: Terminal, interrupts: Interrupts): Promise<ExitCode> {
  // What commander prints is written after it, since its own way to write is synchronous.
  const written: Promise<void>[] = [];
  const program = build(terminal, interrupts, written);
  const { signal } = interrupts;
  try {
    await program.parseAsync([...args], { from: "user" });
    return EXIT.OK;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
    if (error instanceof Deno.errors.BrokenPipe) return EXIT.OK; // `rexec nodes | head -1`
    const code = signal.aborted && error === signal.reason ? EXIT.INTERRUPTED : toExitCode(error);
    await report(error, code, { terminal, options: program.opts<GlobalOptions>() });
    return code;
  } finally {
    await Promise.all(written);
  }
}

function build(terminal: Terminal, interrupts: Interrupts, written: Promise<void>[]): Command {
  const { env } = terminal;
  const program = new Command("rexec")
    .description("Run media and data nodes, and code of your own, on a Remote Execution Service, or be one.")
    .version(SERVICE_VERSION)
    .addOption(
      new Option("--address <address>", "where the service is: host:port or unix:path (env: REXEC_ADDRESS)")
        .default(env["REXEC_ADDRESS"] || "localhost:50051"),
    )
    // Its default is not shown: it is a secret.
    .option("--token <token>", "bearer token (env: REXEC_TOKEN, which keeps it out of the process list)")
    .option("--tls", "encrypt, trusting the system's authorities")
    .option("--tls-ca <file>", "encrypt, trusting this authority (PEM)")
    .option("--json", "print JSON, errors too")
    .option("--quiet", "print results and errors only")
    .option("--verbose", "print more: stack traces, metrics")
    .option("--no-color", "no colours; NO_COLOR does the same")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void written.push(terminal.writeOut(text)),
      writeErr: (text) => void written.push(terminal.writeError(text)),
      getOutHelpWidth: () => 100,
      getErrHelpWidth: () => 100,
    })
    .showHelpAfterError("(rexec --help tells more)")
    .addHelpText("after", EXAMPLES + "\n" + EXIT_CODE_HELP);
  const start = (command: Command) => {
    const options = command.optsWithGlobals<GlobalOptions>();
    const token = options.token ?? env["REXEC_TOKEN"];
    return new Session({ ...options, ...(token ? { token } : {}) }, terminal, interrupts);
  };
  for (const add of [addServe, addNodes, addStatus, addCall, addStream, addRun, addConfig, addToken]) {
    add(program, start);
  }
  return program;
}
