import { type Command, InvalidArgumentError } from "commander";
import { loadConfig } from "../../config/mod.ts";
import { createToken, readTokenFile, type TokenRecord, writeTokenFile } from "../../rpc/token_file.ts";
import { UsageError } from "../errors.ts";
import { fileProblem, type Session } from "../session.ts";
import { table } from "../terminal.ts";

const UNIT_MS = { h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

const EXAMPLES = `
The file is that of --file, or auth.tokensFile (TOKENS_FILE) of the configuration. A running service reads it at its next
start.

Examples:
  rexec token create --caller build-farm --file tokens.yaml   make one; it is shown only this once
  rexec token create --caller ci --expires 90d                one that lasts for 90 days
  rexec token list                                            whose tokens there are
  rexec token revoke 0f3a5b7c9d1e                             take one away`;

interface TokenOptions {
  readonly file?: string;
  readonly configDir?: string;
}

interface CreateOptions extends TokenOptions {
  readonly caller: string;
  /** In milliseconds from now. */
  readonly expires?: number;
}

/** `rexec token` */
export function addToken(program: Command, start: (command: Command) => Session): void {
  const token = program.command("token")
    .description("make, list and revoke the tokens by which a service knows its callers")
    .addHelpText("after", EXAMPLES);
  withFile(token.command("create"))
    .description("make a token and print it; the file keeps its hash only")
    .requiredOption("--caller <name>", "whose it is: the name in logs and in security.yaml")
    .option("--expires <time>", "how long it is good for: 12h, 90d, 8w; for ever by default", parseLifetime)
    .action(async ({ caller, expires, ...options }: CreateOptions, command: Command) => {
      const session = start(command);
      const path = fileOf(options, session);
      const now = Date.now();
      const { token, record } = make(caller, { now, expiresAt: expires === undefined ? undefined : now + expires });
      write(path, [...read(path, { mayBeMissing: true }), record]);
      if (session.options.json) return await session.printJson({ token, ...withoutHash(record) });
      await session.print(`${token}\n`);
      await session.note(
        `Keep it now: it is not shown again. Callers give it with REXEC_TOKEN; ${path} has its hash. ` +
          "A running service knows it after its next start",
      );
    });
  withFile(token.command("list"))
    .description("show whose tokens there are, without the tokens")
    .action(async (options: TokenOptions, command: Command) => {
      const session = start(command);
      const records = read(fileOf(options, session));
      if (session.options.json) return await session.printJson(records.map(withoutHash));
      const now = new Date().toISOString();
      const rows = records.map(({ id, caller, created, expires }) => [
        id,
        caller,
        created,
        expires === undefined ? "never" : expires <= now ? `${expires} (expired)` : expires,
      ]);
      await session.print(table([["ID", "CALLER", "CREATED", "EXPIRES"], ...rows]));
    });
  withFile(token.command("revoke").argument("<id>", "as rexec token list shows it"))
    .description("take a token away")
    .action(async (id: string, options: TokenOptions, command: Command) => {
      const session = start(command);
      const path = fileOf(options, session);
      const records = read(path);
      const left = records.filter((record) => record.id !== id);
      if (left.length === records.length) throw new UsageError(`There is no token ${id} in ${path}`, SEE_LIST);
      write(path, left);
      await session.note(`Token ${id} is gone from ${path}. A running service takes it until its next start`);
    });
}

const SEE_LIST = "rexec token list shows them";

function withFile(command: Command): Command {
  return command
    .option("--file <file>", "file of the tokens (auth.tokensFile)")
    .option("--config-dir <folder>", "folder of service.yaml, security.yaml and logging.yaml");
}

function fileOf({ file, configDir }: TokenOptions, { terminal }: Session): string {
  if (file !== undefined) return file;
  const { tokensFile } = loadConfig({ env: terminal.env, configDir }).config.auth;
  if (tokensFile !== null) return tokensFile;
  throw new UsageError("No file of tokens is named", "Give one with --file, or set auth.tokensFile (TOKENS_FILE)");
}

function read(path: string, { mayBeMissing = false } = {}): TokenRecord[] {
  if (mayBeMissing && !exists(path)) return [];
  return readTokenFile(path);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function write(path: string, records: readonly TokenRecord[]): void {
  try {
    writeTokenFile(path, records);
  } catch (cause) {
    throw new UsageError(`Cannot write ${path}: ${fileProblem(cause)}`, undefined, { cause });
  }
}

function make(caller: string, times: { now: number; expiresAt: number | undefined }) {
  try {
    return createToken(caller, times);
  } catch (cause) {
    if (cause instanceof RangeError) throw new UsageError(cause.message, undefined, { cause });
    throw cause;
  }
}

function withoutHash({ sha256: _, ...rest }: TokenRecord): Omit<TokenRecord, "sha256"> {
  return rest;
}

function parseLifetime(text: string): number {
  const match = /^([1-9]\d{0,4})([hdw])$/.exec(text);
  if (match === null) throw new InvalidArgumentError("It must be a number of hours, days or weeks: 12h, 90d, 8w.");
  // The pattern lets no other unit through.
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}
