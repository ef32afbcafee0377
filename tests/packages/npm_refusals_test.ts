import assert from "node:assert/strict";
import { hostOf } from "../../src/packages/installer/installer.ts";
import { type FakePackages, FakeRegistry, gzip, type SpecialAnswer, tarball } from "../fakes/npm_registry.ts";
import { TestPackages } from "../support/packages.ts";

const SHA1 = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
const MAIN = { path: "package/package.json", content: '{"name":"bad"}' };
const PLAIN = { files: { "index.js": "" } };

/** What the one package of a test is, what is declared, and how it is refused. */
interface Refusal {
  readonly packages: () => FakePackages | Promise<FakePackages>;
  readonly requirement?: string;
  readonly policy?: Parameters<typeof TestPackages.start>[1];
  readonly special?: SpecialAnswer;
  readonly code: string;
  readonly message: RegExp;
}

const one = (version: FakePackages[string][string]) => () => ({ bad: { "1.0.0": version } });
const archive = (...entries: Parameters<typeof tarball>[0]) => async () => ({
  bad: { "1.0.0": { archive: await tarball([MAIN, ...entries]) } },
});

const REFUSALS: Readonly<Record<string, Refusal>> = {
  "an archive that is not the one that was published": {
    packages: one({ ...PLAIN, integrity: `sha512-${"A".repeat(86)}==` }),
    code: "SECURITY_VIOLATION",
    message: /"bad@1.0.0": its archive is not the one that the registry's sha512 is of/,
  },
  "an archive without a sha512": {
    packages: one({ ...PLAIN, integrity: SHA1 }),
    code: "SECURITY_VIOLATION",
    message: /no sha512/,
  },
  "a path that leads out": {
    packages: archive({ path: "package/../../../etc/cron.d/x", content: "x" }),
    code: "SECURITY_VIOLATION",
    message: /holds a ".." segment/,
  },
  "an absolute path": {
    packages: archive({ path: "/etc/cron.d/x", content: "x" }),
    code: "SECURITY_VIOLATION",
    message: /the path "\/etc\/cron.d\/x" lies outside/,
  },
  "a symbolic link": {
    packages: archive({ path: "package/link.js", type: "2", link: "/etc/passwd" }),
    code: "SECURITY_VIOLATION",
    message: /"package\/link.js" is no plain file: links and devices are refused/,
  },
  "a hard link": {
    packages: archive({ path: "package/link.js", type: "1", link: "package/package.json" }),
    code: "SECURITY_VIOLATION",
    message: /no plain file/,
  },
  "two files at one place": {
    packages: archive({ path: "package/a.js", content: "1" }, { path: "package/A.js", content: "2" }),
    code: "SECURITY_VIOLATION",
    message: /one and the same file/,
  },
  "an archive that unpacks to more than there may be": {
    packages: async () => ({ bad: { "1.0.0": { archive: await gzip(new Blob([new Uint8Array(8 * 2 ** 20)])) } } }),
    policy: { maxMb: 1 },
    code: "RESOURCE_LIMIT",
    message: /packages\.npm\.maxMb/,
  },
  "an archive that is none": {
    packages: one({ archive: new TextEncoder().encode("<html>") }),
    code: "INVALID_TASK",
    message: /it is no gzip/,
  },
  "an archive that is cut off": {
    packages: async () => ({
      bad: { "1.0.0": { archive: await gzip(new Blob([new Uint8Array(100).fill(65), new Uint8Array(600)])) } },
    }),
    code: "INVALID_TASK",
    message: /checksum does not match/,
  },
  "a version that is too young": {
    packages: one({ ...PLAIN, ageDays: 2 }),
    policy: { minimumAgeDays: 3 },
    requirement: "npm:bad@1.0.0",
    code: "SECURITY_VIOLATION",
    message: /version 1.0.0 was published less than 3 days ago \(policy: packages\.npm\.minimumAgeDays\)/,
  },
  "a tag that leads to a version that is too young": {
    packages: one({ ...PLAIN, ageDays: 2 }),
    requirement: "npm:bad@latest",
    code: "SECURITY_VIOLATION",
    message: /packages\.npm\.minimumAgeDays/,
  },
  "a name that is not allowed": {
    packages: one(PLAIN),
    policy: { allow: ["good", "@mine/*"] },
    code: "SECURITY_VIOLATION",
    message: /"bad": the policy does not allow it \(packages\.npm\.allow\)/,
  },
  "a package that needs one that is not allowed": {
    packages: () => ({
      bad: { "1.0.0": { ...PLAIN, fields: { dependencies: { worse: "*" } } } },
      worse: { "1.0.0": PLAIN },
    }),
    policy: { allow: ["bad"] },
    code: "SECURITY_VIOLATION",
    message: /"worse": the policy does not allow it/,
  },
  "a package that needs what no registry has": {
    packages: one({ ...PLAIN, fields: { dependencies: { x: "git+ssh://git@example.com/x.git" } } }),
    code: "INVALID_TASK",
    message: /needs "x@git\+ssh:\/\/git@example.com\/x.git", which is no version of a registry/,
  },
  "more packages than there may be": {
    packages: () => ({ bad: { "1.0.0": { ...PLAIN, fields: { dependencies: { b: "*" } } } }, b: { "1.0.0": PLAIN } }),
    policy: { maxPackages: 1 },
    code: "RESOURCE_LIMIT",
    message: /"b@1.0.0": more than 1 packages are needed \(policy: packages\.npm\.maxPackages\)/,
  },
  "a package that is not there": {
    packages: () => ({}),
    code: "INVALID_TASK",
    message: /"bad": http:\/\/127.0.0.1:\d+\/ has no such package/,
  },
  "a version that is not there": {
    packages: one(PLAIN),
    requirement: "npm:bad@^2",
    code: "INVALID_TASK",
    message: /"bad@\^2": .* has no such version, but 1.0.0/,
  },
  "a package of another kind of registry": {
    packages: () => ({}),
    requirement: "jsr:@std/path",
    code: "INVALID_TASK",
    message: /only packages of npm/,
  },
  "a registry that fails": {
    packages: () => ({}),
    special: () => new Response("oh no", { status: 500 }),
    code: "TASK_FAILED",
    message: /the registry answers 500/,
  },
  "a registry that is none": {
    packages: () => ({}),
    special: () => new Response("<html>"),
    code: "TASK_FAILED",
    message: /it is not JSON/,
  },
  "a registry that sends in circles": {
    packages: () => ({}),
    special: (path, url) => Response.redirect(`${url}/${path}`),
    code: "TASK_FAILED",
    message: /it leads on more than 3 times/,
  },
  "a registry whose answer does not end": {
    packages: () => ({}),
    policy: { timeoutSeconds: 2 },
    special: () => new Response(new ReadableStream({ start: (to) => to.enqueue(new TextEncoder().encode("{")) })),
    code: "TASK_TIMEOUT",
    message: /longer than 2 seconds \(policy: packages\.npm\.timeoutSeconds\)/,
  },
  "a document that is too long": {
    packages: () => ({}),
    special: () => new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(2 ** 20).fill(32)) })),
    code: "RESOURCE_LIMIT",
    message: /it has more than 67108864 bytes/,
  },
};

for (const [what, { packages, requirement = "npm:bad", policy, special, code, message }] of Object.entries(REFUSALS)) {
  Deno.test(`NpmResolver refuses ${what}`, async () => {
    await using registry = FakeRegistry.serve(await packages(), special);
    await using installing = await TestPackages.start(registry, policy);
    await assert.rejects(installing.install([requirement]), { code, message });
  });
}

Deno.test("NpmResolver takes an older version where the newest is too young, and none where there is no time", async () => {
  await using registry = FakeRegistry.serve({
    a: { "1.0.0": { ...PLAIN, ageDays: 30 }, "1.1.0": { ...PLAIN, ageDays: 10 }, "1.2.0": { ...PLAIN, ageDays: 1 } },
  });
  await using packages = await TestPackages.start(registry, { minimumAgeDays: 7 });
  assert.deepEqual((await packages.install(["npm:a@^1"])).installed, ["npm:a@1.1.0"]);
  assert.deepEqual((await packages.install(["npm:a"])).installed, ["npm:a@1.1.0"]);
});

Deno.test("NpmResolver gets archives from the registry's own host alone", async () => {
  await using other = FakeRegistry.serve({ bad: { "1.0.0": PLAIN } });
  await using elsewhere = FakeRegistry.serve({
    bad: { "1.0.0": { ...PLAIN, tarball: `${other.url}/bad/-/1.0.0.tgz` } },
  });
  await using leading = FakeRegistry.serve(
    { bad: { "1.0.0": PLAIN } },
    (path) => path.endsWith(".tgz") ? Response.redirect(`${other.url}/${path}`) : undefined,
  );
  for (const registry of [elsewhere, leading]) {
    await using packages = await TestPackages.start(registry);
    await assert.rejects(packages.install(["bad"]), { code: "SECURITY_VIOLATION", message: /another host/ });
  }
  assert.deepEqual(other.requests, []);
});

Deno.test("Installer reaches the one host that it was given, whatever it is asked for", async () => {
  await using given = FakeRegistry.serve({});
  await using other = FakeRegistry.serve({ bad: { "1.0.0": PLAIN } });
  await using packages = await TestPackages.start(given);
  const request = {
    kind: "npm",
    registry: other.url,
    caCerts: [],
    requirements: ["bad"],
    allow: ["*"],
    minimumAgeDays: 0,
    maxPackages: 1,
    maxBytes: 2 ** 20,
    nowMs: Date.now(),
  } as const;
  for (const hosts of [[hostOf(given.url)], []]) {
    const order = { request, hosts, maxBytes: 2 ** 20, timeoutMs: 60_000, timeoutRule: "x" };
    await assert.rejects(packages.installer.run(order), { code: "TASK_FAILED" });
  }
  assert.deepEqual(other.requests, []);
});

Deno.test("NpmResolver installs nothing where the policy does not allow it, and the task says so", async () => {
  await using registry = FakeRegistry.serve({ a: { "1.0.0": PLAIN } });
  await using packages = await TestPackages.start(registry, { allowed: false });
  assert.deepEqual(await packages.install(["a"]), { layers: [], installed: [] });
  const refused = /^INVALID_TASK: Cannot install dependency "npm:a": .* \(policy: packages\.npm\.allowed\)/;
  assert.match(String(await packages.result(["a"], 'import "npm:a"; export default () => 1;')), refused);
  const code = { "manifest.json": MANIFEST, "main.ts": "export default () => 1;" };
  assert.match(String(await packages.result([], code)), refused);
  assert.deepEqual(registry.requests, []);
});

const MANIFEST = JSON.stringify({ version: "1.0", type: "code_package", dependencies: ["npm:a"] });
