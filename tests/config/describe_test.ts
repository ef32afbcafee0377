import assert from "node:assert/strict";
import { z } from "zod";
import { describeConfig, loadConfig } from "../../src/config/mod.ts";
import { nearest, showValue } from "../../src/config/faults.ts";
import { leavesOf, settingsOf } from "../../src/config/settings.ts";
import { configurationReference } from "../../scripts/gen_config_docs.ts";

const readFile = () => undefined;

Deno.test("describeConfig() writes YAML that gives the same configuration, with origins", () => {
  const loaded = loadConfig({ env: { GRPC_PORT: "0", LOG_LEVELS: "rpc=DEBUG", LOG_FILE: "a: b\n#c" }, readFile });
  const text = describeConfig(loaded);
  assert.match(text, /^ {2}port: 0 # from env GRPC_PORT$/m);
  assert.match(text, /^ {2}host: 127\.0\.0\.1 # from default$/m);
  const files = new Map(
    text.split(/^# (?=\w+\.yaml$)/m).slice(1).map((part) => {
      const end = part.indexOf("\n");
      return [`config/${part.slice(0, end)}`, part.slice(end)];
    }),
  );
  assert.deepEqual(loadConfig({ env: {}, readFile: (path) => files.get(path) }).config, loaded.config);
});

Deno.test("describeConfig() writes JSON by key", () => {
  const loaded = loadConfig({ env: { GRPC_PORT: "0" }, readFile });
  const described = JSON.parse(describeConfig(loaded, { json: true }));
  assert.deepEqual(described["server.port"], { value: 0, from: "env GRPC_PORT" });
  assert.deepEqual(described["logging.file.path"], { value: null, from: "default" });
});

Deno.test("settingsOf() knows secrets, and showValue() does not show them", () => {
  const [setting] = leavesOf(settingsOf(z.strictObject({ token: z.string().meta({ secret: true }).default("x") })));
  assert(setting !== undefined && setting.secret);
  assert.equal(showValue("hunter2", setting.secret), "(redacted)");
  assert.equal(showValue("a\nb", false), '"a\\nb"');
});

const NEAREST: readonly [name: string, found: string | undefined][] = [
  ["maxWorker", "maxWorkers"],
  ["max_workers", "maxWorkers"],
  ["MAX-WORKERS", "maxWorkers"],
  ["prot", "port"],
  ["something", undefined],
  ["x".repeat(100_000), undefined],
];

for (const [name, found] of NEAREST) {
  Deno.test(`nearest() finds ${found} for ${name.slice(0, 20)}`, () => {
    assert.equal(nearest(name, ["maxWorkers", "port", "type"]), found);
  });
}

Deno.test("docs/configuration.md is what scripts/gen_config_docs.ts writes", () => {
  const text = Deno.readTextFileSync(new URL("../../docs/configuration.md", import.meta.url));
  assert.equal(text, configurationReference());
});
