/**
 * Which jails this machine has.
 * @module
 */

import { bubblewrapJail } from "../../src/sandbox/jails/bubblewrap.ts";

/** The types that a test of every jail goes through; `process` is everywhere. */
export async function jailTypes(): Promise<readonly ("bubblewrap" | "process")[]> {
  try {
    await bubblewrapJail();
    return ["bubblewrap", "process"];
  } catch {
    return ["process"];
  }
}
