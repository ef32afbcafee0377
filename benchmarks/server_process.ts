/**
 * Servers under measurement, each in a process of its own.
 * @module
 */

import { fileURLToPath } from "node:url";

/** A server that runs until it is disposed of. */
export interface ServerProcess extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** Where the service serves its metrics; other programs serve none. */
  readonly metricsPort: number | undefined;
}

/**
 * Starts a program of this folder that prints `{"port": …}` as its first line.
 * @param settings of the service, by key
 * @param flags of Deno, to profile it say
 */
export async function startServer(
  program: string,
  settings: Readonly<Record<string, unknown>> = {},
  flags: readonly string[] = [],
): Promise<ServerProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      ...flags,
      fileURLToPath(new URL(program, import.meta.url)),
      JSON.stringify(settings),
    ],
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
