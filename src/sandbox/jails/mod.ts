/**
 * Which jail this machine gets.
 * @module
 */

import type { SandboxOptions } from "../../config/schema.ts";
import { messageOf } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import { bubblewrapJail } from "./bubblewrap.ts";
import type { Jail } from "./jail.ts";
import { processJail } from "./process.ts";

export type { HostCache, Jail, JailedCommand, JailSpec } from "./jail.ts";

const logger = serviceLogger("sandbox");

/** For development: a host is a plain process; its tasks still run in workers without permissions. */
const noJail: Jail = {
  type: "none",
  description: "a plain process; for development only",
  inside: (paths) => paths,
  enclose: ({ command }) => command,
};

/**
 * Gives the jail that is configured, or for `auto` the strongest that works here.
 * @param runtimeDirectory where the jail may keep files that hosts are started with
 * @throws {ServiceError} `CONFIG_INVALID` when one was asked for by name and does not work: there is no silent fallback
 */
export async function selectJail(
  { enabled, type }: Pick<SandboxOptions, "enabled" | "type">,
  runtimeDirectory: string,
): Promise<Jail> {
  if (!enabled) {
    logger.warn("Sandbox hosts are not jailed: SANDBOX_ENABLED is false, which is for development only");
    return noJail;
  }
  switch (type) {
    case "process":
      return processJail;
    case "bubblewrap":
      return await bubblewrapJail(runtimeDirectory);
    case "auto":
      try {
        return await bubblewrapJail(runtimeDirectory);
      } catch (error) {
        logger.info("The process jail is used: {reason}", { reason: messageOf(error) });
        return processJail;
      }
  }
}
