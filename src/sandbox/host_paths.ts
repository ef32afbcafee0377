/**
 * The files and folders of one sandbox host.
 * @module
 */

/** Paths of a host. A jail with a mount namespace shows them to the host at other places than they have outside. */
export interface HostPaths {
  /** The sandbox's own code; `null` for a compiled program, which carries it inside. */
  readonly bundle: string | null;
  /** Unix socket of the server that the host connects to. */
  readonly socket: string;
  /** Deno's cache folder. */
  readonly cache: string;
  /** Folder for the files of user code; `null` for hosts of built-in nodes. */
  readonly code: string | null;
  /** Private folder that the task may write to; `null` where it may not. */
  readonly scratch: string | null;
  /** Where Deno writes down which permissions were asked for; `null` for hosts of built-in nodes. */
  readonly audit: string | null;
  /** Unix socket of the egress proxy; `null` for no network. */
  readonly egress: string | null;
  /** Memory of an interpreter that was started before, to start from; `null` where there is none. */
  readonly snapshot: string | null;
}
