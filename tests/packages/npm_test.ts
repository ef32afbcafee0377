import assert from "node:assert/strict";
import { TestFolder } from "../fakes/folder.ts";
import { FakeRegistry } from "../fakes/npm_registry.ts";
import { jailTypes, TestJail } from "../support/jails.ts";
import { Config } from "../../src/config/schema.ts";
import { TaskPackages } from "../../src/packages/task_packages.ts";
import { hostOptions, RuntimeDirectory } from "../support/hosts.ts";
import { TestPackages, textOf } from "../support/packages.ts";
import { descendantsOf } from "../support/processes.ts";

const PACKAGES = {
  greet: {
    "1.0.0": {
      fields: {
        type: "module",
        dependencies: { loud: "^2.0.0" },
        exports: { ".": { import: "./src/main.js" }, "./sub/*": "./src/sub/*.js", "./secret": null },
      },
      files: {
        "src/main.js": 'import { loud } from "loud";\nexport const greet = (name) => loud("hello " + name);\n',
        "src/sub/deep.js": 'import { greet } from "../main.js";\nexport default () => greet("deep");\n',
        "src/secret.js": "export default 1;",
        "README.md": "# greet",
      },
    },
  },
  loud: {
    "1.0.0": { files: { "index.js": "exports.loud = () => 1;" } },
    "2.0.1": {
      fields: { main: "lib" },
      files: {
        "lib/index.js": "'use strict';\nvar tail = require('./tail');\nexports.loud = function (text) {\n  return " +
          "text.toUpperCase() + tail.mark() + require('./data.json').count;\n};\nexports.mode = process.env.NODE_ENV;\n",
        "lib/tail.js":
          "var loud = require('.');\nmodule.exports = { mark: () => typeof loud.loud === 'function' ? '!' : '?' };",
        "lib/data.json": '{"count": 7}',
      },
    },
  },
};

for (const type of await jailTypes()) {
  Deno.test(`NpmResolver installs a package with what it needs, and a task imports it by all of its names (${type})`, async () => {
    await using jail = await TestJail.make(type);
    await using registry = FakeRegistry.serve(PACKAGES);
    await using packages = await TestPackages.start(registry, { jail: jail.jail });
    const code = `
    import { greet } from "npm:greet@^1.0.0";
    import { greet as same } from "greet";
    import deep from "npm:greet/sub/deep";
    import loud, { mode } from "npm:loud";
    export default async () => [greet("a"), same === greet, deep(), mode, loud.mode, (await import("npm:loud")).mode];
  `;
    assert.deepEqual(await packages.result(["npm:greet@^1.0.0", "npm:loud"], code), [
      "HELLO A!7",
      true,
      "HELLO DEEP!7",
      "production",
      "production",
      "production",
    ]);
    const { installed } = await packages.install(["npm:greet@^1.0.0", "npm:loud"]);
    assert.deepEqual(installed, ["npm:greet@1.0.0", "npm:loud@2.0.1"]);
  });
}

Deno.test("NpmResolver gives each package the versions that it asks for, side by side", async () => {
  const dependent = (version: string) => ({
    "1.0.0": {
      fields: { dependencies: { tool: version } },
      files: { "index.js": "module.exports = require('tool').version;" },
    },
  });
  const tool = (version: string) => ({ files: { "index.js": `exports.version = "${version}";` } });
  await using registry = FakeRegistry.serve({
    a: dependent("^1.0.0"),
    b: dependent("~2.1.0 || >=9"),
    tool: { "1.0.0": tool("1.0.0"), "1.4.0": tool("1.4.0"), "2.1.3": tool("2.1.3"), "2.2.0": tool("2.2.0") },
  });
  await using packages = await TestPackages.start(registry);
  const code =
    'import a from "a"; import b from "b"; import { version } from "tool"; export default () => [a, b, version];';
  assert.deepEqual(await packages.result(["a", "b", "tool"], code), ["1.4.0", "2.1.3", "2.2.0"]);
  // One that is there already does for who can use it.
  assert.deepEqual(await packages.result(["a", "b", "tool@1.0.0"], code), ["1.0.0", "2.1.3", "1.0.0"]);
});

Deno.test("NpmResolver runs modules of CommonJS in the order, and with the exports, that Node gives them", async () => {
  const files = {
    "index.js":
      "#!/usr/bin/env node\nvar late = require('./late'); exports.order = late.order; exports.own = this === " +
      "exports;\ntry { require('optional') } catch (e) { exports.missing = e.code }\nfor (var i = 0; i < 2; i++) try { exports.tries = " +
      "require('./flaky') } catch (e) {}\nexports.again = require('./late').order " +
      "=== late.order;\nexports.esm = () => import('./esm.mjs').then((m) => m.default);\nObject.defineProperty(exports, 'sum', " +
      "{ enumerable: true, get() { return 3 } });\n__exportStar(require('./star'), exports);\nfunction __exportStar(from, to) { " +
      "for (var k in from) to[k] = from[k] }",
    "late.js":
      "exports.order = ['late']; exports.order.push(require('./index').own === undefined ? 'index not yet' : 'index');",
    "flaky.js":
      "globalThis.tries = (globalThis.tries ?? 0) + 1; if (globalThis.tries < 2) throw new Error('not yet');" +
      "module.exports = globalThis.tries;",
    "star.js": "module.exports = { starred: 'yes', 'odd-name': 1 };",
    "esm.mjs": "import cjs, { order } from './late.js'; export default [order, cjs.order === order];",
  };
  await using registry = FakeRegistry.serve({ old: { "1.0.0": { files } } });
  await using packages = await TestPackages.start(registry);
  const code = `
    import old, { again, missing, order, own, starred, sum, tries, "odd-name" as odd } from "npm:old";
    export default async () => [order, own, missing, again, starred, sum, odd, old.starred, tries, await old.esm()];
  `;
  const order = ["late", "index not yet"];
  assert.deepEqual(await packages.result(["npm:old"], code), [
    order,
    true,
    "MODULE_NOT_FOUND",
    true,
    "yes",
    3,
    1,
    "yes",
    2,
    [order, true],
  ]);
});

Deno.test("NpmResolver takes what a package has for places without Node, and what it calls its own", async () => {
  const fields = {
    type: "module",
    imports: { "#inner": { node: "./node.js", default: "./inner.js" } },
    exports: { ".": [{ types: "./x.d.ts" }, { node: "./node.js", browser: "./browser.js", default: "./node.js" }] },
  };
  const files = {
    "node.js": 'import "node:fs"; export default "node";',
    "browser.js": 'export { default } from "#inner"; export * as self from "many";',
    "inner.js": 'export default "browser";',
  };
  await using registry = FakeRegistry.serve({ many: { "1.0.0": { fields, files } } });
  await using packages = await TestPackages.start(registry);
  const code = 'import many, { self } from "many"; export default () => [many, self.default];';
  assert.deepEqual(await packages.result(["many"], code), ["browser", "browser"]);
});

Deno.test("NpmResolver reads what a code package declares by itself", async () => {
  await using registry = FakeRegistry.serve(PACKAGES);
  await using packages = await TestPackages.start(registry);
  const manifest = JSON.stringify({ version: "1.0", type: "code_package", dependencies: ["npm:loud@2"] });
  const code = {
    "manifest.json": manifest,
    "code/main.ts": 'import { loud } from "loud"; export default () => loud("x");',
  };
  assert.equal(await packages.result([], code), "X!7");
});

Deno.test("A task imports what it declares of a package and nothing else", async () => {
  await using registry = FakeRegistry.serve(PACKAGES);
  await using packages = await TestPackages.start(registry);
  const outcomes: Record<string, RegExp> = {
    'import "loud"; export default 1;': /^INVALID_TASK: .*"loud".*not declared in the dependencies/s,
    'import "npm:loud@2"; export default 1;': /^SECURITY_VIOLATION: .*"npm:loud@2" is not declared/s,
    'import "npm:greet@2.0.0"; export default 1;': /^SECURITY_VIOLATION: .*"npm:greet@2.0.0" is not declared/s,
    'import "greet/secret"; export default 1;':
      /^INVALID_TASK: Cannot find module "greet\/secret": greet@1.0.0 offers no "secret"/,
    'import "greet/src/main.js"; export default 1;': /^INVALID_TASK: Cannot find module/,
  };
  for (const [code, expected] of Object.entries(outcomes)) {
    assert.match(String(await packages.result(["npm:greet@^1.0.0"], code)), expected);
  }
});

Deno.test("A task reads the modules of its layer and no other file", async () => {
  await using registry = FakeRegistry.serve({
    spy: {
      "1.0.0": {
        fields: { type: "module" },
        files: {
          "index.js": "export const look = async (url) => { try { return await import(url) && 'read' } " +
            "catch (e) { return e.name } };\nexport const here = import.meta.url;",
        },
      },
    },
  });
  await using packages = await TestPackages.start(registry);
  await using secrets = await TestFolder.make({ "secret.js": "export default 1;" });
  const code = `
    import { look, here } from "spy";
    export default async () => [await look(here), await look("file://${
    secrets.file("secret.js")
  }"), await look("npm:spy")];
  `;
  assert.deepEqual(await packages.result(["spy"], code), ["read", "TypeError", "TypeError"]);
});

Deno.test("NpmResolver runs no script of what it installs, and asks for nothing but documents and archives", async () => {
  await using folder = await TestFolder.make();
  const scripts = Object.fromEntries(
    ["preinstall", "install", "postinstall", "prepare"].map((name) => [name, `touch ${folder.file(name)}`]),
  );
  await using registry = FakeRegistry.serve({ eager: { "1.0.0": { fields: { scripts }, files: { "index.js": "" } } } });
  await using packages = await TestPackages.start(registry);
  assert.deepEqual((await packages.install(["eager"])).installed, ["npm:eager@1.0.0"]);
  assert.deepEqual(Array.from(Deno.readDirSync(folder.path)), []);
  assert.deepEqual(registry.requests, ["eager", "eager/-/1.0.0.tgz"]);
});

Deno.test("NpmResolver installs the same set once, at the same time and later", async () => {
  await using registry = FakeRegistry.serve(PACKAGES);
  let nowMs = Date.now();
  await using packages = await TestPackages.start(registry, { now: () => nowMs });
  const both = await Promise.all([packages.install(["npm:greet@1"]), packages.install(["npm:greet@1"])]);
  const later = await packages.install(["npm:greet@1"]);
  for (const { layers, installed } of [...both, later]) {
    assert.deepEqual([layers, installed], [both[0].layers, ["npm:greet@1.0.0", "npm:loud@2.0.1"]]);
  }
  assert.equal(registry.requests.length, 4);
  // Ranges are resolved anew after a day; the same packages make the same layer.
  nowMs += 25 * 3_600_000;
  assert.deepEqual((await packages.install(["npm:greet@1"])).layers, both[0].layers);
  assert.equal(registry.requests.length, 8);
});

Deno.test("NpmResolver goes on with what it has when the registry is down", async () => {
  let isDown = false;
  await using registry = FakeRegistry.serve(
    PACKAGES,
    () => isDown ? new Response("no", { status: 503 }) : undefined,
  );
  let nowMs = Date.now();
  await using packages = await TestPackages.start(registry, { now: () => nowMs });
  const before = await packages.install(["loud"]);
  isDown = true;
  nowMs += 25 * 3_600_000;
  assert.deepEqual(await packages.install(["loud"]), before);
  await assert.rejects(packages.install(["greet"]), { code: "TASK_FAILED", message: /the registry answers 503/ });
});

Deno.test("A module that cannot be loaded here fails whom it concerns, and nobody else", async () => {
  await using registry = FakeRegistry.serve({
    mixed: {
      "1.0.0": {
        files: {
          "index.js":
            "exports.fine = 1; exports.try = (name) => { try { return require('./' + name) } catch (e) { return e.code } };" +
            "exports.sloppy = () => { try { return require('./sloppy') } catch (e) { return e.message } };" +
            "exports.deep = () => { try { return require('./deep') } catch (e) { return e.message } };" +
            "exports.node = () => { try { return require('fs') } catch (e) { return e.message } };",
          "sloppy.js": "with (Math) exports.x = PI;",
          "deep.js": `exports.x = ${"[".repeat(5_000)}${"]".repeat(5_000)};`,
        },
      },
    },
  });
  await using packages = await TestPackages.start(registry);
  const code =
    'import m from "mixed"; export default () => [m.fine, m.try("computed"), m.sloppy(), m.deep(), m.node()];';
  const [fine, computed, ...messages] = await packages.result(["mixed"], code) as unknown[];
  assert.deepEqual([fine, computed], [1, "MODULE_NOT_FOUND"]);
  const expected = [
    /^Cannot load mixed@1.0.0\/sloppy.js: .*with/,
    /mixed@1.0.0\/deep.js: .*nested too deeply/,
    /^Cannot find module "fs"/,
  ];
  expected.forEach((pattern, index) => assert.match(String(messages[index]), pattern));
  assert.match(
    String(await packages.result(["mixed"], 'import "mixed/sloppy.js"; export default () => 1;')),
    /^TASK_FAILED: Cannot load mixed@1.0.0\/sloppy.js/,
  );
});

Deno.test("A package's own files are left alone by those of its layer", async () => {
  await using registry = FakeRegistry.serve(PACKAGES);
  await using packages = await TestPackages.start(registry);
  // A package.json of the user's says nothing about the layer's modules, nor what is named like the layer about its place.
  const code = {
    "package.json": '{"type":"commonjs"}',
    "lib/main.ts": 'import { loud } from "loud"; export default () => loud("x");',
  };
  assert.equal(
    await packages.result(["loud@2"], { ...code, "main.ts": 'export { default } from "./lib/main.ts";' }),
    "X!7",
  );
  assert.match(
    String(
      await packages.result(["loud"], { "main.ts": "export default 1;", ".packages/loud@2.0.1/lib/index.js": "" }),
    ),
    /^INVALID_TASK: .*lies where installed packages do/,
  );
});

/** For TypeScript. */
const REQUEST = { runtime: "deno", version: undefined, implied: [], codePackage: textOf("export {};") } as const;

Deno.test("TaskPackages.open() installs as its configuration says, into the folder that it names", async () => {
  await using registry = FakeRegistry.serve(PACKAGES);
  await using folder = await TestFolder.make();
  await using directory = new RuntimeDirectory();
  const config = Config.parse({
    policy: { packages: { npm: { allowed: true, registry: registry.url, allow: ["lou*"] } } },
    layers: { directory: folder.file("layers") },
  });
  const request = (name: string) => ({ ...REQUEST, requirements: [name] });
  const { signal } = new AbortController();
  for (let round = 0; round < 2; round++) {
    await using packages = await TaskPackages.open(config, hostOptions(directory));
    assert.deepEqual((await packages.resolve(request("loud@1"), signal)).installed, ["npm:loud@1.0.0"]);
    await assert.rejects(packages.resolve(request("greet"), signal), { message: /packages\.npm\.allow\)/ });
  }
  assert.equal(registry.requests.length, 2);
  const broken = Config.parse({ ...config, layers: { directory: "/dev/null/layers" } });
  await assert.rejects(TaskPackages.open(broken, hostOptions(directory)), {
    code: "CONFIG_INVALID",
    message: /^Cannot use "layers.directory"/,
  });
});

Deno.test("TaskPackages ends its installers with itself", async () => {
  const asked = Promise.withResolvers<void>();
  await using registry = FakeRegistry.serve({}, () => {
    asked.resolve();
    return new Response(new ReadableStream({ start: (to) => to.enqueue(textOf("{")) }));
  });
  await using directory = new RuntimeDirectory();
  const config = Config.parse({ policy: { packages: { npm: { allowed: true, registry: registry.url } } } });
  const packages = await TaskPackages.open(config, hostOptions(directory));
  const given = new AbortController();
  const request = { ...REQUEST, requirements: ["a"] };
  const [first, second] = [
    packages.resolve(request, given.signal),
    packages.resolve(request, new AbortController().signal),
  ];
  await asked.promise;
  // Who goes away waits no longer, and takes nothing from who waits for the same.
  given.abort(new Error("gone"));
  await assert.rejects(first, { message: "gone" });
  const lost = assert.rejects(second, { code: "SANDBOX_LOST" });
  await packages[Symbol.asyncDispose]();
  await lost;
  assert.deepEqual(descendantsOf(Deno.pid), []);
});
