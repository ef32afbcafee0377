/**
 * Which jails this machine has.
 * @module
 */

import { bubblewrapJail } from "../../src/sandbox/jails/bubblewrap.ts";

/** The types that a test of every jail goes through; `process` is everywhere. */
export async function jailTypes(): Promise<readonly ("bubblewrap" | "process")[]> {
  const directory = await Deno.makeTempDir({ prefix: "rexec-test-" });
  try {
    await bubblewrapJail(directory);
    return ["bubblewrap", "process"];
  } catch {
    return ["process"];
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
