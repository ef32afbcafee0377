/**
 * The walls around a sandbox host that the operating system builds.
 * @module
 */

/** A program to start. */
export interface JailedCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment of the process; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a jail is built around. */
export interface JailSpec {
  readonly command: JailedCommand;
  /** Files and folders that the process may read besides its own program. */
  readonly readablePaths: readonly string[];
  /** The Unix socket that it connects to. */
  readonly socketPath: string;
  /** Deno's cache folder; a jail may give each host an empty one of its own at the same path. */
  readonly cacheDirectory: string;
  /** A filled cache that the host starts from, `null` for none. It must stay as it is. */
  readonly warmCacheDirectory: string | null;
  /** A folder that the process may write to, `null` for none; empty at the start, and gone with the host. */
  readonly scratchDirectory: string | null;
  /** Bytes of data segment and anonymous memory that the process may map; see `RLIMIT_DATA` in getrlimit(2). */
  readonly dataLimitBytes: number;
  /** File descriptors that it may hold. */
  readonly openFileLimit: number;
  /** Whether it may use TCP on the loopback interface, where a jail filters system calls; no when absent. */
  readonly allowLoopbackTcp?: boolean;
}

/** A kind of jail. */
export interface Jail {
  /** The name that `SANDBOX_TYPE` knows it by; `none` when sandboxes are off. */
  readonly type: "none" | "process" | "bubblewrap";
  /** One sentence for the start-up message. */
  readonly description: string;
  /** The command that starts the given one inside the jail. */
  enclose(spec: JailSpec): JailedCommand;
}
