/**
 * The walls around a sandbox host that the operating system builds.
 * @module
 */

import type { HostPaths } from "../host_paths.ts";

/** A program to start. */
export interface JailedCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment of the process; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Deno's cache of compiled code for a host: one that this host fills for others, or a filled one to start from, if there
 * is any, which must stay as it is.
 */
export type HostCache = { readonly kind: "fill"; readonly directory: string } | {
  readonly kind: "copy";
  readonly from: string | null;
};

/** What a jail is built around. */
export interface JailSpec {
  /** The command; its paths are those of {@linkcode Jail.inside}. */
  readonly command: JailedCommand;
  /** Where the host's files lie outside of the jail. */
  readonly paths: HostPaths;
  readonly cache: HostCache;
  /** Bytes of data segment and anonymous memory that the process may map; see `RLIMIT_DATA` in getrlimit(2). */
  readonly dataLimitBytes: number;
  /** Length of the longest file that it may write; see `RLIMIT_FSIZE` in getrlimit(2). */
  readonly fileLimitBytes: number;
  /** File descriptors that it may hold. */
  readonly openFileLimit: number;
  /** Bytes that the files of user code may take together. */
  readonly codeBytes: number;
  /** Bytes that the scratch folder may take; 0 where there is none. */
  readonly scratchBytes: number;
  /** Files of control groups that the process writes its pid to before anything else, to join them. */
  readonly controlGroupFiles: readonly string[];
}

/** A kind of jail. */
export interface Jail {
  /** The name that `SANDBOX_TYPE` knows it by; `none` when sandboxes are off. */
  readonly type: "none" | "process" | "bubblewrap";
  /** One sentence for the start-up message. */
  readonly description: string;
  /** Where a process in the jail finds what lies at these paths outside. */
  inside(paths: HostPaths): HostPaths;
  /** The command that starts the given one inside the jail. */
  enclose(spec: JailSpec): JailedCommand;
}
