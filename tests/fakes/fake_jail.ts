/**
 * A jail that starts another program than it was asked to.
 * @module
 */

import type { Jail } from "../../src/sandbox/jails/jail.ts";

const FAKE_HOST = new URL("fake_host.ts", import.meta.url).pathname;

/** Starts `fake_host.ts` with the given behaviour. */
export function fakeJail(behaviour: string | (() => string)): Jail {
  return {
    type: "process",
    description: `a host of a test`,
    inside: (paths) => paths,
    enclose: ({ command }) => ({
      program: Deno.execPath(),
      args: [
        "run",
        "--no-lock",
        "--no-check",
        "--quiet",
        "--allow-all",
        FAKE_HOST,
        typeof behaviour === "string" ? behaviour : behaviour(),
      ],
      env: command.env,
    }),
  };
}
