/**
 * What a policy lets one task do besides computing.
 * @module
 */

/** Rights of one task. A host is started with them and keeps them to its end. */
export interface Grants {
  /** Hosts that it may reach through its egress proxy, as `config/security.yaml` writes them; `null` for no network. */
  readonly networkHosts: readonly string[] | null;
  /** Those among them that the task asked for, `name` or `name:port`; none for all. */
  readonly wantedHosts: readonly string[];
  /** Size of its private scratch folder, in bytes; `null` for no file access. */
  readonly scratchBytes: number | null;
  /** Where in the scratch folder it starts, relative and normalised; empty for the folder itself. */
  readonly workingDirectory: string;
}

/** Computing, and nothing else. */
export const NO_GRANTS: Grants = { networkHosts: null, wantedHosts: [], scratchBytes: null, workingDirectory: "" };

/** Whether a host that was started without rights does. */
export function grantsNothing({ networkHosts, scratchBytes }: Grants): boolean {
  return networkHosts === null && scratchBytes === null;
}
