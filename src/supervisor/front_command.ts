/**
 * How this program starts itself as a front.
 * @module
 */

import { fileURLToPath } from "node:url";

/** Environment variable that makes the compiled program start in another role; its arguments are translated by Deno. */
export const ROLE_VARIABLE = "REXEC_ROLE";

/** The role of a front. */
export const FRONT_ROLE = "front";

/**
 * What V8 does otherwise in a front: where objects lived long for a moment, because many waited, it makes all of that place
 * old from their first day. Young ones that they refer to then live on as well, and a full collection, with a pause of
 * tens of milliseconds, comes three times a second instead of once in three.
 */
const V8_FLAGS = "--no-allocation-site-pretenuring";

const ENTRY = new URL("front.ts", import.meta.url);
const CONFIG = new URL("../../deno.json", import.meta.url);

/** A program with its arguments, and what its environment has besides ours. */
export interface FrontCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The value of `DENO_V8_FLAGS` for a front.
 * @param given the variable's value for this process, whose flags come last and so hold
 */
export function frontV8Flags(given: string | undefined): string {
  return given === undefined || given === "" ? V8_FLAGS : `${V8_FLAGS},${given}`;
}

/**
 * The command that starts a front from the program as it is on disk.
 * @param program this program's path at its start: once the file is replaced, Deno tells that of the deleted one
 */
export function frontCommand(program: string): FrontCommand {
  const env = { DENO_V8_FLAGS: frontV8Flags(Deno.env.get("DENO_V8_FLAGS")) };
  if (Deno.build.standalone) return { program, args: [], env: { ...env, [ROLE_VARIABLE]: FRONT_ROLE } };
  // Whatever a front needs the supervisor has loaded before it, so that nothing is to be downloaded.
  const flags = ["--quiet", "--allow-all", "--no-prompt", "--cached-only", `--config=${fileURLToPath(CONFIG)}`];
  return { program, args: ["run", ...flags, fileURLToPath(ENTRY)], env };
}
