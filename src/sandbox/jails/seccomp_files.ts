/**
 * The filters of system calls as files, which is how a shell can hand them to bubblewrap.
 * @module
 */

import { seccompFilter } from "./seccomp.ts";

/** Paths of the filters. */
export interface SeccompFiles {
  /** For hosts without any network. */
  readonly closed: string;
  /** For hosts that may use TCP on their own loopback interface. */
  readonly loopbackTcp: string;
}

/**
 * Writes the filters of this machine's architecture, for this user only.
 * @param directory the service's runtime directory, which goes with the service and takes the files with it
 */
export async function writeSeccompFiles(directory: string): Promise<SeccompFiles> {
  const files = { closed: `${directory}/seccomp.bpf`, loopbackTcp: `${directory}/seccomp_loopback_tcp.bpf` };
  const { arch } = Deno.build;
  for (const [path, allowLoopbackTcp] of [[files.closed, false], [files.loopbackTcp, true]] as const) {
    await Deno.writeFile(path, seccompFilter(arch, { allowLoopbackTcp }), { mode: 0o600 });
  }
  return files;
}
