/**
 * The jail of Linux namespaces: an own user, pid, network, ipc, uts and mount namespace through bubblewrap
 * (https://github.com/containers/bubblewrap), a filter of system calls, and the limits of the process jail around them.
 * @module
 */

import { messageOf, ServiceError } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import { cacheFiles } from "../cache_files.ts";
import type { Jail, JailedCommand, JailSpec } from "./jail.ts";
import { limited } from "./process.ts";
import { type SeccompFiles, writeSeccompFiles } from "./seccomp_files.ts";

const logger = serviceLogger("sandbox");

/** Nobody's ids, by convention of the Linux Standard Base. */
const NOBODY = "65534";
/** Size of the empty folder that a host has for Deno's cache. */
const CACHE_BYTES = 16 * 1024 * 1024;

/** Size of the folder that user code is written to: the largest unpacked package, and room for its folders. */
const SCRATCH_BYTES = 1024 * 1024 * 1024;

/** Options that hold for every host; all namespaces are its own, none of them can make another. */
const ISOLATION = [
  "--unshare-all",
  "--unshare-user",
  "--disable-userns",
  "--die-with-parent",
  "--new-session",
  "--clearenv",
  "--uid",
  NOBODY,
  "--gid",
  NOBODY,
  "--cap-drop",
  "ALL",
  "--hostname",
  "sandbox",
];

/** The descriptor on which bubblewrap reads its filter; it closes it before it starts the host. */
const FILTER_DESCRIPTOR = 9;

/**
 * Finds out whether bubblewrap works here, by starting this program in it. Where the kernel takes no seccomp filters,
 * the jail goes without and says so: namespaces alone are still stronger than the process jail.
 *
 * @param directory the service's runtime directory, for the filters
 * @returns the jail
 * @throws {ServiceError} `CONFIG_INVALID` with the reason when it is not installed or not allowed
 */
export async function bubblewrapJail(directory: string): Promise<Jail> {
  if (Deno.build.os !== "linux") throw unavailable("it needs Linux");
  const libraries = await sharedLibraries(Deno.execPath());
  const filtered = jailWith(libraries, await writeSeccompFiles(directory));
  try {
    await tryOut(filtered);
    return filtered;
  } catch (error) {
    const unfiltered = jailWith(libraries, null);
    await tryOut(unfiltered);
    logger.warn("Sandbox hosts go without a filter of system calls (seccomp): {reason}", { reason: messageOf(error) });
    return unfiltered;
  }
}

function jailWith(libraries: readonly string[], filters: SeccompFiles | null): Jail {
  const filter = filters === null ? "but no filter of system calls" : "a filter of system calls (seccomp)";
  return {
    type: "bubblewrap",
    description:
      `own namespaces (user, pid, network, ipc, uts, mount) with a read-only root, resource limits, ${filter}`,
    enclose: (spec) => enclose(spec, libraries, filters),
  };
}

function enclose(spec: JailSpec, libraries: readonly string[], filters: SeccompFiles | null): JailedCommand {
  const { program, args, env } = spec.command;
  const readable = [program, ...libraries, ...spec.readablePaths];
  const bubblewrap: JailedCommand = {
    program: "bwrap",
    args: [
      ...ISOLATION,
      ...(filters === null ? [] : ["--seccomp", String(FILTER_DESCRIPTOR)]),
      ...readable.flatMap((path) => ["--ro-bind", path, path]),
      ...(spec.socketPath === "" ? [] : ["--bind", spec.socketPath, spec.socketPath]),
      "--size",
      String(CACHE_BYTES),
      "--tmpfs",
      spec.cacheDirectory,
      ...cacheFiles(spec.warmCacheDirectory).flatMap((name) => [
        "--ro-bind",
        `${spec.warmCacheDirectory}/${name}`,
        `${spec.cacheDirectory}/${name}`,
      ]),
      ...(spec.scratchDirectory === null ? [] : ["--size", String(SCRATCH_BYTES), "--tmpfs", spec.scratchDirectory]),
      // Deno looks for its own path; a whole /proc would tell more than it should.
      "--dir",
      "/proc/self",
      "--symlink",
      program,
      "/proc/self/exe",
      "--remount-ro",
      "/",
      "--chdir",
      "/",
      ...Object.entries(env).flatMap(([name, value]) => ["--setenv", name, value]),
      "--",
      program,
      ...args,
    ],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
  };
  const limits = { ...spec, command: bubblewrap };
  if (filters === null) return limited(limits);
  const path = spec.allowLoopbackTcp === true ? filters.loopbackTcp : filters.closed;
  return limited(limits, { descriptor: FILTER_DESCRIPTOR, path });
}

/** Paths of the libraries that the dynamic linker loads for a program; see ldd(1). */
async function sharedLibraries(program: string): Promise<readonly string[]> {
  try {
    const { stdout } = await new Deno.Command("ldd", { args: [program], stderr: "null" }).output();
    const paths = new TextDecoder().decode(stdout).matchAll(/(?:^|\s)(\/[^\s()]+)(?=\s*\(0x)/gm);
    return [...new Set(Array.from(paths, ([, path = ""]) => path))];
  } catch (cause) {
    throw unavailable("ldd, which lists what a host must be able to load, does not run", cause);
  }
}

/** Starts this program in the jail, just to say its version. */
async function tryOut(jail: Jail): Promise<void> {
  const { program, args, env } = jail.enclose({
    command: { program: Deno.execPath(), args: ["--version"], env: { DENO_DIR: "/cache", NO_COLOR: "1" } },
    readablePaths: [],
    socketPath: "",
    cacheDirectory: "/cache",
    warmCacheDirectory: null,
    scratchDirectory: null,
    dataLimitBytes: 2 ** 31,
    openFileLimit: 64,
  });
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
    env: { ...env },
    clearEnv: true,
    stdin: "null",
    stdout: "null",
  }).output();
  if (!success) throw unavailable(new TextDecoder().decode(stderr).trim().slice(0, 300) || "it does not start");
}

function unavailable(reason: string, cause?: unknown): ServiceError {
  return new ServiceError(
    "CONFIG_INVALID",
    `Cannot use the bubblewrap jail: ${reason}; install bubblewrap and allow user namespaces, or set SANDBOX_TYPE=process (sandbox.type)`,
    { cause },
  );
}
