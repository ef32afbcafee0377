/**
 * Servers under measurement, each in a process of its own.
 * @module
 */

import { fileURLToPath } from "node:url";
import { withServiceV8Flags } from "../src/v8_flags.ts";

/** A server that runs until it is disposed of. */
export interface ServerProcess extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** Where the service serves its metrics; other programs serve none. */
  readonly metricsPort: number | undefined;
}

/**
 * Starts the service, with the flags that it has in production.
 * @param settings by key
 * @param flags of Deno, to profile it say
 */
export async function startService(
  settings: Readonly<Record<string, unknown>> = {},
  flags: readonly string[] = [],
): Promise<ServerProcess> {
  const env = { DENO_V8_FLAGS: withServiceV8Flags(Deno.env.get("DENO_V8_FLAGS")) };
  return await startServer("./service.ts", { flags, args: [JSON.stringify(settings)], env });
}

/** Starts the bare echo. */
export async function startEcho(): Promise<ServerProcess> {
  return await startServer("./echo_server.ts", { flags: [], args: [], env: {} });
}

/** Starts a program of this folder that prints `{"port": …}` as its first line. */
async function startServer(
  program: string,
  { flags, args, env }: {
    readonly flags: readonly string[];
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<ServerProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", ...flags, fileURLToPath(new URL(program, import.meta.url)), ...args],
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`Cannot start ${program}: it ended before it was ready`);
    text += value;
  }
  // Our own programs print it.
  const { port, metricsPort } = JSON.parse(text) as { port: number; metricsPort?: number };
  return {
    port,
    metricsPort,
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    },
  };
}
