/**
 * The jail that every POSIX machine has: resource limits and an empty environment around a process without rights.
 * @module
 */

import type { Jail, JailedCommand, JailSpec } from "./jail.ts";

/** Unit of `ulimit -f`. */
const ULIMIT_BLOCK_BYTES = 512;

/** Limits through the shell's `ulimit` (POSIX.1-2017, XCU), so that no tool need be installed; `exec` keeps the pid. */
export const processJail: Jail = {
  type: "process",
  description: "an operating-system process without rights, with resource limits and an empty environment",
  inside: (paths) => paths,
  enclose({ command, dataLimitBytes, fileLimitBytes, openFileLimit }: JailSpec): JailedCommand {
    const dataLimitKb = Math.ceil(dataLimitBytes / 1024);
    const fileLimitBlocks = Math.ceil(fileLimitBytes / ULIMIT_BLOCK_BYTES);
    // A Ctrl-C goes to the whole process group: the server drains, and neither host nor jail may end before it has.
    const script = `trap "" INT TERM HUP && ulimit -c 0 && ulimit -n ${openFileLimit} && ` +
      `ulimit -f ${fileLimitBlocks} && ulimit -d ${dataLimitKb} && exec "$@"`;
    return { program: "/bin/sh", args: ["-c", script, "sh", command.program, ...command.args], env: command.env };
  },
};
