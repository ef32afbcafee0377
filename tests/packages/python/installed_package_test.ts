import assert from "node:assert/strict";
import { Wheelhouse } from "../../../src/packages/python/wheelhouse.ts";
import { BOUNDS, layerFiles, TestWheelhouse } from "../../support/wheels.ts";

/** Where Debian's python3-cloudpickle is. */
const DEBIAN = "/usr/lib/python3/dist-packages";

async function hasCloudpickle(): Promise<boolean> {
  try {
    return (await Deno.stat(`${DEBIAN}/cloudpickle/__init__.py`)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test({
  name: "Wheelhouse takes Debian's cloudpickle as it lies in dist-packages",
  // Where all is installed that tests need, its absence is a failure.
  ignore: Deno.env.get("CI") === undefined && !await hasCloudpickle(),
  fn: async () => {
    const wheelhouse = await Wheelhouse.open(DEBIAN, { bounds: BOUNDS, maxCacheBytes: 2 ** 24 });
    const signal = new AbortController().signal;
    for (const version of ["3.11", "3.14"] as const) {
      const resolved = await wheelhouse.resolve({ version, requirements: ["cloudpickle>=2"], signal });
      assert.match(resolved.installed.join(), /^cloudpickle==\d[\d.]*$/);
      const files = layerFiles(resolved.layer);
      assert.equal(files["cloudpickle/__init__.py"], await Deno.readTextFile(`${DEBIAN}/cloudpickle/__init__.py`));
      const paths = Object.keys(files);
      assert.ok(
        paths.includes("cloudpickle/cloudpickle.py") &&
          paths.some((path) => /-info\/(?:PKG-INFO|METADATA)$/.test(path)),
      );
      assert.ok(!paths.some((path) => path.includes("__pycache__")), "what the machine's interpreter compiled stays");
    }
  },
});

const METADATA = "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n";

const TAKEN: readonly {
  title: string;
  files: Record<string, string>;
  installed: readonly string[];
  paths: readonly string[];
}[] = [
  {
    title: "a folder with .egg-info of setuptools, and what requires.txt says",
    files: {
      "one/__init__.py": "",
      "one/sub/data.txt": "x",
      "one/__pycache__/__init__.cpython-311.pyc": "x",
      "one/old.pyc": "x",
      "one-1.0.egg-info/PKG-INFO": METADATA,
      "one-1.0.egg-info/top_level.txt": "one\n",
      "one-1.0.egg-info/requires.txt": "two\n\n[test]\nthree\n",
      "two.py": "",
      "two-2.0.egg-info": "Metadata-Version: 1.1\nName: two\nVersion: 2.0\n",
      "other.py": "",
    },
    installed: ["one==1.0", "two==2.0"],
    paths: [
      "one-1.0.egg-info/PKG-INFO",
      "one-1.0.egg-info/requires.txt",
      "one-1.0.egg-info/top_level.txt",
      "one/__init__.py",
      "one/sub/data.txt",
      "two-2.0.egg-info",
      "two.py",
    ],
  },
  {
    title: "what RECORD lists, and nothing beside it",
    files: {
      "space/mine.py": "",
      "space/other.py": "",
      "one-1.0.dist-info/METADATA": METADATA,
      "one-1.0.dist-info/RECORD": "space/mine.py,,\n../../bin/one,,\nspace/gone.py,,\none-1.0.dist-info/RECORD,,\n",
      "one-1.0.dist-info/top_level.txt": "space\n",
    },
    installed: ["one==1.0"],
    paths: [
      "one-1.0.dist-info/METADATA",
      "one-1.0.dist-info/RECORD",
      "one-1.0.dist-info/top_level.txt",
      "space/mine.py",
    ],
  },
  {
    title: "a module without metadata, of no version",
    files: { "one/__init__.py": "", "one/part.py": "", "notes.txt": "", "two/readme": "" },
    installed: ["one"],
    paths: ["one/__init__.py", "one/part.py"],
  },
];

for (const { title, files, installed, paths } of TAKEN) {
  Deno.test(`Wheelhouse takes ${title}`, async () => {
    await using house = await TestWheelhouse.make({}, { files });
    const resolved = await house.resolve("one");
    assert.deepEqual(resolved.installed, installed);
    assert.deepEqual(Object.keys(layerFiles(resolved.layer)), paths);
  });
}

const REFUSED: readonly { title: string; files: Record<string, string>; asked: string; message: RegExp }[] = [
  {
    title: "a module of no version where one is asked for",
    files: { "one.py": "" },
    asked: "one>=1",
    message: /"one>=1", which the task asks for: no version fits, .* has one without a version$/,
  },
  {
    title: "a folder where a hash is asked for",
    files: { "one.py": "", "one-1.0.egg-info": METADATA },
    asked: `one --hash=sha256:${"0".repeat(64)}`,
    message: /\(one 1\.0: a folder has no hash\)/,
  },
  {
    title: "code for another machine",
    files: {
      "one/__init__.py": "",
      "one/fast.cpython-311-x86_64-linux-gnu.so": "",
      "one-1.0.egg-info/PKG-INFO": METADATA,
    },
    asked: "one",
    message: /its "one\/fast\.cpython-311-x86_64-linux-gnu\.so" is code for another machine than CPython 3\.11/,
  },
  {
    title: "metadata without modules",
    files: { "one-1.0.egg-info/PKG-INFO": METADATA },
    asked: "one",
    message: /\(one 1\.0: its modules are not beside its metadata\)/,
  },
  {
    title: "modules without what describes them",
    files: { "one.py": "", "one-1.0.dist-info/INSTALLER": "" },
    asked: "one",
    message: /\(one 1\.0: it has neither METADATA nor PKG-INFO\)/,
  },
  {
    title: "a name that no file of a package may have",
    files: { "one/__init__.py": "", "one/a:b": "", "one-1.0.egg-info/PKG-INFO": METADATA },
    asked: "one",
    message: /the name of its "one\/a:b" holds a colon/,
  },
];

for (const { title, files, asked, message } of REFUSED) {
  Deno.test(`Wheelhouse refuses ${title}`, async () => {
    await using house = await TestWheelhouse.make({}, { files });
    await assert.rejects(house.resolve(asked), { code: "INVALID_TASK", message });
  });
}

Deno.test("Wheelhouse takes extension modules of its own platform from a folder", async () => {
  const files = { "one.cpython-314-wasm32-emscripten.so": "", "one-1.0.egg-info/PKG-INFO": METADATA };
  await using house = await TestWheelhouse.make({}, { files });
  assert.deepEqual((await house.resolve("one", "3.14")).installed, ["one==1.0"]);
  await assert.rejects(house.resolve("one", "3.11"), { message: /code for another machine than CPython 3\.11/ });
});

Deno.test("Wheelhouse follows links within the folder, and none that leads out of it or in a circle", async () => {
  const files = { "one/__init__.py": "", "one-1.0.egg-info/PKG-INFO": METADATA, "shared/data.txt": "x" };
  await using house = await TestWheelhouse.make({}, { files });
  const at = (name: string) => house.folder.file(name);
  await Deno.symlink(at("shared"), at("one/data"));
  assert.equal(layerFiles((await house.resolve("one")).layer)["one/data/data.txt"], "x");
  await Deno.symlink("/etc", at("one/etc"));
  await assert.rejects(house.resolve("one"), { message: /its "one\/etc" is a symbolic link out of the folder/ });
  await Deno.remove(at("one/etc"));
  await Deno.symlink(at("one"), at("one/again"));
  await assert.rejects(house.resolve("one"), { message: /more than 32 folders in one another/ });
});

Deno.test("Wheelhouse notices what comes into a package's folder", async () => {
  const files = { "one/__init__.py": "", "one-1.0.egg-info/PKG-INFO": METADATA };
  await using house = await TestWheelhouse.make({}, { files });
  const settle = () => Deno.utime(house.folder.path, 1_000_000, 1_000_000);
  await settle();
  await Deno.utime(house.folder.file("one"), 1_000_000, 1_000_000);
  const before = await house.resolve("one");
  await house.folder.write("one/more.py", "new");
  // The folder above shows nothing of that.
  await settle();
  assert.equal(layerFiles((await house.resolve("one")).layer)["one/more.py"], "new");
  assert.equal(layerFiles(before.layer)["one/more.py"], undefined);
});

Deno.test("Wheelhouse bounds folders as it does wheels", async () => {
  const files = {
    "one/__init__.py": "x".repeat(6_000),
    "one/more.py": "y".repeat(6_000),
    "one-1.0.egg-info/PKG-INFO": METADATA,
  };
  await using small = await TestWheelhouse.make({}, { files, bounds: { maxUnpackedBytes: 10_000 } });
  await assert.rejects(small.resolve("one"), {
    message: /one 1\.0: with "one\/more\.py" it is larger than packages may be/,
  });
  await using few = await TestWheelhouse.make({}, { files, bounds: { maxFiles: 2 } });
  await assert.rejects(few.resolve("one"), { message: /it has more than 2 files/ });
});
