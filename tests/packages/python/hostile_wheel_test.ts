import assert from "node:assert/strict";
import { TestWheelhouse, type WheelSource } from "../../support/wheels.ts";

const WHEEL = "one-1.0-py3-none-any.whl";
const INFO = "one-1.0.dist-info";

const HOSTILE: readonly { title: string; wheel: WheelSource; message: RegExp }[] = [
  {
    title: "a path out of the folder",
    wheel: { files: { "../evil.py": "x" } },
    message: /its archive is refused: the name of entry "\.\.\/evil\.py" holds a "\.\." segment/,
  },
  { title: "an absolute path", wheel: { files: { "/etc/evil": "x" } }, message: /is an absolute path/ },
  {
    title: "a path out of the folder below .data",
    wheel: { files: { "one-1.0.data/purelib/../../evil.py": "x" } },
    message: /holds a "\.\." segment/,
  },
  {
    title: "a symbolic link",
    wheel: { unlisted: [{ name: "link", data: "/etc/passwd", mode: 0o120777 }] },
    message: /its archive is refused: .*"link"/,
  },
  {
    title: "one name twice",
    wheel: { files: { "one.py": "good" }, unlisted: [{ name: "one.py", data: "evil" }] },
    message: /"one\.py" and "one\.py" are one and the same file/,
  },
  {
    title: "names that differ by case alone",
    wheel: { files: { "one.py": "good", "ONE.py": "evil" } },
    message: /are one and the same file/,
  },
  {
    title: "one place for two files",
    wheel: { files: { "one.py": "good", "one-1.0.data/purelib/one.py": "evil" } },
    message: /it has "one\.py" in two places/,
  },
  {
    title: "a bomb",
    wheel: { files: { "one.py": new Uint8Array(4 * 2 ** 20) } },
    message: /the ratio of its unpacked to its packed size is limited/,
  },
  {
    title: "more unpacked than packages may have",
    wheel: { files: { "one.py": crypto.getRandomValues(new Uint8Array(40_000)) } },
    message: /\(one 1\.0: it has \d+ bytes, and 32768 is the limit of a package\)/,
  },
  {
    title: "more files than packages may have",
    wheel: { files: Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`f${index}`, ""])) },
    message: /the number of files is limited to 50 entries/,
  },
  {
    title: "a file that is not the one of its RECORD",
    wheel: { files: { "one.py": "x" }, info: { RECORD: `one.py,sha256=${"A".repeat(43)},1\n${INFO}/RECORD,,\n` } },
    message: /its "one\.py" is not the file that its RECORD lists/,
  },
  {
    title: "a file without a hash",
    wheel: { files: { "one.py": "x" }, info: { RECORD: "one.py,,1\n" } },
    message: /its "one\.py" is not the file/,
  },
  {
    title: "a file with a weak hash",
    wheel: { files: { "one.py": "x" }, info: { RECORD: "one.py,md5=nd5Gx3zqAOmuHuY8xGdOVA,1\n" } },
    message: /its "one\.py" is not the file/,
  },
  {
    title: "a file that RECORD does not list",
    wheel: { unlisted: [{ name: "evil.py", data: "x" }] },
    message: /its RECORD does not list "evil\.py"/,
  },
  {
    title: "a file that only RECORD has",
    wheel: { info: { RECORD: "gone.py,sha256=x,1\n" } },
    message: /it lacks "gone\.py", which its RECORD lists/,
  },
  {
    title: "a file that RECORD has twice",
    wheel: { info: { RECORD: `${INFO}/RECORD,,\n${INFO}/RECORD,,\n` } },
    message: /lists "one-1\.0\.dist-info\/RECORD" twice/,
  },
  { title: "no RECORD", wheel: { info: { RECORD: undefined } }, message: /its RECORD does not list/ },
  {
    title: "no METADATA",
    wheel: { info: { METADATA: undefined } },
    message: /it lacks "one-1\.0\.dist-info\/METADATA"/,
  },
  { title: "no WHEEL", wheel: { info: { WHEEL: undefined } }, message: /it lacks "one-1\.0\.dist-info\/WHEEL"/ },
  {
    title: "the metadata of another package",
    wheel: { info: { METADATA: "Name: two\nVersion: 1.0\n" } },
    message: /its METADATA is that of "two 1\.0"/,
  },
  {
    title: "the metadata of another version",
    wheel: { info: { METADATA: "Name: one\nVersion: 2.0\n" } },
    message: /its METADATA is that of "one 2\.0"/,
  },
  {
    title: "a format of later",
    wheel: { info: { WHEEL: "Wheel-Version: 2.0\n" } },
    message: /it is in version "2\.0" of the format of wheels, and 1 is known/,
  },
  {
    title: "two folders of metadata",
    wheel: { files: { "two-1.0.dist-info/METADATA": "Name: two\nVersion: 1.0\n" } },
    message: /it has 2 folders named \.dist-info, where a wheel has one/,
  },
];

for (const { title, wheel, message } of HOSTILE) {
  Deno.test(`Wheelhouse refuses a wheel with ${title}`, async () => {
    const bounds = { maxCompressedBytes: 2 ** 15, maxUnpackedBytes: 2 ** 23, maxFiles: 50 };
    await using house = await TestWheelhouse.make({ [WHEEL]: wheel, "two-1.0-py3-none-any.whl": [] }, { bounds });
    await assert.rejects(house.resolve("one"), { code: "INVALID_TASK", message });
    assert.deepEqual((await house.resolve("two")).installed, ["two==1.0"], "the others are as before");
  });
}

Deno.test("Wheelhouse refuses what is no zip, and takes an older version instead", async () => {
  await using house = await TestWheelhouse.make({ [WHEEL]: [] });
  await house.folder.write("one-2.0-py3-none-any.whl", "PK nothing");
  assert.deepEqual((await house.resolve("one")).installed, ["one==1.0"]);
  await assert.rejects(house.resolve("one>1"), { message: /its archive is refused: it has no end record/ });
});

Deno.test("Wheelhouse refuses packages that have different files in one place, and takes equal ones", async () => {
  const shared = (text: string) => ({ "space/__init__.py": text });
  await using house = await TestWheelhouse.make({
    [WHEEL]: { files: shared("") },
    "two-1.0-py3-none-any.whl": { files: shared("") },
    "evil-1.0-py3-none-any.whl": { files: shared("evil") },
  });
  assert.deepEqual((await house.resolve(["one", "two"])).installed, ["one==1.0", "two==1.0"]);
  await assert.rejects(house.resolve(["one", "evil"]), {
    code: "INVALID_TASK",
    message: /evil 1\.0 and one 1\.0 both have a file "space\/__init__\.py", and they differ/,
  });
});

Deno.test("Wheelhouse bounds what packages have together", async () => {
  const of = (name: string, size: number) => ({
    files: { [`${name}.py`]: crypto.getRandomValues(new Uint8Array(size)) },
  });
  const wheels = { [WHEEL]: of("one", 6_000), "two-1.0-py3-none-any.whl": of("two", 6_000) };
  await using bytes = await TestWheelhouse.make(wheels, { bounds: { maxUnpackedBytes: 10_000 } });
  await bytes.resolve("one");
  await assert.rejects(bytes.resolve(["one", "two"]), {
    code: "RESOURCE_LIMIT",
    message: /together they have more than 10000 bytes, which is the limit/,
  });
  await using files = await TestWheelhouse.make(wheels, { bounds: { maxFiles: 5 } });
  await files.resolve("one");
  await assert.rejects(files.resolve(["one", "two"]), { code: "RESOURCE_LIMIT", message: /more than 5 files/ });
});
