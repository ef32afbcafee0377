/**
 * The filter of system calls around a sandbox host, for seccomp(2): a list of what is refused.
 *
 * Refused calls fail with `EPERM`, as if the process had no right to them. Calls that came after this list was made
 * fail with `ENOSYS`, as on the kernel that the list knows, and programs then use the older ones. Calls of another
 * architecture (32-bit programs, the x32 numbers), which would go by other numbers, end the process.
 *
 * `execve` stays: bubblewrap applies the filter right before it starts Deno, and a filter sees a path's address, not
 * the path. Natively running code gains nothing by it, since it has this filter and its jail for good, and cannot fork.
 * `umask` stays too: Deno does not start without it.
 * @module
 */

import { and, assemble, atLeast, equal, give, type Instruction, load, not, type Test, when } from "./bpf.ts";
import {
  type Architecture,
  type CallNumbers,
  JUDGED_CALLS,
  REFUSED_CALLS,
  SERVER_CALLS,
  UNKNOWN_NUMBERS,
} from "./syscalls.ts";

/** Verdicts: `SECCOMP_RET_*` of linux/seccomp.h, with the error number in the lower half. */
const ALLOW = give(0x7fff_0000);
const KILL_PROCESS = give(0x8000_0000);
const EPERM = give(0x0005_0000 | 1);
const ENOSYS = give(0x0005_0000 | 38);

/** Offsets in `struct seccomp_data` of linux/seccomp.h. */
const NUMBER = 0;
const ARCHITECTURE = 4;
/**
 * The lower 32 bits of an argument on a little-endian machine. The kernel itself looks at no more of those that are
 * judged here, so that a filter which compared all 64 could be passed with bits set above (CVE-2019-10063).
 */
const argument = (index: number): number => 16 + 8 * index;

/** `AUDIT_ARCH_*` of linux/audit.h, in the order of {@linkcode CallNumbers}. */
const ARCHITECTURES: Readonly<Record<Architecture, { readonly index: 0 | 1; readonly audit: number }>> = {
  x86_64: { index: 0, audit: 0xc000_003e },
  aarch64: { index: 1, audit: 0xc000_00b7 },
};
/** `__X32_SYSCALL_BIT` of asm/unistd.h on x86-64. */
const X32_BIT = 0x4000_0000;

/** Socket families, types and protocols: bits/socket.h, netinet/in.h. */
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_TYPE_MASK = 0xf;
const IPPROTO_TCP = 6;

/** Flags of clone(2). */
const CLONE_THREAD = 0x0001_0000;
/** Namespaces for mounts, control groups, hosts' names, ipc, users, pids and the network. */
const CLONE_NEW = 0x7e02_0000;

/** What Deno asks of files: is it a terminal, how wide; do not block, close on exec, how much is there. */
const ALLOWED_IOCTLS = {
  TCGETS: 0x5401,
  TIOCGWINSZ: 0x5413,
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
  FIONCLEX: 0x5450,
  FIOCLEX: 0x5451,
} as const;

/** Names of threads and of memory: `PR_SET_VMA` is how allocators name theirs. */
const ALLOWED_PRCTLS = { PR_SET_NAME: 15, PR_GET_NAME: 16, PR_SET_VMA: 0x5356_4d41 } as const;

const SIGABRT = 6;

/** What a filter leaves open. */
export interface SeccompOptions {
  /**
   * Whether TCP sockets may be made, and serve. Which addresses they reach is the network namespace's business: the
   * one of a jail has a loopback interface and nothing else.
   */
  readonly allowLoopbackTcp: boolean;
}

/**
 * Builds the filter for an architecture.
 * @returns an array of `struct sock_filter`, as bubblewrap's `--seccomp` reads it
 */
export function seccompFilter(architecture: Architecture, options: SeccompOptions): Uint8Array<ArrayBuffer> {
  const { index, audit } = ARCHITECTURES[architecture];
  const numberOf = (call: keyof typeof JUDGED_CALLS): number => JUDGED_CALLS[call][index];
  const refused: CallNumbers[] = Object.values(REFUSED_CALLS);
  if (!options.allowLoopbackTcp) refused.push(...Object.values(SERVER_CALLS));
  return assemble([
    load(ARCHITECTURE),
    ...when(not(equal(audit)), [KILL_PROCESS]),
    load(NUMBER),
    ...(architecture === "x86_64" ? when(atLeast(X32_BIT), [KILL_PROCESS]) : []),
    ...UNKNOWN_NUMBERS[index].flatMap(({ from, to }) =>
      when(atLeast(from), to > 0xffff_ffff ? [ENOSYS] : when(not(atLeast(to)), [ENOSYS]))
    ),
    // The C library makes its threads with clone() then, whose flags can be seen.
    ...when(equal(numberOf("clone3")), [ENOSYS]),
    ...when(equal(numberOf("clone")), [
      load(argument(0)),
      and(CLONE_THREAD | CLONE_NEW),
      ...when(equal(CLONE_THREAD), [ALLOW]),
      EPERM,
    ]),
    ...when(equal(numberOf("socket")), socketRule(options)),
    ...when(equal(numberOf("socketpair")), [load(argument(0)), ...allowedIf([equal(AF_UNIX)])]),
    ...when(equal(numberOf("ioctl")), [load(argument(1)), ...allowedIf(Object.values(ALLOWED_IOCTLS).map(equal))]),
    ...when(equal(numberOf("prctl")), [load(argument(0)), ...allowedIf(Object.values(ALLOWED_PRCTLS).map(equal))]),
    // abort() sends itself this signal; no other is sent by a thread of Deno to another.
    ...when(equal(numberOf("tgkill")), [load(argument(2)), ...allowedIf([equal(SIGABRT)])]),
    ...refused.flatMap((numbers) => {
      const number = numbers[index];
      return number === null ? [] : when(equal(number), [EPERM]);
    }),
    ALLOW,
  ]);
}

/** Streams between processes of the jail, and where they are granted TCP and no other protocol. */
function socketRule({ allowLoopbackTcp }: SeccompOptions): Instruction[] {
  const stream = [load(argument(1)), and(SOCK_TYPE_MASK), ...when(not(equal(SOCK_STREAM)), [EPERM])];
  const tcp = [...stream, load(argument(2)), ...allowedIf([equal(0), equal(IPPROTO_TCP)])];
  return [
    load(argument(0)),
    ...when(equal(AF_UNIX), [...stream, ALLOW]),
    ...(allowLoopbackTcp ? [AF_INET, AF_INET6].flatMap((family) => when(equal(family), tcp)) : []),
    EPERM,
  ];
}

/** Ends a call's part: allowed when one of the tests holds. */
function allowedIf(tests: readonly Test[]): Instruction[] {
  return [...tests.flatMap((test) => when(test, [ALLOW])), EPERM];
}
