import type { Command } from "commander";
import { describeConfig, loadConfig } from "../../config/mod.ts";
import type { Session } from "../session.ts";
import { type ConfigCommandOptions, withConfigOptions } from "./serve.ts";

const EXAMPLES = `
Examples:
  rexec config                                  every setting, its value and where that comes from
  rexec config --set server.port=50052          what an option would do
  rexec --json config --config-dir /etc/rexec   for programs`;

/** `rexec config` */
export function addConfig(program: Command, start: (command: Command) => Session): void {
  withConfigOptions(program.command("config"))
    .description("show the service's configuration and where each value comes from")
    .addHelpText("after", EXAMPLES)
    .action(async ({ configDir, set }: ConfigCommandOptions, command: Command) => {
      const session = start(command);
      const loaded = loadConfig({ env: session.terminal.env, configDir, overrides: set });
      await session.print(describeConfig(loaded, { json: session.options.json }));
    });
}
