/**
 * Runs `_inside.ts` in a jail. As a program it selects the jail by itself, and prints what came of it, so that a test can
 * have that done on a machine that lacks something.
 * @module
 */

import { dirname } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { LoggingOptions } from "../../../src/config/schema.ts";
import { startLogging } from "../../../src/logging/mod.ts";
import type { HostPaths } from "../../../src/sandbox/host_paths.ts";
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
  const paths: HostPaths = {
    bundle: dirname(script),
    socket: trial.socketPath ?? "",
    cache: "",
    code: null,
    scratch: "/scratch",
    audit: null,
    // What is there does not matter: that it is there opens the filter.
    egress: trial.allowLoopbackTcp === true ? script : null,
    snapshot: null,
  };
  const inside = jail.inside(paths);
  const flags = ["--allow-all", "--no-remote", "--no-config", "--no-lock", "--no-check", "--quiet"];
  const { program, args, env } = jail.enclose({
    command: {
      program: Deno.execPath(),
      args: [
        "run",
        ...flags,
        `${inside.bundle}/_inside.ts`,
        JSON.stringify(trial.attempts ?? {}),
        JSON.stringify(trial.calls ?? {}),
      ],
      env: { DENO_DIR: inside.cache, NO_COLOR: "1" },
    },
    paths,
    cache: { kind: "copy", from: null },
    dataLimitBytes: 2 ** 31,
    fileLimitBytes: 2 ** 24,
    openFileLimit: 64,
    codeBytes: 0,
    scratchBytes: 2 ** 20,
    controlGroupFiles: [],
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
  const jail = await selectJail({ enabled: true, type: "bubblewrap" }, runtimeDirectory);
  const { outcomes } = await runInJail(jail, JSON.parse(trial));
  console.log(JSON.stringify({ description: jail.description, outcomes } satisfies Selected));
}
