/**
 * What every command gets: the global options, the terminal, a signal and the client.
 * @module
 */

import { type ClientOptions, normalizeAddress, RemoteExecutionClient } from "../client/mod.ts";
import { messageOf } from "../errors.ts";
import { UsageError } from "./errors.ts";
import type { Interrupts } from "./interrupts.ts";
import { type Style, styleFor, type Terminal } from "./terminal.ts";

/** Options that every command has, as commander gives them. */
export interface GlobalOptions {
  readonly address: string;
  readonly token?: string;
  readonly tlsCa?: string;
  readonly tls?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly color: boolean;
}

/** One run of the program. */
export class Session {
  /** How standard output looks. */
  readonly style: Style;

  constructor(
    readonly options: GlobalOptions,
    readonly terminal: Terminal,
    readonly interrupts: Interrupts,
  ) {
    this.style = styleFor(terminal.stdoutIsTerminal, { env: terminal.env, color: options.color });
  }

  /** Aborts when the user interrupts. */
  get signal(): AbortSignal {
    return this.interrupts.signal;
  }

  /** The client; the caller closes it. */
  async connect(): Promise<RemoteExecutionClient> {
    const { address, token, tlsCa, tls } = this.options;
    if (token !== undefined && tlsCa === undefined && !tls && !isLocal(address)) {
      await this.note(`The token travels to ${address} unencrypted: use --tls or --tls-ca`);
    }
    const caCert = tlsCa === undefined ? undefined : await readFile(tlsCa, "--tls-ca");
    const options: ClientOptions = {
      ...(token === undefined ? {} : { token }),
      ...(caCert !== undefined ? { tls: { caCert } } : tls ? { tls: {} } : {}),
    };
    try {
      return new RemoteExecutionClient(normalizeAddress(address), options);
    } catch (cause) {
      const hint = "Give it with --address host:port or REXEC_ADDRESS";
      throw new UsageError(messageOf(cause), hint, { cause });
    }
  }

  /** Prints a line of information or warning to standard error, unless the user wants it quiet. */
  async note(text: string): Promise<void> {
    if (!this.options.quiet) await this.terminal.writeError(`${text}\n`);
  }

  /** Prints a result to standard output. */
  print(text: string | Uint8Array): Promise<void> {
    return this.terminal.writeOut(text);
  }

  /** Prints a result for machines. */
  printJson(value: unknown): Promise<void> {
    return this.print(`${JSON.stringify(value, null, 2)}\n`);
  }
}

/**
 * Reads a file that the command line names.
 * @throws {UsageError} naming file and reason
 */
export async function readFile(path: string, option: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    throw new UsageError(`Cannot read ${path} for ${option}: ${fileProblem(cause)}`, undefined, { cause });
  }
}

/** What is the matter with a file, for people. */
export function fileProblem(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file or folder";
  if (error instanceof Deno.errors.IsADirectory) return "it is a folder";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  return messageOf(error);
}

function isLocal(address: string): boolean {
  return /^(localhost|127\.|\[::1\]|unix:)/.test(address);
}
