import assert from "node:assert/strict";
import { Wheelhouse } from "../../../src/packages/python/wheelhouse.ts";
import { BOUNDS, layerFiles, TestWheelhouse, wheelBytes, type WheelSource } from "../../support/wheels.ts";

const any = (name: string, version: string) => `${name}-${version}-py3-none-any.whl`;

/** What is installed of wheels (by file name, with what each requires) for requirements. */
const RESOLVED: readonly {
  title: string;
  wheels: Record<string, readonly string[] | WheelSource>;
  asked: readonly string[];
  installed: readonly string[];
}[] = [
  {
    title: "takes the newest version",
    wheels: { [any("one", "1.9")]: [], [any("one", "1.10")]: [], [any("one", "1.2")]: [] },
    asked: ["One"],
    installed: ["one==1.10"],
  },
  {
    title: "takes the newest version that fits all who ask",
    wheels: { [any("one", "1.0")]: [], [any("one", "2.0")]: [], [any("one", "3.0")]: [] },
    asked: ["one<3", "one>=1", "one!=2.0"],
    installed: ["one==1.0"],
  },
  {
    title: "follows requirements of requirements, in circles too",
    wheels: {
      [any("one", "1")]: ["two>=2"],
      [any("two", "2")]: ["three; python_version >= '3.8'", "four; sys_platform == 'win32'"],
      [any("three", "3")]: ["one"],
    },
    asked: ["one"],
    installed: ["one==1", "three==3", "two==2"],
  },
  {
    title: "takes an extra's requirements only with the extra, also where it is asked for later",
    wheels: {
      [any("one", "1")]: ["more; extra == 'Full_Set'", "less; extra == 'other'"],
      [any("more", "1")]: [],
      [any("two", "1")]: ["one[full-set]"],
    },
    asked: ["one", "two"],
    installed: ["more==1", "one==1", "two==1"],
  },
  {
    title: "goes back to an older version when the newest does not fit",
    wheels: {
      [any("one", "2")]: ["two>=2"],
      [any("one", "1")]: ["two<2"],
      [any("two", "1")]: [],
      [any("two", "2")]: [],
      [any("three", "1")]: ["two<2"],
    },
    asked: ["one", "three"],
    installed: ["one==1", "three==1", "two==1"],
  },
  {
    title: "goes back when a requirement of the newest version is missing",
    wheels: { [any("one", "2")]: ["nowhere"], [any("one", "1")]: [] },
    asked: ["one"],
    installed: ["one==1"],
  },
  {
    title: "leaves pre-releases out where there is a release",
    wheels: { [any("one", "1.0")]: [], [any("one", "2.0rc1")]: [] },
    asked: ["one"],
    installed: ["one==1.0"],
  },
  {
    title: "takes a pre-release that is named, and one that is all there is",
    wheels: { [any("one", "1.0")]: [], [any("one", "2.0rc1")]: [], [any("two", "1.0a1")]: [] },
    asked: ["one>=2.0rc1", "two"],
    installed: ["one==2.0rc1", "two==1.0a1"],
  },
  {
    title: "leaves out what is for another Python",
    wheels: { [any("one", "2")]: { headers: "Requires-Python: >=3.12\n" }, [any("one", "1")]: [] },
    asked: ["one"],
    installed: ["one==1"],
  },
  {
    title: "asks nobody for what the sandbox has itself",
    wheels: { [any("one", "1")]: ["remotemedia>=1"] },
    asked: ["one", "typing", "remotemedia; python_version > '3'"],
    installed: ["one==1"],
  },
  {
    title: "leaves out what does not count here",
    wheels: {},
    asked: ["pywin32; sys_platform == 'win32'", "# nothing"],
    installed: [],
  },
];

for (const { title, wheels, asked, installed } of RESOLVED) {
  Deno.test(`Wheelhouse.resolve() ${title}`, async () => {
    await using house = await TestWheelhouse.make(wheels);
    assert.deepEqual((await house.resolve(asked)).installed, installed);
  });
}

const REFUSED: readonly {
  title: string;
  wheels: Record<string, readonly string[] | WheelSource>;
  asked: readonly string[];
  message: RegExp;
}[] = [
  {
    title: "a package that is missing",
    wheels: {},
    asked: ["one[x]>=1,<2"],
    message:
      /^Cannot install packages: "one\[x\]>=1,<2", which the task asks for, is not in the folder of packages "[^"]+"$/,
  },
  {
    title: "a package that another one misses",
    wheels: { [any("one", "1.0")]: ["two>=2"] },
    asked: ["one"],
    message: /"two>=2", which one 1\.0 asks for, is not in/,
  },
  {
    title: "a version that is missing",
    wheels: { [any("one", "1.0")]: [], [any("one", "1.1")]: [] },
    asked: ["one>=2"],
    message: /"one>=2", which the task asks for: no version fits, the folder of packages "[^"]+" has 1\.1, 1\.0$/,
  },
  {
    title: "versions that contradict each other",
    wheels: { [any("one", "1")]: ["two<2"], [any("two", "1")]: [], [any("two", "2")]: [] },
    asked: ["two>=2", "one"],
    message: /"two>=2", which the task asks for, and "two<2", which one 1 asks for: no version fits/,
  },
  {
    title: "a wheel for another machine",
    wheels: { "one-1.0-cp311-cp311-win_amd64.whl": [] },
    asked: ["one"],
    message:
      /but cannot be used \(one 1\.0: one-1\.0-cp311-cp311-win_amd64\.whl is not for CPython 3\.11 on WebAssembly\)/,
  },
  {
    title: "a wheel for another Python",
    wheels: { [any("one", "1.0")]: { headers: "Requires-Python: <3\n" } },
    asked: ["one"],
    message: /\(one 1\.0: it is for Python <3\)/,
  },
  {
    title: "a hash that is another one",
    wheels: { [any("one", "1.0")]: [] },
    asked: [`one --hash=sha256:${"0".repeat(64)}`],
    message: /\(one 1\.0: its hash is another one\)/,
  },
  {
    title: "a wheel whose requirements cannot be read",
    wheels: { [any("one", "1.0")]: ["two>>1"] },
    asked: ["one"],
    message: /\(one 1\.0: in its metadata the requirement "two>>1" cannot be read/,
  },
];

for (const { title, wheels, asked, message } of REFUSED) {
  Deno.test(`Wheelhouse.resolve() refuses ${title}`, async () => {
    await using house = await TestWheelhouse.make(wheels);
    await assert.rejects(house.resolve(asked), { code: "INVALID_TASK", message });
  });
}

Deno.test("Wheelhouse.resolve() gives up on a puzzle that takes for ever", async () => {
  // Every way through ends in the same place, and there are eight to the power of eight.
  const wheels: Record<string, readonly string[]> = { [any("end", "1")]: ["nowhere"] };
  for (let index = 0; index < 8; index++) {
    const next = index === 7 ? "end" : `q${index + 1}`;
    for (let version = 1; version <= 8; version++) wheels[any(`q${index}`, `${version}`)] = [next];
  }
  await using house = await TestWheelhouse.make(wheels);
  await assert.rejects(house.resolve("q0"), {
    code: "INVALID_TASK",
    message: /were found to fit together in 20000 steps; first, "nowhere", which end 1 asks for, is not in/,
  });
});

Deno.test("Wheelhouse.resolve() sees soon that what a package needs cannot be", async () => {
  // Six packages of eight versions each, none of which can be: tried one after the other that would be a puzzle too.
  const wheels: Record<string, readonly string[]> = { [any("last", "1")]: [] };
  const names = Array.from({ length: 6 }, (_, index) => `p${index}`);
  for (const name of names) {
    for (let version = 1; version <= 8; version++) wheels[any(name, `${version}`)] = ["last>1"];
  }
  await using house = await TestWheelhouse.make(wheels);
  await assert.rejects(house.resolve(names), { message: /: "last>1", which p0 8 asks for: no version fits/ });
});

Deno.test("Wheelhouse.resolve() takes the wheel that suits best, its latest build, and a wheel before a folder", async () => {
  const holding = (text: string) => ({ files: { "one.py": text } });
  const options = { files: { "one.py": "folder", "one-1.egg-info": "Name: one\nVersion: 1\n" } };
  await using house = await TestWheelhouse.make({}, options);
  const taken = async () => layerFiles((await house.resolve("one")).layer)["one.py"];
  assert.equal(await taken(), "folder");
  await house.add("one-2-cp311-cp311-manylinux_2_17_x86_64.whl", holding("another machine's"));
  await house.add("one-1-2-py3-none-any.whl", holding("pure, build 2"));
  await house.add("one-1-3-py3-none-any.whl", holding("pure, build 3"));
  assert.equal(await taken(), "pure, build 3");
  await house.add("one-1-cp311-cp311-emscripten_3_1_46_wasm32.whl", holding("native"));
  assert.equal(await taken(), "native");
});

Deno.test("Wheelhouse.resolve() takes a wheel whose hash is listed", async () => {
  await using house = await TestWheelhouse.make({ [any("one", "1.0")]: [] });
  const bytes = await Deno.readFile(house.folder.file(any("one", "1.0")));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-384", bytes)).toHex();
  const { installed } = await house.resolve([
    "one \\",
    ` --hash=sha256:${"0".repeat(64)} \\`,
    ` --hash=sha384:${digest}`,
  ]);
  assert.deepEqual(installed, ["one==1.0"]);
});

Deno.test("Wheelhouse.resolve() lays files out as in site-packages", async () => {
  await using house = await TestWheelhouse.make({
    [any("one", "1.0")]: {
      files: {
        "one/__init__.py": "code",
        "one/data.txt": "data",
        "one-1.0.data/purelib/pure.py": "pure",
        "one-1.0.data/platlib/one/plat.py": "plat",
        "one-1.0.data/scripts/run": "script",
        "one-1.0.data/data/etc/x": "elsewhere",
      },
    },
  });
  const { layer } = await house.resolve("one");
  const files = layerFiles(layer);
  assert.deepEqual(Object.keys(files), [
    "one-1.0.dist-info/METADATA",
    "one-1.0.dist-info/RECORD",
    "one-1.0.dist-info/WHEEL",
    "one/__init__.py",
    "one/data.txt",
    "one/plat.py",
    "pure.py",
  ]);
  assert.equal(files["one/plat.py"], "plat");
});

Deno.test("Wheelhouse.resolve() gives the same bytes for the same packages, whatever else there is", async () => {
  const wheels = { [any("one", "1")]: ["two"], [any("two", "1")]: [] };
  await using first = await TestWheelhouse.make(wheels);
  await using second = await TestWheelhouse.make({ [any("three", "1")]: [], ...wheels });
  const [a, b] = [await first.resolve("one"), await second.resolve(["two", "one==1"])];
  assert.deepEqual(a.layer, b.layer);
  assert.equal(a.digest, b.digest);
  const digest = await crypto.subtle.digest("SHA-256", a.layer as Uint8Array<ArrayBuffer>);
  assert.equal(a.digest, new Uint8Array(digest).toHex());
});

Deno.test("Wheelhouse.resolve() shares a layer between tasks, also those that ask at once", async () => {
  await using house = await TestWheelhouse.make({ [any("one", "1")]: [], [any("two", "1")]: [] });
  const [a, b] = await Promise.all([house.resolve("one"), house.resolve("one==1", "3.14")]);
  assert.equal(a.layer, b.layer);
  assert.equal((await house.resolve("one")).layer, a.layer);
  assert.notEqual((await house.resolve("two")).layer, a.layer);
});

Deno.test("Wheelhouse.resolve() gives an empty layer for no packages", async () => {
  await using house = await TestWheelhouse.make({});
  const { layer, digest, installed } = await house.resolve([]);
  assert.deepEqual([layer.length, installed], [0, []]);
  assert.equal(digest, new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array())).toHex());
});

Deno.test("Wheelhouse.resolve() notices wheels that come, go and change", async () => {
  await using house = await TestWheelhouse.make({ [any("one", "1")]: [] });
  // As if nothing had changed for long, so that the folder is not read again without need.
  const settle = (time: number) => Deno.utime(house.folder.path, time, time);
  await settle(1_000_000);
  const before = await house.resolve("one");
  await house.add(any("one", "2"));
  assert.deepEqual((await house.resolve("one")).installed, ["one==2"]);
  await settle(1_000_001);
  assert.deepEqual((await house.resolve("one")).installed, ["one==2"]);
  await Deno.remove(house.folder.file(any("one", "2")));
  await settle(1_000_002);
  assert.equal((await house.resolve("one")).layer, before.layer);
  // In its place, which does not show at the folder.
  await house.add(any("one", "1"), { files: { "one.py": "changed" }, requires: ["two"] });
  await house.add(any("two", "1"));
  const changed = await house.resolve("one");
  assert.deepEqual(changed.installed, ["one==1", "two==1"]);
  assert.equal(layerFiles(changed.layer)["one.py"], "changed");
});

Deno.test("Wheelhouse.resolve() does not read a folder again that has not changed", async () => {
  await using house = await TestWheelhouse.make({ [any("one", "1")]: [] });
  await Deno.utime(house.folder.path, 1_000_000, 1_000_000);
  await house.resolve("one");
  await house.add(any("two", "1"));
  // A lie about the folder: nobody looks, so what came is not there.
  await Deno.utime(house.folder.path, 1_000_000, 1_000_000);
  await assert.rejects(house.resolve("two"), { message: /is not in the folder/ });
});

Deno.test("Wheelhouse.resolve() names a wheel that goes while it is wanted", async () => {
  await using house = await TestWheelhouse.make({ [any("one", "1")]: [] });
  await Deno.utime(house.folder.path, 1_000_000, 1_000_000);
  await house.resolve([]);
  await house.resolve("one");
  await Deno.remove(house.folder.file(any("one", "1")));
  await Deno.utime(house.folder.path, 1_000_000, 1_000_000);
  await assert.rejects(house.resolve("one"), { code: "INVALID_TASK", message: /\(one 1: it cannot be read\)/ });
});

Deno.test("Wheelhouse.resolve() ends when its signal aborts", async () => {
  await using house = await TestWheelhouse.make({ [any("one", "1")]: [] });
  const reason = new Error("enough");
  const resolving = (signal: AbortSignal) =>
    house.wheelhouse.resolve({ version: "3.11", requirements: ["one"], signal });
  await assert.rejects(resolving(AbortSignal.abort(reason)), reason);
  const later = new AbortController();
  const resolved = resolving(later.signal);
  later.abort(reason);
  await assert.rejects(resolved, reason);
});

Deno.test("Wheelhouse.resolve() does not wait for a layer that nobody wants any more", async () => {
  await using house = await TestWheelhouse.make({ [any("one", "1")]: [] });
  const reason = new Error("enough");
  const caller = new AbortController();
  const listen = caller.signal.addEventListener.bind(caller.signal);
  // Whoever listens waits for the layer; then the caller goes.
  caller.signal.addEventListener = (...parameters: Parameters<typeof listen>) => {
    listen(...parameters);
    queueMicrotask(() => caller.abort(reason));
  };
  const resolving = house.wheelhouse.resolve({ version: "3.11", requirements: ["one"], signal: caller.signal });
  await assert.rejects(resolving, reason);
  assert.deepEqual((await house.resolve("one")).installed, ["one==1"], "the next one gets it");
});

Deno.test("Wheelhouse.open() takes no path for none, and says so to who asks", async () => {
  const house = await Wheelhouse.open("", { bounds: BOUNDS, maxCacheBytes: 0 });
  const ask = (requirement: string) =>
    house.resolve({ version: "3.11", requirements: [requirement], signal: new AbortController().signal });
  assert.deepEqual((await ask("remotemedia")).installed, []);
  await assert.rejects(ask("one"), {
    message: /is not in the service, which was given no folder of packages \(PYTHON_PACKAGES_DIR\)/,
  });
});

Deno.test("Wheelhouse.open() refuses what is no folder", async () => {
  await using house = await TestWheelhouse.make({}, { files: { "a.txt": "" } });
  for (const path of [house.folder.file("none"), house.folder.file("a.txt")]) {
    await assert.rejects(Wheelhouse.open(path, { bounds: BOUNDS, maxCacheBytes: 0 }), { code: "CONFIG_INVALID" });
  }
});

Deno.test("Wheelhouse.resolve() fails as ours when the folder is gone", async () => {
  await using house = await TestWheelhouse.make({});
  const folder = `${house.folder.path}/inner`;
  await Deno.mkdir(folder);
  const wheelhouse = await Wheelhouse.open(folder, { bounds: BOUNDS, maxCacheBytes: 0 });
  await Deno.remove(folder);
  const resolving = wheelhouse.resolve({
    version: "3.11",
    requirements: ["one"],
    signal: new AbortController().signal,
  });
  await assert.rejects(resolving, { code: "INTERNAL" });
});

Deno.test("Wheelhouse does not take wheels by links that lead out of the folder", async () => {
  await using outside = await TestWheelhouse.make({ [any("one", "1")]: [] });
  await using house = await TestWheelhouse.make({ [any("two", "1")]: [] });
  await Deno.symlink(outside.folder.file(any("one", "1")), house.folder.file(any("one", "1")));
  await Deno.symlink(house.folder.file(any("two", "1")), house.folder.file("two-1-2-py3-none-any.whl"));
  await assert.rejects(house.resolve("one"), { message: /is not in the folder/ });
  assert.deepEqual((await house.resolve("two")).installed, ["two==1"]);
});

Deno.test("wheelBytes() makes wheels that pip takes for such", async () => {
  // What it writes first and last, so that the tests above are about wheels.
  const files = layerFiles(await wheelBytes(any("one", "1.0")));
  assert.match(files["one-1.0.dist-info/RECORD"] ?? "", /^one\/__init__\.py,sha256=[\w-]{43},\d+\n/);
});
