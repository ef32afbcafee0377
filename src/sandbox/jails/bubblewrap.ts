/**
 * The jail of Linux namespaces: an own user, pid, network, ipc, uts and mount namespace through bubblewrap
 * (https://github.com/containers/bubblewrap), a filter of system calls, and the limits of the process jail around them.
 * @module
 */

import { messageOf, ServiceError } from "../../errors.ts";
import { serviceLogger } from "../../logging/mod.ts";
import { cacheFiles } from "../cache_files.ts";
import type { HostCache, Jail, JailedCommand, JailSpec } from "./jail.ts";
import { limited, type OpenedFile } from "./process.ts";
import { type SeccompFiles, writeSeccompFiles } from "./seccomp_files.ts";

const logger = serviceLogger("sandbox");

/** Nobody's ids, by convention of the Linux Standard Base. */
const NOBODY = "65534";
/** Size of the empty folder that a host has for Deno's cache. */
const CACHE_BYTES = 16 * 1024 * 1024;

/** What a file of a package may take in memory besides its contents. */
const CODE_OVERHEAD = 1.5;

/**
 * Where a process in the jail finds its files: the same for every host, so that nothing it can see tells where the
 * service is installed.
 */
const PROGRAM = "/program";
const BUNDLE = "/sandbox";
const SOCKET = "/host.sock";
const CACHE = "/cache";
const CODE = "/code";
const SCRATCH = "/scratch";
const AUDIT = "/audit.jsonl";
const EGRESS = "/egress.sock";
const SNAPSHOT = "/snapshot";

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
/** The first of those on which it reads the files of the cache. */
const FIRST_CACHE_DESCRIPTOR = 3;
/** Deno's cache has three files; a shell knows descriptors up to 9 by number. */
const MAX_CACHE_FILES = FILTER_DESCRIPTOR - FIRST_CACHE_DESCRIPTOR;

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
    inside: ({ bundle, code, scratch, audit, egress, snapshot }) => ({
      bundle: bundle && BUNDLE,
      socket: SOCKET,
      cache: CACHE,
      code: code && CODE,
      scratch: scratch && SCRATCH,
      audit: audit && AUDIT,
      egress: egress && EGRESS,
      snapshot: snapshot && SNAPSHOT,
    }),
    enclose: (spec) => enclose(spec, libraries, filters),
  };
}

function enclose(spec: JailSpec, libraries: readonly string[], filters: SeccompFiles | null): JailedCommand {
  const { program, args, env } = spec.command;
  const cached = cachedFiles(spec.cache);
  const { bundle, socket, code, scratch, audit, egress, snapshot } = spec.paths;
  const bubblewrap: JailedCommand = {
    program: "bwrap",
    args: [
      ...ISOLATION,
      ...(filters === null ? [] : ["--seccomp", String(FILTER_DESCRIPTOR)]),
      ...readOnly(program, PROGRAM),
      ...libraries.flatMap((path) => readOnly(path, path)),
      ...(bundle === null ? [] : readOnly(bundle, BUNDLE)),
      ...(snapshot === null ? [] : readOnly(snapshot, SNAPSHOT)),
      ...(socket === "" ? [] : ["--bind", socket, SOCKET]),
      ...(egress === null ? [] : ["--bind", egress, EGRESS]),
      ...(audit === null ? [] : ["--bind", audit, AUDIT]),
      ...(spec.cache.kind === "fill" ? ["--bind", spec.cache.directory, CACHE] : emptyFolder(CACHE, CACHE_BYTES)),
      // Copies: SQLite, which Deno keeps its cache with, takes a database that it cannot write to for none.
      ...cached.flatMap(({ descriptor, name }) => ["--file", String(descriptor), `${CACHE}/${name}`]),
      ...(code === null ? [] : emptyFolder(CODE, Math.ceil(spec.codeBytes * CODE_OVERHEAD))),
      ...(scratch === null ? [] : emptyFolder(SCRATCH, spec.scratchBytes)),
      // Deno looks for its own path; a whole /proc would tell more than it should.
      "--dir",
      "/proc/self",
      "--symlink",
      PROGRAM,
      "/proc/self/exe",
      "--remount-ro",
      "/",
      "--chdir",
      "/",
      ...Object.entries(env).flatMap(([name, value]) => ["--setenv", name, value]),
      "--",
      PROGRAM,
      ...args,
    ],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
  };
  const limits = { ...spec, command: bubblewrap };
  if (filters === null) return limited(limits, cached);
  const path = egress === null ? filters.closed : filters.loopbackTcp;
  return limited(limits, [...cached, { descriptor: FILTER_DESCRIPTOR, path }]);
}

/** The files of the filled cache, each open on a descriptor of its own. */
function cachedFiles(cache: HostCache): readonly (OpenedFile & { readonly name: string })[] {
  if (cache.kind === "fill") return [];
  const names = cacheFiles(cache.from);
  if (names.length > MAX_CACHE_FILES) throw new RangeError(`Cannot hand over a cache of ${names.length} files`);
  return names.map((name, index) => ({
    name,
    path: `${cache.from}/${name}`,
    descriptor: FIRST_CACHE_DESCRIPTOR + index,
  }));
}

function readOnly(outside: string, inside: string): readonly string[] {
  return ["--ro-bind", outside, inside];
}

/** A folder in memory that holds so many bytes at most. */
function emptyFolder(inside: string, sizeBytes: number): readonly string[] {
  return ["--size", String(sizeBytes), "--tmpfs", inside];
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
    command: { program: Deno.execPath(), args: ["--version"], env: { DENO_DIR: CACHE, NO_COLOR: "1" } },
    paths: {
      bundle: null,
      socket: "",
      cache: "",
      code: null,
      scratch: null,
      audit: null,
      egress: null,
      snapshot: null,
    },
    cache: { kind: "copy", from: null },
    dataLimitBytes: 2 ** 31,
    fileLimitBytes: CACHE_BYTES,
    openFileLimit: 64,
    codeBytes: 0,
    scratchBytes: 0,
    controlGroupFiles: [],
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
