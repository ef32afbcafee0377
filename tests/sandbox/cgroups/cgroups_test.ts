import assert from "node:assert/strict";
import { ServiceError } from "../../../src/errors.ts";
import { ControlGroups } from "../../../src/sandbox/cgroups/mod.ts";
import { FakeKernelGroups } from "../../fakes/fake_kernel_groups.ts";

/** The service's own pid in these tests. */
const PID = 77;
const SERVICE = "/sys/fs/cgroup/system.slice/rexec.service";
const ALL = ["cpu", "io", "memory", "pids"];

/** systemd with `Delegate=yes`, or a container with a namespace of its own: a group that is all the service's. */
function delegated(controllers: readonly string[] = ALL, pids: readonly number[] = [PID]): FakeKernelGroups {
  const kernel = new FakeKernelGroups(["0::/system.slice/rexec.service"], [
    "25 1 8:1 / / rw - ext4 /dev/sda1 rw",
    "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
  ]);
  kernel.addHierarchy(SERVICE, { version: 2, controllers, pids });
  return kernel;
}

/** Version 1 as distributions mounted it: `cpu` and `cpuacct` together, a container's part of the others. */
function separate(): FakeKernelGroups {
  const kernel = new FakeKernelGroups(["4:cpu,cpuacct:/", "3:memory:/box/with:colon", "2:pids:/a", "0::/"], [
    "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
    "32 25 0:28 /box /sys/fs/cgroup/me\\040mory rw - cgroup cgroup rw,memory",
    "33 25 0:29 /other /sys/fs/cgroup/hidden rw - cgroup cgroup rw,pids",
    "33 25 0:29 / /sys/fs/cgroup/covered rw - cgroup cgroup rw,pids",
    "34 25 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
  ]);
  kernel.addHierarchy("/sys/fs/cgroup/cpu,cpuacct", { controllers: ["cpu", "cpuacct"], pids: [PID] });
  kernel.addHierarchy("/sys/fs/cgroup/me mory/with:colon", { controllers: ["memory"], pids: [PID] });
  kernel.addHierarchy("/sys/fs/cgroup/pids/a", { controllers: ["pids"], pids: [PID] });
  return kernel;
}

const LAYOUTS = [["version 1", separate], ["version 2", delegated]] as const;

for (const [version, layout] of LAYOUTS) {
  Deno.test(`ControlGroups limits a group, and leaves all as it was: ${version}`, async () => {
    const kernel = layout();
    const before = kernel.paths;
    {
      const { groups, description } = ControlGroups.detect({ files: kernel, pid: PID });
      assert(groups !== undefined, description);
      await using _groups = groups;
      assert.equal(description, `control groups (${version}) for cpu, memory, pids`);
      assert.deepEqual([...groups.controllers], ["cpu", "memory", "pids"]);
      using group = groups.create("host-1");
      for (const path of kernel.paths.filter((candidate) => kernel.pidsIn(candidate).includes(String(PID)))) {
        kernel.enter(path, 500);
      }
      group.add(500);
      for (const path of group.procsFiles) assert.equal(kernel.read(path), "500\n");
      // It takes a while to leave once it has been killed.
      kernel.leavesAfter = 2;
      group.setLimits({ cpuPercent: 50, memoryBytes: 1_000_000, maxProcesses: 40 });
      // Up and down: memory with swap may at no time be below memory alone.
      group.setLimits({ memoryBytes: 3_000_000 });
      group.setLimits({ memoryBytes: 2_000_000 });
      assert.throws(() => group.add(501), /No such process/);
    }
    assert.deepEqual(kernel.paths, before);
  });
}

Deno.test("ControlGroup writes what version 1 understands", async () => {
  const kernel = separate();
  await using groups = ControlGroups.detect({ files: kernel, pid: PID }).groups!;
  using group = groups.create("x");
  kernel.writes.length = 0;
  group.setLimits({ cpuPercent: 150, memoryBytes: 4_096, maxProcesses: 9 });
  const written = kernel.writes.map((line) => line.replace(/.*\//, ""));
  assert.deepEqual(written, [
    "cpu.cfs_period_us 100000",
    "cpu.cfs_quota_us 150000",
    "pids.max 9",
    "memory.limit_in_bytes 4096",
    "memory.memsw.limit_in_bytes 4096",
  ]);
  const [cpu, memory, pids, ...others] = group.procsFiles.map((path) => path.slice(0, path.lastIndexOf("/")));
  assert.deepEqual(others, [], "cpu and cpuacct share a folder");
  kernel.set(`${memory}/memory.oom_control`, "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
  kernel.set(`${memory}/memory.max_usage_in_bytes`, "4096\n");
  kernel.set(`${pids}/pids.events`, "max 3\n");
  kernel.set(`${cpu}/cpuacct.usage`, "2500000\n");
  kernel.set(`${cpu}/cpu.stat`, "nr_periods 10\nnr_throttled 4\nthrottled_time 9\n");
  const { oomKills, memoryPeakBytes, pidsRefused, cpuMs, cpuThrottled } = group;
  assert.deepEqual([oomKills, memoryPeakBytes, pidsRefused, cpuMs, cpuThrottled], [2, 4_096, 3, 2.5, 4]);
});

Deno.test("ControlGroup writes what version 2 understands", async () => {
  const kernel = delegated();
  await using groups = ControlGroups.detect({ files: kernel, pid: PID }).groups!;
  using group = groups.create("x");
  kernel.writes.length = 0;
  group.setLimits({ cpuPercent: 0.5, memoryBytes: 4_096, maxProcesses: 9 });
  const written = kernel.writes.map((line) => line.replace(/.*\//, ""));
  // Half a percent is less than the kernel takes.
  assert.deepEqual(written, ["cpu.max 1000 100000", "pids.max 9", "memory.swap.max 0", "memory.max 4096"]);
  const [path, ...others] = group.procsFiles.map((procs) => procs.slice(0, procs.lastIndexOf("/")));
  assert.deepEqual(others, []);
  kernel.set(`${path}/memory.events`, "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n");
  kernel.set(`${path}/memory.peak`, "4096\n");
  kernel.set(`${path}/pids.events`, "max 3\n");
  kernel.set(`${path}/cpu.stat`, "usage_usec 2500\nuser_usec 2000\nnr_periods 10\nnr_throttled 4\n");
  const { oomKills, memoryPeakBytes, pidsRefused, cpuMs, cpuThrottled } = group;
  assert.deepEqual([oomKills, memoryPeakBytes, pidsRefused, cpuMs, cpuThrottled], [1, 4_096, 3, 2.5, 4]);
});

Deno.test("ControlGroups.detect() moves the service below its own group, and back at the end (version 2)", async () => {
  const kernel = delegated();
  const { groups } = ControlGroups.detect({ files: kernel, pid: PID });
  const [leaf = "", ...others] = kernel.groups(SERVICE);
  assert.deepEqual(others, []);
  assert.match(leaf, /^rexec-77-[0-9a-f]{8}-server$/);
  assert.deepEqual(kernel.pidsIn(`${SERVICE}/${leaf}`), [String(PID)]);
  await groups?.[Symbol.asyncDispose]();
  await groups?.[Symbol.asyncDispose]();
  assert.deepEqual(kernel.pidsIn(SERVICE), [String(PID)]);
  assert.equal(kernel.read(`${SERVICE}/cgroup.subtree_control`).trim(), "");
  assert.deepEqual(kernel.paths, [SERVICE]);
});

/** Machines that give nothing, and what is said of them. */
const NOTHING: readonly { name: string; kernel: () => FakeKernelGroups; reason: RegExp }[] = [
  {
    name: "other processes in its group",
    kernel: () => delegated(ALL, [1, PID]),
    reason: /version 2: group ".*rexec\.service" has other processes \(1\)/,
  },
  {
    name: "groups of others below it",
    kernel() {
      const kernel = delegated();
      kernel.make(`${SERVICE}/payload`);
      return kernel;
    },
    reason: /has other groups below \(payload\)/,
  },
  { name: "no controllers", kernel: () => delegated(["io"]), reason: /cgroup\.controllers" does not list it/ },
  {
    name: "a group that it may not change",
    kernel() {
      const kernel = delegated();
      kernel.refuses.set(SERVICE, new Deno.errors.PermissionDenied("Permission denied (os error 13)"));
      return kernel;
    },
    reason: /version 2: Permission denied/,
  },
  {
    name: "controllers that are not handed down to it",
    kernel() {
      const kernel = delegated();
      const refused = new Deno.errors.PermissionDenied("Permission denied (os error 13)");
      kernel.refuses.set(`${SERVICE}/cgroup.subtree_control`, refused);
      return kernel;
    },
    reason: /subtree_control" takes none: Permission denied/,
  },
  {
    name: "hierarchies that are read-only",
    kernel() {
      const kernel = separate();
      kernel.refuses.set("/sys/fs/cgroup", new Error("Read-only file system (os error 30)"));
      return kernel;
    },
    reason: /version 1: not cpu: .*Read-only file system.*, not memory: .*, not pids: /,
  },
  {
    name: "the root of all, which hands nothing down",
    kernel() {
      const kernel = new FakeKernelGroups(["0::/"], ["30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"]);
      kernel.addHierarchy("/sys/fs/cgroup", { version: 2, controllers: ALL, rootOfAll: true, pids: [1, PID] });
      return kernel;
    },
    reason: /"\/sys\/fs\/cgroup\/cgroup\.subtree_control" does not list it/,
  },
  { name: "no hierarchies", kernel: () => new FakeKernelGroups(["0::/"], []), reason: /none are mounted/ },
];

for (const { name, kernel: make, reason } of NOTHING) {
  Deno.test(`ControlGroups.detect() gives nothing, says why and changes nothing: ${name}`, () => {
    const kernel = make();
    const before = kernel.paths.map((path) => [path, kernel.pidsIn(path)]);
    const { groups, description } = ControlGroups.detect({ files: kernel, pid: PID });
    assert.equal(groups, undefined);
    assert.match(description, /^no control groups: /);
    assert.match(description, reason);
    assert.deepEqual(kernel.paths.map((path) => [path, kernel.pidsIn(path)]), before);
  });
}

Deno.test("ControlGroups.detect() uses what the root of all hands down, and stays where it is (version 2)", async () => {
  const kernel = new FakeKernelGroups(["0::/"], ["30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"]);
  kernel.addHierarchy("/sys/fs/cgroup", { version: 2, controllers: ALL, rootOfAll: true, pids: [1, PID] });
  kernel.write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids");
  const { groups, description } = ControlGroups.detect({ files: kernel, pid: PID });
  await using _groups = groups!;
  assert.match(description, /^control groups \(version 2\) for memory, pids; version 2: not cpu: /);
  assert.deepEqual(kernel.pidsIn("/sys/fs/cgroup"), ["1", "77"]);
});

Deno.test("ControlGroups.detect() takes version 1 where version 2 has no controller to offer", async () => {
  const kernel = separate();
  const hybrid = new FakeKernelGroups(["3:pids:/", "0::/"], [
    "33 25 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
    "41 25 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
  ]);
  hybrid.addHierarchy("/sys/fs/cgroup/pids", { controllers: ["pids"] });
  hybrid.addHierarchy("/sys/fs/cgroup/unified", { version: 2, controllers: ["hugetlb"], rootOfAll: true });
  for (const [files, controllers] of [[kernel, ["cpu", "memory", "pids"]], [hybrid, ["pids"]]] as const) {
    await using groups = ControlGroups.detect({ files, pid: PID }).groups!;
    assert.equal(groups.version, 1);
    assert.deepEqual([...groups.controllers], controllers);
  }
});

Deno.test("ControlGroups claims only what it may limit, and says what not", async () => {
  const kernel = separate();
  kernel.refuses.set("/sys/fs/cgroup/cpu", new Deno.errors.PermissionDenied("Permission denied (os error 13)"));
  const { groups, description } = ControlGroups.detect({ files: kernel, pid: PID });
  await using _groups = groups!;
  assert.match(description, /^control groups \(version 1\) for memory, pids; version 1: not cpu: .*Permission denied/);
  using group = groups!.create("x");
  assert.equal(group.cpuMs, undefined);
  assert.throws(() => group.setLimits({ cpuPercent: 50 }), TypeError);
});

Deno.test("ControlGroup.setLimits() and add() fail when the kernel refuses what is claimed", async () => {
  const kernel = separate();
  await using groups = ControlGroups.detect({ files: kernel, pid: PID }).groups!;
  using group = groups.create("x");
  kernel.refuses.set("/sys/fs/cgroup/me mory", new Deno.errors.Busy("Device or resource busy (os error 16)"));
  kernel.enter("/sys/fs/cgroup/pids/a", 500);
  kernel.leavesAfter = 0;
  for (const attempt of [() => group.setLimits({ memoryBytes: 1 }), () => group.add(500)]) {
    assert.throws(
      attempt,
      (error) => error instanceof ServiceError && error.code === "INTERNAL" && /busy/.test(error.message),
    );
  }
  assert.throws(() => groups.create("y"), ServiceError);
  kernel.refuses.clear();
  assert.equal(kernel.paths.filter((path) => path.endsWith("-y")).length, 0, "made in all hierarchies or in none");
  for (const name of ["", "..", "a/b", "a b"]) assert.throws(() => groups.create(name), TypeError, name);
});

Deno.test("ControlGroup is removed once its processes have left", async () => {
  const kernel = separate();
  const groups = ControlGroups.detect({ files: kernel, pid: PID }).groups!;
  const before = kernel.paths;
  const group = groups.create("x");
  const [, memory = ""] = group.procsFiles;
  kernel.enter(memory.replace("/cgroup.procs", ""), 500);
  kernel.leavesAfter = 20;
  group[Symbol.dispose]();
  group[Symbol.dispose]();
  assert.notDeepEqual(kernel.paths, before, "nobody waits for it");
  await groups[Symbol.asyncDispose]();
  assert.deepEqual(kernel.paths, before);
});

Deno.test("ControlGroups.detect() removes groups of services that are gone, and no others", async () => {
  const kernel = separate();
  const base = "/sys/fs/cgroup/pids/a";
  kernel.enter(base, 88);
  // A dead service, one that had this pid before, one that lives, one whose host still runs, and somebody else's.
  for (
    const name of ["rexec-99-00000000-h", "rexec-77-00000000-h", "rexec-88-00000000-h", "rexec-99-00000001-h", "rexec"]
  ) {
    kernel.make(`${base}/${name}`);
  }
  kernel.enter(`${base}/rexec-99-00000001-h`, 501);
  await using first = ControlGroups.detect({ files: kernel, pid: PID }).groups!;
  assert.deepEqual(kernel.groups(base), ["rexec", "rexec-88-00000000-h", "rexec-99-00000001-h"]);
  // Another service in this very process is none that is gone.
  first.create("x");
  await using _second = ControlGroups.detect({ files: kernel, pid: PID }).groups!;
  assert.equal(kernel.groups(base).filter((name) => name.endsWith("-x")).length, 1);
});
