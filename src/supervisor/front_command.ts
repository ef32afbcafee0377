/**
 * How this program starts itself as a front.
 * @module
 */

import { fileURLToPath } from "node:url";
import { withServiceV8Flags } from "../v8_flags.ts";

/** Environment variable that makes the compiled program start in another role; its arguments are translated by Deno. */
export const ROLE_VARIABLE = "REXEC_ROLE";

/** The role of a front. */
export const FRONT_ROLE = "front";

const ENTRY = new URL("front.ts", import.meta.url);
const CONFIG = new URL("../../deno.json", import.meta.url);

/** A program with its arguments, and what its environment has besides ours. */
export interface FrontCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * The command that starts a front from the program as it is on disk.
 * @param program this program's path at its start: once the file is replaced, Deno tells that of the deleted one
 */
export function frontCommand(program: string): FrontCommand {
  const env = { DENO_V8_FLAGS: withServiceV8Flags(Deno.env.get("DENO_V8_FLAGS")) };
  if (Deno.build.standalone) return { program, args: [], env: { ...env, [ROLE_VARIABLE]: FRONT_ROLE } };
  // Whatever a front needs the supervisor has loaded before it, so that nothing is to be downloaded.
  const flags = ["--quiet", "--allow-all", "--no-prompt", "--cached-only", `--config=${fileURLToPath(CONFIG)}`];
  return { program, args: ["run", ...flags, fileURLToPath(ENTRY)], env };
}
