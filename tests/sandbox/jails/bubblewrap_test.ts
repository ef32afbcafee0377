import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../src/errors.ts";
import { assemble, equal, give, load, when } from "../../../src/sandbox/jails/bpf.ts";
import { bubblewrapJail } from "../../../src/sandbox/jails/bubblewrap.ts";
import { type CallNumbers, JUDGED_CALLS, REFUSED_CALLS, SERVER_CALLS } from "../../../src/sandbox/jails/syscalls.ts";
import { RuntimeDirectory } from "../../support/hosts.ts";
import type { RawCall } from "./_inside.ts";
import { runInJail, type Selected, type Trial } from "./_jailed.ts";

const INDEX = Deno.build.arch === "x86_64" ? 0 : 1;
const EPERM = 1;
const ECONNREFUSED = 111;

/** Why bubblewrap does not run here, if it does not. */
const missing = await (async () => {
  await using directory = new RuntimeDirectory();
  return await bubblewrapJail(directory.path).then(() => undefined, messageOf);
})();

/** A test that needs bubblewrap, and says so where it is not to be had. */
function jailTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: missing === undefined ? name : `${name} (skipped: ${missing})`,
    ignore: missing !== undefined,
    fn,
  });
}

function rawCall(table: Readonly<Record<string, CallNumbers>>, name: string, ...args: number[]): RawCall {
  const number = table[name]?.[INDEX];
  assert(typeof number === "number", name);
  return [number, ...args];
}

jailTest("bubblewrapJail() keeps native code from what hosts do not need, though Deno has every right", async () => {
  await using directory = new RuntimeDirectory();
  const socketPath = `${directory.path}/socket`;
  using _listener = Deno.listen({ transport: "unix", path: socketPath });
  const jail = await bubblewrapJail(directory.path);
  assert.match(jail.description, /, a filter of system calls \(seccomp\)$/);

  const refused = Object.entries<CallNumbers>({ ...REFUSED_CALLS, ...SERVER_CALLS })
    .flatMap(([name, { [INDEX]: number }]) => number === null ? [] : [[name, [number]] as const]);
  const { outcomes } = await runInJail(jail, {
    socketPath,
    attempts: {
      connectTcp: "",
      listenTcp: "",
      listenUnix: "",
      kill: "",
      spawn: "",
      connectUnix: "/host.sock",
      umask: "",
      worker: "",
    },
    calls: {
      ...Object.fromEntries(refused),
      netlink: rawCall(JUDGED_CALLS, "socket", 16, 3, 0),
      vsock: rawCall(JUDGED_CALLS, "socket", 40, 1, 0),
      newUserNamespace: rawCall(JUDGED_CALLS, "clone", 0x1000_0011),
      clone3: rawCall(JUDGED_CALLS, "clone3"),
      typeIntoTerminal: rawCall(JUDGED_CALLS, "ioctl", 0, 0x5412),
      addFilter: rawCall(JUDGED_CALLS, "prctl", 22, 2),
      ofLaterKernel: [467],
    },
  });
  const expected = {
    ...{ connectTcp: EPERM, listenTcp: EPERM, listenUnix: EPERM, kill: EPERM, spawn: EPERM },
    ...{ connectUnix: "done", umask: "done", worker: "done" },
    ...Object.fromEntries(refused.map(([name]) => [name, EPERM])),
    ...{ netlink: EPERM, vsock: EPERM, newUserNamespace: EPERM, typeIntoTerminal: EPERM, addFilter: EPERM },
    ...{ clone3: 38, ofLaterKernel: 38 },
  };
  assert.deepEqual(outcomes, expected);
});

jailTest(
  "bubblewrapJail() lets a host serve TCP on its own loopback, and no other protocol, where that is granted",
  async () => {
    await using directory = new RuntimeDirectory();
    const jail = await bubblewrapJail(directory.path);
    const { outcomes } = await runInJail(jail, {
      allowLoopbackTcp: true,
      attempts: { echoTcp: "", connectTcp: "", kill: "" },
      calls: { udp: rawCall(JUDGED_CALLS, "socket", 2, 2, 0), mptcp: rawCall(JUDGED_CALLS, "socket", 2, 1, 262) },
    });
    // Its namespace has nobody else: port 9 refuses.
    assert.deepEqual(outcomes, { echoTcp: "done", connectTcp: ECONNREFUSED, kill: EPERM, udp: EPERM, mptcp: EPERM });
  },
);

jailTest("bubblewrapJail() lets a host abort, and ends one that calls by x32's numbers", async () => {
  await using directory = new RuntimeDirectory();
  const jail = await bubblewrapJail(directory.path);
  assert.equal((await runInJail(jail, { attempts: { abort: "" } })).code, 128 + 6);
  if (Deno.build.arch !== "x86_64") return;
  // getpid(2), which is harmless; 31 is SIGSYS.
  assert.equal((await runInJail(jail, { calls: { getpid: [0x4000_0000 + 39] } })).code, 128 + 31);
});

jailTest("selectJail() takes bubblewrap without its filter where the kernel has none, and says so", async () => {
  await using directory = new RuntimeDirectory();
  const filter = `${directory.path}/no_seccomp`;
  const prctl = JUDGED_CALLS.prctl[INDEX];
  const EINVAL = give(0x0005_0016);
  // A machine without seccomp: prctl(PR_SET_SECCOMP) fails there as it does on a kernel without it.
  const body = [load(16), ...when(equal(22), [EINVAL])];
  await Deno.writeFile(filter, assemble([load(0), ...when(equal(prctl), body), give(0x7fff_0000)]));

  const trial: Trial = {
    attempts: { connectTcp: "", kill: "", spawn: "" },
    calls: {
      personality: rawCall(REFUSED_CALLS, "personality", 0xffff_ffff),
      bpf: rawCall(REFUSED_CALLS, "bpf"),
      shmget: rawCall(REFUSED_CALLS, "shmget"),
      setpriority: rawCall(REFUSED_CALLS, "setpriority"),
    },
  };
  const program = fileURLToPath(new URL("_jailed.ts", import.meta.url));
  const script = `exec 9<"$1" && shift && exec bwrap --dev-bind / / --seccomp 9 "$@"`;
  const command = [Deno.execPath(), "run", "--allow-all", "--no-check", program, directory.path, JSON.stringify(trial)];
  const { stdout, stderr } = await new Deno.Command("sh", { args: ["-c", script, "sh", filter, ...command] }).output();
  const log = new TextDecoder().decode(stderr);
  assert.match(log, /without a filter of system calls \(seccomp\)[^\n]*PR_SET_SECCOMP/);
  const last = new TextDecoder().decode(stdout).trim().split("\n").at(-1);
  assert(last !== undefined, log);
  const selected: Selected = JSON.parse(last);
  assert.match(selected.description, /but no filter of system calls$/);
  // The other side of the first test: it is the filter that refuses there.
  const { connectTcp, ...others } = selected.outcomes;
  assert.equal(connectTcp, ECONNREFUSED);
  for (const [name, outcome] of Object.entries(others)) assert.notEqual(outcome, EPERM, name);
});
