/**
 * The jail that every POSIX machine has: resource limits and an empty environment around a process without rights.
 * @module
 */

import type { Jail, JailedCommand, JailSpec } from "./jail.ts";

/** Unit of `ulimit -f`. */
const ULIMIT_BLOCK_BYTES = 512;

export const processJail: Jail = {
  type: "process",
  description: "an operating-system process without rights, with resource limits and an empty environment",
  inside: (paths) => paths,
  enclose: (spec) => limited(spec),
};

/** A file that the program finds open when it starts. */
export interface OpenedFile {
  /** 3 to 9, as POSIX shells take it. */
  readonly descriptor: number;
  readonly path: string;
}

/** Limits through the shell's `ulimit` (POSIX.1-2017, XCU), so that no tool need be installed; `exec` keeps the pid. */
export function limited(spec: JailSpec, opened: readonly OpenedFile[] = []): JailedCommand {
  const { command, dataLimitBytes, fileLimitBytes, openFileLimit, controlGroupFiles } = spec;
  const steps = [
    // A Ctrl-C goes to the whole process group: the server drains, and neither host nor jail may end before it has.
    `trap "" INT TERM HUP`,
    ...controlGroupFiles.flatMap(() => [`echo $$ >"$1"`, "shift"]),
    "ulimit -c 0",
    `ulimit -n ${openFileLimit}`,
    `ulimit -f ${Math.ceil(fileLimitBytes / ULIMIT_BLOCK_BYTES)}`,
    `ulimit -d ${Math.ceil(dataLimitBytes / 1024)}`,
    ...opened.flatMap(({ descriptor }) => [`exec ${descriptor}<"$1"`, "shift"]),
    `exec "$@"`,
  ];
  const files = [...controlGroupFiles, ...opened.map(({ path }) => path)];
  const args = [...files, command.program, ...command.args];
  return { program: "/bin/sh", args: ["-c", steps.join(" && "), "sh", ...args], env: command.env };
}
