/**
 * The command line as a process.
 * @module
 */

const MAIN = new URL("../../src/cli/main.ts", import.meta.url);

/** How a process ended. */
export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

/** Runs `rexec`; its environment is what is given, and nothing else of ours that it reads. */
export async function rexec(
  args: readonly string[],
  { env = {}, stdin, keepStdin = false, interrupt }: {
    env?: Record<string, string>;
    stdin?: string | Uint8Array;
    /** Whether standard input stays open. */
    keepStdin?: boolean;
    /** When to send SIGINT. */
    interrupt?: Promise<void>;
  } = {},
): Promise<CliResult> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", MAIN.pathname, ...args],
    env: { REXEC_ADDRESS: "", REXEC_TOKEN: "", NO_COLOR: "", CONFIG_DIR: "", ...env },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = command.spawn();
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin);
    if (keepStdin) void child.status.then(() => writer.close()).catch(() => {}); // It has ended then.
    else await writer.close();
  }
  interrupt?.then(() => child.kill("SIGINT"));
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), bytes: stdout, stderr: text(stderr) };
}
