/**
 * Runs `_inside.ts` in a jail. As a program it selects the jail by itself, and prints what came of it, so that a test can
 * have that done on a machine that lacks something.
 * @module
 */

import { fileURLToPath } from "node:url";
import { LoggingOptions } from "../../../src/config/schema.ts";
import { startLogging } from "../../../src/logging/mod.ts";
import { type Jail, selectJail } from "../../../src/sandbox/jails/mod.ts";
import type { Outcome, RawCall } from "./_inside.ts";

/** What is tried inside. */
export interface Trial {
  /** Names of attempts in `_inside.ts`, and the argument of each. */
  readonly attempts?: Readonly<Record<string, string>>;
  readonly calls?: Readonly<Record<string, RawCall>>;
  /** A socket that the jail shows. */
  readonly socketPath?: string;
  readonly allowLoopbackTcp?: boolean;
}

/** How it went. */
export interface Trials {
  readonly code: number;
  readonly outcomes: Readonly<Record<string, Outcome>>;
  readonly stderr: string;
}

/** What this program prints. */
export interface Selected {
  readonly description: string;
  readonly outcomes: Trials["outcomes"];
}

/** Starts Deno in a jail, with all of Deno's own rights. */
export async function runInJail(jail: Jail, trial: Trial): Promise<Trials> {
  const script = fileURLToPath(new URL("_inside.ts", import.meta.url));
  const flags = ["--allow-all", "--no-remote", "--no-config", "--no-lock", "--no-check", "--quiet"];
  const { program, args, env } = jail.enclose({
    command: {
      program: Deno.execPath(),
      args: ["run", ...flags, script, JSON.stringify(trial.attempts ?? {}), JSON.stringify(trial.calls ?? {})],
      env: { DENO_DIR: "/cache", NO_COLOR: "1" },
    },
    readablePaths: [script],
    socketPath: trial.socketPath ?? "",
    cacheDirectory: "/cache",
    warmCacheDirectory: null,
    scratchDirectory: "/scratch",
    dataLimitBytes: 2 ** 31,
    openFileLimit: 64,
    allowLoopbackTcp: trial.allowLoopbackTcp ?? false,
  });
  const output = await new Deno.Command(program, { args: [...args], env: { ...env }, clearEnv: true, stdin: "null" })
    .output();
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  // What an attempt started may have printed before.
  const last = text(output.stdout).trim().split("\n").at(-1) ?? "";
  return { code: output.code, outcomes: last.startsWith("{") ? JSON.parse(last) : {}, stderr: text(output.stderr) };
}

if (import.meta.main) {
  const [runtimeDirectory = "", trial = "{}"] = Deno.args;
  const logging = LoggingOptions.parse({});
  await using _logging = await startLogging(logging, { isTerminal: false });
  const jail = await selectJail({ enabled: true, type: "bubblewrap", probe: false }, runtimeDirectory);
  const { outcomes } = await runInJail(jail, JSON.parse(trial));
  console.log(JSON.stringify({ description: jail.description, outcomes } satisfies Selected));
}
