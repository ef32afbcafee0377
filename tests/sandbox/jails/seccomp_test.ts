import assert from "node:assert/strict";
import { seccompFilter, type SeccompOptions } from "../../../src/sandbox/jails/seccomp.ts";
import {
  type Architecture,
  type CallNumbers,
  JUDGED_CALLS,
  REFUSED_CALLS,
  SERVER_CALLS,
} from "../../../src/sandbox/jails/syscalls.ts";
import { runFilter } from "../../support/bpf_machine.ts";

const AUDIT: Record<Architecture, number> = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 };
/** i386 and 32-bit ARM: what the same processors run too. */
const COMPAT: Record<Architecture, number> = { x86_64: 0x4000_0003, aarch64: 0x4000_0028 };
const VERDICTS: Readonly<Record<number, string>> = {
  0x7fff_0000: "allow",
  0x8000_0000: "kill",
  0x0005_0001: "EPERM",
  0x0005_0026: "ENOSYS",
};

/** Calls that hosts were seen to make (strace), by their numbers on x86-64 and aarch64. */
const NEEDED: Readonly<Record<string, CallNumbers>> = {
  read: [0, 63],
  write: [1, 64],
  openat: [257, 56],
  mmap: [9, 222],
  mprotect: [10, 226],
  madvise: [28, 233],
  pkey_alloc: [330, 289],
  rt_sigaction: [13, 134],
  futex: [202, 98],
  umask: [95, 166],
  connect: [42, 203],
  getsockopt: [55, 209],
  sendto: [44, 206],
  recvfrom: [45, 207],
  epoll_create1: [291, 20],
  eventfd2: [290, 19],
  execve: [59, 221],
  exit_group: [231, 94],
  set_robust_list: [273, 99],
  rseq: [334, 293],
  statx: [332, 291],
  getrandom: [318, 278],
  prlimit64: [302, 261],
  sched_getaffinity: [204, 123],
  sched_getparam: [143, 121],
  clock_nanosleep: [230, 115],
  close_range: [436, 436],
  mseal: [462, 462],
};

/** Some of what is refused, as anyone may look it up: the table under test is no witness for itself. */
const REFUSED_SAMPLES: Readonly<Record<string, CallNumbers>> = {
  kill: [62, 129],
  ptrace: [101, 117],
  mount: [165, 40],
  unshare: [272, 97],
  setns: [308, 268],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  io_uring_setup: [425, 425],
  keyctl: [250, 219],
  process_vm_writev: [311, 271],
  execveat: [322, 281],
  memfd_create: [319, 279],
  pidfd_getfd: [438, 438],
  init_module: [175, 105],
  shmget: [29, 194],
  seccomp: [317, 277],
};

const ARCHITECTURES = [["x86_64", 0], ["aarch64", 1]] as const;

/** Judges calls with one filter. */
function judge(architecture: Architecture, options: Partial<SeccompOptions> = {}) {
  const program = seccompFilter(architecture, { allowLoopbackTcp: false, ...options });
  return (number: number, args: readonly (number | bigint)[] = [], audit = AUDIT[architecture]): string => {
    const verdict = runFilter(program, { number, architecture: audit, args });
    return VERDICTS[verdict] ?? verdict.toString(16);
  };
}

for (const [architecture, index] of ARCHITECTURES) {
  const closed = judge(architecture);
  const open = judge(architecture, { allowLoopbackTcp: true });

  Deno.test(`seccompFilter() refuses every call of its list, and none that hosts make: ${architecture}`, () => {
    for (const [table, verdict] of [[REFUSED_CALLS, "EPERM"], [REFUSED_SAMPLES, "EPERM"], [NEEDED, "allow"]] as const) {
      for (const [name, { [index]: number }] of Object.entries<CallNumbers>(table)) {
        if (number === null) continue;
        assert.equal(closed(number), verdict, name);
        assert.equal(open(number), verdict, `${name}, with TCP`);
      }
    }
  });

  Deno.test(`seccompFilter() lets a host serve only where TCP is allowed: ${architecture}`, () => {
    for (const [name, { [index]: number }] of Object.entries<CallNumbers>(SERVER_CALLS)) {
      assert(number !== null);
      assert.deepEqual([name, closed(number), open(number)], [name, "EPERM", "allow"]);
    }
  });

  Deno.test(`seccompFilter() ends what calls by other numbers: ${architecture}`, () => {
    for (const number of [0, 1, 20, 62, 435]) {
      assert.equal(closed(number, [], COMPAT[architecture]), "kill");
      // The other of the two, in case somebody takes one table for the other.
      assert.equal(closed(number, [], AUDIT[architecture === "x86_64" ? "aarch64" : "x86_64"]), "kill");
    }
    for (const bits of [0x4000_0000, 0x8000_0000, 0xc000_0000]) {
      const expected = architecture === "x86_64" ? "kill" : "ENOSYS";
      for (const number of [0, 62, 520]) assert.equal(closed((number | bits) >>> 0), expected, `${bits} + ${number}`);
    }
  });

  Deno.test(`seccompFilter() knows no calls that came later: ${architecture}`, () => {
    // 512 to 547 are x32 calls that kernels before 5.4 took without their bit.
    for (const number of [423, 463, 467, 512, 547, 0x3fff_ffff]) assert.equal(closed(number), "ENOSYS", `${number}`);
    for (const number of [424, 462]) assert.notEqual(closed(number), "ENOSYS", `${number}`);
  });

  /** The cases of calls whose arguments decide: call, arguments, verdict without and with TCP. */
  const cases:
    readonly (readonly [keyof typeof JUDGED_CALLS, string, readonly (number | bigint)[], string, string?])[] = [
      ["socket", "AF_UNIX stream", [1, 0x80801, 0], "allow"],
      ["socket", "AF_UNIX datagram", [1, 2, 0], "EPERM"],
      ["socket", "AF_INET stream", [2, 0x80801, 0], "EPERM", "allow"],
      ["socket", "AF_INET6 stream, TCP", [10, 1, 6], "EPERM", "allow"],
      ["socket", "AF_INET datagram", [2, 2, 0], "EPERM"],
      ["socket", "AF_INET raw", [2, 3, 1], "EPERM"],
      ["socket", "AF_INET, MPTCP", [2, 1, 262], "EPERM"],
      ["socket", "AF_INET, SCTP", [2, 1, 132], "EPERM"],
      ["socket", "AF_NETLINK", [16, 3, 0], "EPERM"],
      ["socket", "AF_PACKET", [17, 3, 0], "EPERM"],
      ["socket", "AF_ALG", [38, 1, 0], "EPERM"],
      ["socket", "AF_VSOCK", [40, 1, 0], "EPERM"],
      ["socket", "AF_VSOCK, with bits that the kernel drops", [40n | 1n << 32n, 1, 0], "EPERM"],
      ["socketpair", "AF_UNIX", [1, 1, 0], "allow"],
      ["socketpair", "AF_TIPC", [30, 1, 0], "EPERM"],
      ["clone", "a thread", [0x3d0f00], "allow"],
      ["clone", "a process", [0x01200011], "EPERM"],
      ["clone", "vfork", [0x4111], "EPERM"],
      ...[17, 25, 26, 27, 28, 29, 30].map((bit) =>
        ["clone", `a thread in a new namespace, bit ${bit}`, [0x3d0f00 | 1 << bit], "EPERM"] as const
      ),
      ["clone3", "anything", [0], "ENOSYS"],
      ["ioctl", "TCGETS", [0, 0x5401], "allow"],
      ["ioctl", "FIONBIO", [0, 0x5421], "allow"],
      ["ioctl", "TIOCSTI", [0, 0x5412], "EPERM"],
      ["ioctl", "TIOCSTI, with bits that the kernel drops", [0, 0x5412n | 1n << 32n], "EPERM"],
      ["ioctl", "TIOCLINUX", [0, 0x541c], "EPERM"],
      ["prctl", "PR_SET_NAME", [15], "allow"],
      ["prctl", "PR_SET_SECCOMP", [22], "EPERM"],
      ["prctl", "PR_SET_DUMPABLE", [4], "EPERM"],
      ["tgkill", "SIGABRT", [2, 2, 6], "allow"],
      ["tgkill", "SIGSTOP", [2, 2, 19], "EPERM"],
      ["tgkill", "SIGKILL", [1, 1, 9], "EPERM"],
    ];
  for (const [call, what, args, verdict, withTcp = verdict] of cases) {
    Deno.test(`seccompFilter() judges ${call} by its arguments: ${what}: ${architecture}`, () => {
      const number = JUDGED_CALLS[call][index];
      assert.equal(closed(number, args), verdict);
      assert.equal(open(number, args), withTcp);
    });
  }
}

/** Numbers that a header of the kernel defines, `undefined` where it is not installed. */
function numbersIn(path: string): ReadonlyMap<string, number> | undefined {
  try {
    const lines = Deno.readTextFileSync(path).matchAll(/^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm);
    return new Map(Array.from(lines, ([, name = "", number]) => [name, Number(number)]));
  } catch {
    return undefined;
  }
}

const HEADERS = [
  ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0],
  ["/usr/include/asm-generic/unistd.h", 1],
] as const;
for (const [path, index] of HEADERS) {
  const defined = numbersIn(path);
  const name = `syscalls.ts agrees with ${path}`;
  Deno.test(
    { name: defined === undefined ? `${name}, which is not installed` : name, ignore: defined === undefined },
    () => {
      const tables = { ...REFUSED_CALLS, ...SERVER_CALLS, ...JUDGED_CALLS, ...NEEDED, ...REFUSED_SAMPLES };
      for (const [call, { [index]: number }] of Object.entries<CallNumbers>(tables)) {
        // Older headers do not know the newest calls.
        if (defined?.has(call) || number === null) assert.equal(number, defined?.get(call) ?? null, call);
      }
    },
  );
}
