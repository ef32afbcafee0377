import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import plugin, { brokenRule, isPrivateElsewhere } from "../../scripts/lint/import_direction.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const FINE: readonly [importer: string, target: string][] = [
  ["src/cli/serve.ts", "src/main.ts"],
  ["src/cli/call.ts", "src/client/mod.ts"],
  ["src/cli/call.ts", "workers/media/wav.ts"],
  ["src/main.ts", "src/rpc/server.ts"],
  ["src/rpc/server.ts", "src/execution/executor.ts"],
  ["src/rpc/server.ts", "protos/generated/types.ts"],
  ["src/execution/executor.ts", "src/sandbox/host_pool.ts"],
  ["src/execution/executor.ts", "src/logging/mod.ts"],
  ["src/sandbox/jails/process.ts", "src/sandbox/proc.ts"],
  ["src/sandbox/host_process.ts", "workers/protocol.ts"],
  ["src/execution/executor.ts", "src/packages/python/wheelhouse.ts"],
  ["src/packages/python/wheelhouse.ts", "src/errors.ts"],
  ["src/packages/python/wheel.ts", "workers/package/read_zip.ts"],
  ["src/logging/logging.ts", "src/config/schema.ts"],
  ["src/client/client.ts", "workers/codecs/mod.ts"],
  ["workers/worker.ts", "workers/nodes/mod.ts"],
  ["tests/rpc/server_test.ts", "src/rpc/server.ts"],
  ["scripts/gen_nodes.ts", "workers/nodes/mod.ts"],
];

const BROKEN: readonly [importer: string, target: string, rule: RegExp][] = [
  ["src/errors.ts", "src/config/mod.ts", /one way/],
  ["src/config/load.ts", "src/sandbox/host_pool.ts", /one way/],
  ["src/sandbox/probe.ts", "src/execution/executor.ts", /one way/],
  ["src/execution/executor.ts", "src/rpc/status.ts", /one way/],
  ["src/packages/python/wheelhouse.ts", "src/execution/executor.ts", /one way/],
  ["src/sandbox/launch.ts", "src/packages/python/wheelhouse.ts", /one way/],
  ["src/packages/python/wheel.ts", "workers/worker.ts", /may see only workers\/protocol\.ts/],
  ["src/rpc/server.ts", "src/main.ts", /one way/],
  ["src/main.ts", "src/cli/main.ts", /one way/],
  ["src/sandbox/host_process.ts", "workers/host.ts", /may see only workers\/protocol\.ts/],
  ["src/rpc/server.ts", "workers/codecs/mod.ts", /must not see the sandbox's code/],
  ["src/sandbox/probe.ts", "protos/generated/types.ts", /must not know the wire contract/],
  ["src/client/client.ts", "src/execution/limits.ts", /runs without the server/],
  ["src/client/client.ts", "workers/nodes/mod.ts", /may see only workers\/values\.ts/],
  ["src/rpc/server.ts", "src/client/client.ts", /programs that call the server/],
  ["src/unheard/of.ts", "src/errors.ts", /no layer yet/],
  ["workers/worker.ts", "src/errors.ts", /nothing but workers/],
  ["workers/worker.ts", "protos/generated/types.ts", /nothing but workers/],
  ["src/main.ts", "tests/fakes/clock.ts", /must not need tests/],
];

for (const [importer, target] of FINE) {
  Deno.test(`brokenRule() lets ${importer} import ${target}`, () => {
    assert.equal(brokenRule(importer, target), undefined);
  });
}

for (const [importer, target, rule] of BROKEN) {
  Deno.test(`brokenRule() refuses that ${importer} imports ${target}`, () => {
    assert.match(brokenRule(importer, target) ?? "", rule);
  });
}

Deno.test("isPrivateElsewhere() keeps _files and _folders to their folder, tests aside", () => {
  assert.equal(isPrivateElsewhere("workers/nodes/calculator.ts", "workers/nodes/_config.ts"), false);
  assert.equal(isPrivateElsewhere("workers/nodes/_python/repr.ts", "workers/nodes/_config.ts"), false);
  assert.equal(isPrivateElsewhere("workers/nodes/calculator.ts", "workers/nodes/_python/repr.ts"), false);
  assert.equal(isPrivateElsewhere("workers/worker.ts", "workers/nodes/_config.ts"), true);
  assert.equal(isPrivateElsewhere("workers/codecs/json.ts", "workers/nodes/_python/repr.ts"), true);
  assert.equal(isPrivateElsewhere("tests/nodes/config_test.ts", "workers/nodes/_config.ts"), false);
});

/** Every way to write an import of a file above. */
const FORMS: readonly string[] = [
  'import { serve } from "../main.ts";',
  'import type { ServeOptions } from "../main.ts";',
  'import "../main.ts";',
  'export * from "../main.ts";',
  'export { serve } from "../main.ts";',
  'await import("../main.ts");',
  'type Options = import("../main.ts").ServeOptions;',
];

for (const source of FORMS) {
  Deno.test(`import-direction reports ${source}`, () => {
    const reports = Deno.lint.runPlugin(plugin, `${ROOT}src/rpc/server.ts`, source);
    assert.deepEqual(reports.map(({ id }) => id), ["rexec/import-direction"]);
    assert.match(reports[0]?.message ?? "", /^src\/rpc\/server\.ts imports src\/main\.ts: imports point one way/);
  });
}

Deno.test("import-direction leaves packages, computed specifiers and local exports alone", () => {
  const source =
    'import { z } from "zod";\nconst name = "./x.ts";\nexport const x = await import(name);\nexport { z };\n';
  assert.deepEqual(Deno.lint.runPlugin(plugin, `${ROOT}src/rpc/server.ts`, source), []);
});
