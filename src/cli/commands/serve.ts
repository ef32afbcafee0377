import { type Command, InvalidArgumentError } from "commander";
import type { ServiceInfo } from "../../main.ts";
import { PINNED_DENO_VERSION } from "../../runtime_check.ts";
import type { Session } from "../session.ts";

const EXAMPLES = `
Settings come from the command line over the environment over files over defaults; see: rexec config

Examples:
  rexec serve
  rexec serve --port 50052 --workers 2
  rexec serve --config-dir /etc/rexec --set logging.level=DEBUG`;

interface ServeCommandOptions extends ConfigCommandOptions {
  readonly host?: string;
  readonly port?: string;
  readonly workers?: string;
}

/** Options that choose settings. */
export interface ConfigCommandOptions {
  readonly configDir?: string;
  readonly set: Readonly<Record<string, string>>;
}

/** Adds the options of {@linkcode ConfigCommandOptions}. */
export function withConfigOptions(command: Command): Command {
  return command
    .option("--config-dir <folder>", "folder of service.yaml, security.yaml and logging.yaml")
    .option("--set <key=value>", "a setting, repeatable: server.port=50052", collect, {});
}

/** `rexec serve` */
export function addServe(program: Command, start: (command: Command) => Session): void {
  withConfigOptions(program.command("serve"))
    .description("run the service until it is told to stop")
    .option("--host <host>", "interface to listen on (server.host)")
    .option("--port <port>", "port for gRPC (server.port)")
    .option("--workers <count>", "sandbox hosts (pool.maxWorkers)")
    .addHelpText("after", EXAMPLES)
    .action(async (options: ServeCommandOptions, command: Command) => {
      const session = start(command);
      // Loaded here only, so that the other commands start without the server.
      const { serveSupervised } = await import("../../supervisor/mod.ts");
      await serveSupervised({
        configDir: options.configDir,
        overrides: {
          ...options.set,
          "server.host": options.host ?? options.set["server.host"],
          "server.port": options.port ?? options.set["server.port"],
          "pool.maxWorkers": options.workers ?? options.set["pool.maxWorkers"],
        },
        onReady: (info) => void announce(info, session),
      });
    });
}

async function announce(info: ServiceInfo, session: Session): Promise<void> {
  if (session.options.json) return await session.print(`${JSON.stringify(info)}\n`);
  const { bold } = session.style;
  const reach = ["0.0.0.0", "::", "127.0.0.1", "::1"].includes(info.host) ? "localhost" : info.host;
  const address = info.port === 50051 && reach === "localhost" ? "" : `--address ${reach}:${info.port} `;
  if (session.options.quiet) return;
  await session.print(
    `Ready on ${info.host}:${info.port} after ${Math.round(info.startupMs)} ms, sandbox ${info.sandbox}` +
      `${info.processes === 0 ? "" : `, front processes: ${info.processes}`}\n` +
      `Try: ${bold(`${ownCommand()} ${address}nodes`)}\n`,
  );
}

/** How this program is called: by its name where it is installed, through its task where it runs from sources. */
function ownCommand(): string {
  return Deno.build.standalone ? "rexec" : `npx -y deno@${PINNED_DENO_VERSION} task rexec`;
}

function collect(assignment: string, settings: Readonly<Record<string, string>>): Record<string, string> {
  const match = /^([^=]+)=([\s\S]*)$/.exec(assignment);
  if (match === null) throw new InvalidArgumentError("It must be key=value.");
  return { ...settings, [match[1]!]: match[2]! };
}
