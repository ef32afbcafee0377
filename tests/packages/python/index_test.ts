import assert from "node:assert/strict";
import { type FakeFile, FakeIndex } from "../../fakes/python_index.ts";
import { jailTypes, TestJail } from "../../support/jails.ts";
import { TestPythonPackages } from "../../support/python_packages.ts";

const any = (name: string, version: string) => `${name}-${version}-py3-none-any.whl`;
const page = (name: string) => `/simple/${name}/`;
const file = (name: string) => `/files/${name}`;

for (const type of await jailTypes()) {
  Deno.test(`PythonResolver installs what the wheelhouse lacks from an index (${type})`, async () => {
    await using jail = await TestJail.make(type);
    await using index = await FakeIndex.serve({
      [any("one", "1.0")]: [],
      [any("one", "2.0")]: {
        requires: ["Two>=1; sys_platform == 'emscripten'", "three; extra == 'x'"],
        metadata: true,
      },
      [any("two", "1.5")]: { files: { "two/__init__.py": "two = 2\n", "two/data.txt": "ü" } },
    });
    await using packages = await TestPythonPackages.start(index, { jail: jail.jail });
    const { installed, files } = await packages.install(["One>=1"]);
    assert.deepEqual(installed, ["one==2.0", "two==1.5"]);
    assert.deepEqual([files["one/__init__.py"], files["two/data.txt"]], ['__version__ = "2.0"\n', "ü"]);
    // Versions that are not taken are not fetched, and metadata comes by itself where it lies beside its wheel.
    assert.deepEqual(index.requests, [
      page("one"),
      `${file(any("one", "2.0"))}.metadata`,
      page("two"),
      file(any("two", "1.5")),
      file(any("one", "2.0")),
    ]);
  });
}

Deno.test("PythonResolver reads an index' pages in HTML too", async () => {
  const odd = "one-1.0+a.b-py3-none-any.whl";
  await using index = await FakeIndex.serve({
    [odd]: { requires: ["two"], metadata: true, ageDays: undefined },
    [any("two", "1.0")]: { ageDays: undefined },
    [any("two", "2.0")]: { yanked: "broken & withdrawn", ageDays: undefined },
  }, { form: "html" });
  await using packages = await TestPythonPackages.start(index, { minimumAgeDays: 0 });
  assert.deepEqual((await packages.install(["one"])).installed, ["one==1.0+a.b", "two==1.0"]);
  assert.deepEqual((await packages.install(["two==2.0"])).installed, ["two==2.0"]);
});

Deno.test("PythonResolver never asks the index for a name that the wheelhouse has", async () => {
  await using index = await FakeIndex.serve({
    [any("acme_core", "9.0")]: [],
    [any("attrs", "1.0")]: ["acme-core>=1"],
  });
  await using packages = await TestPythonPackages.start(index, { wheels: { [any("acme_core", "1.0")]: [] } });
  assert.deepEqual((await packages.install(["acme-core"])).installed, ["acme-core==1.0"]);
  assert.equal(index.requests.length, 0);
  assert.deepEqual((await packages.install(["attrs"])).installed, ["acme-core==1.0", "attrs==1.0"]);
  await assert.rejects(packages.install(["attrs", "acme-core>=2"]), {
    code: "INVALID_TASK",
    message: /"acme-core>=2".*no version fits, the service's own packages and the index ".*" has 1\.0$/,
  });
  assert(!index.requests.some((path) => path.includes("acme")));
});

Deno.test("PythonResolver joins packages of the wheelhouse and of the index that need one another", async () => {
  await using index = await FakeIndex.serve({
    [any("far", "1.0")]: ["near"],
    [any("further", "1.0")]: ["hidden"],
  });
  await using packages = await TestPythonPackages.start(index, {
    wheels: {
      [any("near", "1.0")]: ["nearer"],
      [any("nearer", "1.0")]: ["further"],
      [any("hidden", "1.0")]: { files: { "hidden.py": "hidden = 1\n" } },
      [any("unused", "1.0")]: { info: { METADATA: "broken" } },
    },
  });
  const { installed, files } = await packages.install(["far"]);
  assert.deepEqual(installed, ["far==1.0", "further==1.0", "hidden==1.0", "near==1.0", "nearer==1.0"]);
  assert.equal(files["hidden.py"], "hidden = 1\n");
});

Deno.test("PythonResolver takes files from the hosts that the policy names, and from no other", async () => {
  await using files = await FakeIndex.serve({ [any("one", "1.0")]: [] });
  await using index = await FakeIndex.serve({
    [any("one", "1.0")]: { url: files.fileUrl(any("one", "1.0")) },
  });
  await using allowed = await TestPythonPackages.start(index, { fileHosts: [files.host] });
  assert.deepEqual((await allowed.install(["one"])).installed, ["one==1.0"]);
  assert.equal(files.requests.length, 1);
  await using refused = await TestPythonPackages.start(index);
  await assert.rejects(refused.install(["one"]), {
    code: "SECURITY_VIOLATION",
    message: /another host than the registry \(policy: packages\.python\.fileHosts\)/,
  });
  assert.equal(files.requests.length, 1);
});

Deno.test("PythonResolver installs the same set once, and goes on with it when the index is down", async () => {
  let isDown = false;
  let nowMs = Date.now();
  await using index = await FakeIndex.serve({ [any("one", "1.0")]: [] }, {
    special: () => isDown ? new Response("", { status: 503 }) : undefined,
  });
  await using packages = await TestPythonPackages.start(index, { now: () => nowMs });
  await Promise.all([packages.install(["one"]), packages.install(["one"])]);
  await packages.install(["one"]);
  assert.equal(index.requests.length, 2);
  await packages.install(["one"], { version: "3.11" });
  assert.equal(index.requests.length, 4, "another version of Python is another set");
  nowMs += 25 * 3_600_000;
  isDown = true;
  assert.deepEqual((await packages.install(["one"])).installed, ["one==1.0"]);
  assert.equal(index.requests.length, 5);
  await assert.rejects(packages.install(["two"]), { code: "TASK_FAILED", message: /answers 503/ });
});

Deno.test("PythonResolver leaves out what is only implied where it cannot be had", async () => {
  let isDown = false;
  await using index = await FakeIndex.serve({ [any("one", "1.0")]: [], [any("cloudpickle", "3.0")]: [] }, {
    special: () => isDown ? new Response("", { status: 503 }) : undefined,
  });
  await using packages = await TestPythonPackages.start(index, { allow: ["one"] });
  assert.deepEqual((await packages.install(["one"], { implied: ["cloudpickle"] })).installed, ["one==1.0"]);
  await using all = await TestPythonPackages.start(index);
  assert.deepEqual((await all.install([], { implied: ["cloudpickle"] })).installed, ["cloudpickle==3.0"]);
  await using down = await TestPythonPackages.start(index);
  isDown = true;
  assert.deepEqual((await down.install([], { implied: ["cloudpickle"] })).installed, []);
});

/** What an index has of `one`, and how a task that asks for it ends. */
const REFUSED: readonly {
  readonly title: string;
  readonly files: Readonly<Record<string, FakeFile | readonly string[]>>;
  readonly policy?: Parameters<typeof TestPythonPackages.start>[1];
  readonly asked?: readonly string[];
  readonly code: string;
  readonly message: RegExp;
}[] = [
  {
    title: "a name that the policy does not allow",
    files: { [any("one", "1.0")]: ["two"], [any("two", "1.0")]: [] },
    policy: { allow: ["One", "acme-*"] },
    code: "SECURITY_VIOLATION",
    message: /the policy does not allow "two" \(packages\.python\.allow\)$/,
  },
  {
    title: "a package that nobody has",
    files: { [any("two", "1.0")]: [] },
    code: "INVALID_TASK",
    message: /"one", which the task asks for, is not in the index "http:.*\/simple\/"$/,
  },
  {
    title: "what was published too lately",
    files: { [any("one", "1.0")]: { ageDays: 6 } },
    code: "INVALID_TASK",
    message: /it was published on \d{4}-.*, and the policy wants 7 days \(packages\.python\.minimumAgeDays\)\)$/,
  },
  {
    title: "what was published nobody knows when",
    files: { [any("one", "1.0")]: { ageDays: undefined } },
    code: "INVALID_TASK",
    message: /the index does not say since when it has .* \(packages\.python\.minimumAgeDays\)\)$/,
  },
  {
    title: "a file that is not what its digest is of",
    files: { [any("one", "1.0")]: { sha256: "0".repeat(64) } },
    code: "SECURITY_VIOLATION",
    message: /one-1\.0-py3-none-any\.whl" is not the file that the index' sha256 is of$/,
  },
  {
    title: "metadata that is not what its digest is of",
    files: { [any("one", "1.0")]: { metadata: "Name: one\nVersion: 1.0\n" } },
    code: "SECURITY_VIOLATION",
    message: /one-1\.0-py3-none-any\.whl\.metadata" is not the file/,
  },
  {
    title: "a file without a digest",
    files: { [any("one", "1.0")]: { sha256: null } },
    code: "INVALID_TASK",
    message: /the index gives no sha256 of "one-1\.0-py3-none-any\.whl"/,
  },
  {
    title: "a digest that is not the one asked for",
    files: { [any("one", "1.0")]: [] },
    asked: [`one==1.0 --hash=sha256:${"0".repeat(64)}`],
    code: "INVALID_TASK",
    message: /its hash is another one/,
  },
  {
    title: "sources",
    files: { "one-1.0.tar.gz": {} },
    code: "INVALID_TASK",
    message: /"one", which the task asks for: the index ".*" has no wheel of it, and nothing is built here$/,
  },
  {
    title: "code for another machine",
    files: { "one-1.0-cp314-cp314-manylinux_2_17_x86_64.whl": {}, "one-1.0-cp314-cp314-win_amd64.whl": {} },
    code: "INVALID_TASK",
    message: /is not for CPython 3\.14 on WebAssembly\)$/,
  },
  {
    title: "another version of Python",
    files: { [any("one", "1.0")]: { headers: "Requires-Python: <3.14\n" } },
    code: "INVALID_TASK",
    message: /it is for Python <3\.14\)$/,
  },
  {
    title: "what its author has taken back",
    files: { [any("one", "1.0")]: { yanked: "" } },
    asked: ["one>=1"],
    code: "INVALID_TASK",
    message: /no version fits/,
  },
  {
    title: "a wheel that is not what its RECORD lists",
    files: { [any("one", "1.0")]: { unlisted: [{ name: "sneaky.py", data: "1" }] } },
    code: "INVALID_TASK",
    message: /one 1\.0: its RECORD does not list "sneaky\.py"/,
  },
  {
    title: "a wheel with a path that leads out",
    files: { [any("one", "1.0")]: { files: { "../sneaky.py": "1" } } },
    code: "INVALID_TASK",
    message: /its archive is refused/,
  },
  {
    title: "too many packages",
    files: { [any("one", "1.0")]: ["two"], [any("two", "1.0")]: [] },
    policy: { maxPackages: 1 },
    code: "RESOURCE_LIMIT",
    message: /they need 2 packages of the index, the policy allows 1 \(packages\.python\.maxPackages\)$/,
  },
  {
    title: "too many bytes",
    files: {
      [any("one", "1.0")]: { files: { "one.txt": noise(700_000) } },
      [any("two", "1.0")]: { files: { "two.txt": noise(700_000) } },
    },
    policy: { maxMb: 1 },
    asked: ["one", "two"],
    code: "RESOURCE_LIMIT",
    message: /together they have more than 1048576 bytes/,
  },
];

for (const { title, files, policy = {}, asked = ["one"], code, message } of REFUSED) {
  Deno.test(`PythonResolver refuses ${title}`, async () => {
    await using index = await FakeIndex.serve(files);
    await using packages = await TestPythonPackages.start(index, policy);
    await assert.rejects(packages.install(asked), { code, message });
  });
}

for (
  const [title, answer] of [
    ["no JSON", () => new Response("{", { headers: { "content-type": "application/json" } })],
    ["another type", () => new Response("x", { headers: { "content-type": "text/plain" } })],
    ["another version", () => Response.json({ meta: { "api-version": "2.0" }, files: [] })],
    ["no files", () => Response.json({ meta: { "api-version": "1.0" } })],
  ] as const
) {
  Deno.test(`PythonResolver says of an index whose page has ${title} that it cannot be read`, async () => {
    await using index = await FakeIndex.serve({}, { special: answer });
    await using packages = await TestPythonPackages.start(index);
    await assert.rejects(packages.install(["one"]), { code: "TASK_FAILED", message: /^Cannot read "http:/ });
  });
}

Deno.test("PythonResolver asks no index where the policy does not allow it", async () => {
  await using index = await FakeIndex.serve({ [any("one", "1.0")]: [] });
  await using packages = await TestPythonPackages.start(index, { allowed: false });
  await assert.rejects(packages.install(["one"]), {
    code: "INVALID_TASK",
    message: /is not in the folder of packages/,
  });
  assert.deepEqual(index.requests, []);
});

/** Text that no zip makes smaller. */
function noise(length: number): string {
  let state = 1;
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return String.fromCharCode(33 + (state >> 16) % 90);
  }).join("");
}
